//! DATA and BDAT: the body comes.

use crate::message::mail::BodyType;
use crate::smtp::fault::SmtpFault;
use crate::smtp::limits::{BODY_PIECE_OCTETS_MAX, CHUNK_OCTETS_MAX};
use crate::smtp::reply::Reply;
use crate::time::Now;

use super::{Event, Question, Server, State};
use crate::smtp::body::{BodyLimits, Scanner, Step};

impl Server {
    pub(super) fn begin_data(&mut self, now: Now) {
        //= smtp/PIPE-003
        if !self.input.is_empty() {
            return self.fail(SmtpFault::Pipelining("DATA"));
        }
        let Some(transaction) = &self.transaction else {
            return self.refuse(&Reply::new(503, (5, 1), "need MAIL command"));
        };
        if transaction.scanner.is_some() {
            //= smtp/BDAT-003
            return self.refuse(&Reply::new(503, (5, 1), "DATA after BDAT"));
        }
        if transaction.envelope.recipients.is_empty() {
            return self.refuse(&Reply::new(554, (5, 1), "no valid recipients"));
        }
        if transaction.envelope.mail.body == Some(BodyType::BinaryMime) {
            return self.refuse(&Reply::new(503, (5, 1), "BINARYMIME needs BDAT"));
        }
        self.open(true);
        self.reply(&Reply::plain(354, "end data with <CR><LF>.<CR><LF>"));
        self.enter(now, State::Data);
    }

    pub(super) fn begin_chunk(&mut self, now: Now, octets: u64, last: bool) {
        //= smtp/BDAT-004
        if octets > CHUNK_OCTETS_MAX {
            return self.refuse(&Reply::new(501, (5, 4), "chunk too large"));
        }
        let refusal = match &self.transaction {
            //= smtp/BDAT-002
            None => Some(Reply::new(503, (5, 1), "need MAIL command")),
            Some(transaction) if transaction.envelope.recipients.is_empty() => {
                Some(Reply::new(503, (5, 1), "no valid recipients"))
            }
            Some(transaction) if transaction.failed && transaction.early.is_none() => {
                Some(Reply::new(503, (5, 1), "an earlier chunk was refused, send RSET"))
            }
            Some(_) => None,
        };
        if let Some(reply) = refusal {
            return self.enter(now, State::Skip { left: octets, reply });
        }
        if self.transaction.as_ref().is_some_and(|transaction| transaction.scanner.is_none()) {
            self.open(false);
        }
        let received = self.scanner().map_or(0, |scanner| scanner.facts().octets);
        if received.saturating_add(octets) > self.config.size_max {
            let reply = SmtpFault::MailTooLarge(self.config.size_max).reply();
            self.fail_transaction();
            if last {
                self.abort();
            }
            return self.enter(now, State::Skip { left: octets, reply });
        }
        self.enter(now, State::Chunk { left: octets, octets, last });
    }

    /// Octets of DATA.
    pub(super) fn data(&mut self, now: Now) -> bool {
        if self.input.is_empty() {
            return false;
        }
        let mut input = self.input.split();
        self.progress += input.len() as u64;
        let Some(scanner) = self.transaction.as_mut().and_then(|transaction| transaction.scanner.as_mut()) else {
            return false;
        };
        let step = scanner.data(&input, &mut self.piece);
        self.after_scan();
        match step {
            Step::More => false,
            Step::End(used) => {
                self.input = input.split_off(used);
                self.body_end(now);
                true
            }
            Step::Broken(fault) => {
                self.fail(fault);
                false
            }
        }
    }

    /// Octets of a chunk.
    pub(super) fn chunk(&mut self, now: Now, left: u64, octets: u64, last: bool) -> bool {
        if left > 0 && self.input.is_empty() {
            return false;
        }
        let count = usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()));
        let input = self.input.split_to(count);
        self.progress += count as u64;
        if let Some(scanner) = self.transaction.as_mut().and_then(|transaction| transaction.scanner.as_mut()) {
            scanner.chunk(&input, &mut self.piece);
            if last && count as u64 == left {
                scanner.chunks_end();
            }
        }
        self.after_scan();
        //= smtp/BDAT-001
        let left = left - count as u64;
        self.state = State::Chunk { left, octets, last };
        if left > 0 {
            return false;
        }
        self.state = State::Command;
        if last {
            self.body_end(now);
            return true;
        }
        self.deadline = now.mono + self.config.command_wait;
        match self.scanner().and_then(Scanner::fault).map(SmtpFault::content_reply) {
            Some(reply) => self.refuse(&reply),
            None => self.reply(&Reply::new(250, (0, 0), format!("{octets} octets received"))),
        }
        true
    }

    /// Octets of a refused chunk.
    pub(super) fn skip(&mut self, now: Now, left: u64) -> bool {
        if left > 0 && self.input.is_empty() {
            return false;
        }
        let count = usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()));
        let _ = self.input.split_to(count);
        self.progress += count as u64;
        let State::Skip { left, reply } = &mut self.state else { return false };
        *left -= count as u64;
        if *left > 0 {
            return false;
        }
        let reply = reply.clone();
        self.state = State::Command;
        self.deadline = now.mono + self.config.command_wait;
        self.refuse(&reply);
        true
    }

    /// The gateway's verdict on a complete mail.
    pub(super) fn finished(&mut self, reply: &Reply) {
        self.transaction = None;
        // The verdict came after the whole body: what was not reported as taken piece by piece never will be.
        self.outstanding = 0;
        self.reply(reply);
        if reply.is_positive() {
            self.errors = 0;
            self.idle_commands = 0;
        }
    }

    fn enter(&mut self, now: Now, state: State) {
        self.progress = 0;
        self.deadline = now.mono + self.config.body_wait;
        self.state = state;
    }

    fn scanner(&self) -> Option<&Scanner> {
        self.transaction.as_ref()?.scanner.as_ref()
    }

    fn open(&mut self, dots: bool) {
        let limits = BodyLimits {
            size: self.config.size_max,
            line: self.config.line_octets_max,
            header: self.config.header_octets_max,
        };
        if let Some(transaction) = &mut self.transaction {
            let binary = transaction.envelope.mail.body == Some(BodyType::BinaryMime);
            transaction.scanner = Some(Scanner::new(limits, dots, binary));
            self.events.push_back(Event::Opened(Box::new(transaction.envelope.clone())));
        }
    }

    /// Hands whole pieces on, or tells that a limit was passed.
    fn after_scan(&mut self) {
        if self.scanner().is_some_and(|scanner| scanner.fault().is_some()) {
            self.fail_transaction();
        }
        if self.transaction.as_ref().is_none_or(|transaction| transaction.failed) {
            return self.piece.clear();
        }
        while self.piece.len() >= BODY_PIECE_OCTETS_MAX {
            let piece = self.piece.split_to(BODY_PIECE_OCTETS_MAX).freeze();
            self.hand_on(piece);
        }
    }

    fn hand_on(&mut self, piece: bytes::Bytes) {
        self.outstanding += piece.len();
        self.events.push_back(Event::BodyPiece(piece));
    }

    /// The mail will be refused: the gateway hears it at once, the client at the end of the body.
    fn fail_transaction(&mut self) {
        if let Some(transaction) = self.transaction.as_mut().filter(|transaction| !transaction.failed) {
            transaction.failed = true;
            self.outstanding = 0;
            self.events.push_back(Event::Aborted);
        }
    }

    fn body_end(&mut self, now: Now) {
        self.state = State::Command;
        self.deadline = now.mono + self.config.command_wait;
        let Some(transaction) = &mut self.transaction else { return };
        if let Some(reply) = transaction.early.take() {
            return self.finished(&reply);
        }
        let Some(scanner) = &transaction.scanner else { return };
        let facts = scanner.facts();
        if let Some(fault) = scanner.fault().cloned() {
            self.abort();
            self.events.push_back(Event::Noted(fault.clone()));
            return self.refuse(&fault.content_reply());
        }
        let piece = std::mem::take(&mut self.piece).freeze();
        if !piece.is_empty() {
            self.hand_on(piece);
        }
        self.events.push_back(Event::BodyEnd(facts));
        self.state = State::Waiting(Question::Finish);
    }
}
