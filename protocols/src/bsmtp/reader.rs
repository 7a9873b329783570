//! Reads a batch as it comes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::message::address::Mailbox;
use crate::message::mail::{Envelope, MailParameters, Recipient};
use crate::smtp::body::{BodyFacts, BodyLimits, Scanner, Step};
use crate::smtp::fault::{GrammarFault, SmtpFault};
use crate::smtp::grammar::{self, Command, Extensions};
use crate::smtp::limits;

use super::BatchFault;

/// What bounds a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Octets of one mail.
    pub mail_octets: u64,
    /// Recipients of one mail.
    pub recipients: usize,
    /// Mails of one batch.
    pub mails: usize,
    /// Faults noted; more of them end the reading.
    pub faults: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { mail_octets: limits::MAIL_OCTETS_MAX, recipients: limits::RECIPIENTS_MAX, mails: 1000, faults: 100 }
    }
}

/// What a batch held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A complete mail.
    Mail(Box<Mail>),
    /// Something for the operator.
    Fault(BatchFault),
    /// The batch is over: with QUIT or with the end of octets between two mails. Not yielded after a fault that ends
    /// the reading.
    End,
}

/// One mail of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Its number in the batch, from 1: same batch, same numbers.
    pub number: usize,
    /// Its envelope; perhaps without recipients.
    pub envelope: Envelope,
    /// RCPT commands that cannot be used, as written, and why: each wants a report to the sender.
    pub refused: Vec<(String, GrammarFault)>,
    /// Parameters that were left out, and why.
    pub notes: Vec<GrammarFault>,
    /// Its octets, dots unstuffed.
    pub body: Bytes,
    /// What is known of them.
    pub facts: BodyFacts,
}

#[derive(Debug)]
enum State {
    Command,
    Data(Box<Scanner>),
    Over,
}

#[derive(Debug)]
struct Begun {
    envelope: Envelope,
    refused: Vec<(String, GrammarFault)>,
    notes: Vec<GrammarFault>,
}

/// The reader of one batch. Feed with [`Reader::handle_read`], end with [`Reader::finish`], take with
/// [`Reader::poll_item`].
#[derive(Debug)]
pub struct Reader {
    limits: BatchLimits,
    host: String,
    state: State,
    begun: Option<Begun>,
    input: BytesMut,
    body: BytesMut,
    items: VecDeque<Item>,
    lines: usize,
    mails: usize,
    faults: usize,
    quit: bool,
    trailing: usize,
}

impl Reader {
    /// A reader at the beginning of a batch; `host` completes `<Postmaster>`.
    pub fn new(host: impl Into<String>, limits: BatchLimits) -> Self {
        Self {
            limits,
            host: host.into(),
            state: State::Command,
            begun: None,
            input: BytesMut::new(),
            body: BytesMut::new(),
            items: VecDeque::new(),
            lines: 0,
            mails: 0,
            faults: 0,
            quit: false,
            trailing: 0,
        }
    }

    /// Octets of the batch.
    pub fn handle_read(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while self.step() {}
    }

    /// There are no more octets.
    pub fn finish(&mut self) {
        if self.quit && self.trailing > 0 {
            //= bsmtp/BSMTP-008
            self.fault(BatchFault::Trailing { octets: self.trailing });
        } else if !self.quit && !matches!(self.state, State::Over) {
            let clean = self.input.is_empty() && self.begun.is_none();
            self.input.clear();
            self.begun = None;
            self.state = State::Over;
            match clean {
                true => self.items.push_back(Item::End),
                false => self.fault(BatchFault::Truncated),
            }
        }
    }

    /// What was found, in order.
    pub fn poll_item(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    fn step(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Command => self.line(),
            State::Data(scanner) => self.data(scanner),
            State::Over => {
                self.state = State::Over;
                self.trailing += self.input.len();
                self.input.clear();
                false
            }
        }
    }

    /// One command line.
    fn line(&mut self) -> bool {
        let end = memchr::memchr3(b'\r', b'\n', 0, &self.input);
        let at = end.unwrap_or(self.input.len());
        if at + 2 > limits::COMMAND_OCTETS_MAX {
            return self.broken(SmtpFault::CommandTooLong(limits::COMMAND_OCTETS_MAX));
        }
        match (self.input.get(at), self.input.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let line = self.input.split_to(at + 2).freeze();
                self.lines += 1;
                self.command_line(&line[..at]);
                true
            }
            (None, _) | (Some(b'\r'), None) => false,
            //= bsmtp/BSMTP-001
            (Some(b'\r'), _) => self.broken(SmtpFault::BareLineEnd("CR")),
            (Some(b'\n'), _) => self.broken(SmtpFault::BareLineEnd("LF")),
            (Some(_), _) => self.broken(SmtpFault::Nul),
        }
    }

    fn command_line(&mut self, line: &[u8]) {
        // Parameters with faults are noted, so MAIL and RCPT are read here and not by the strict command reader.
        let mail = line.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"MAIL FROM:"));
        let rcpt = line.get(..8).is_some_and(|head| head.eq_ignore_ascii_case(b"RCPT TO:"));
        let text = match std::str::from_utf8(line).ok().filter(|text| !text.contains(|c: char| c.is_ascii_control())) {
            Some(text) => text,
            None => return self.command_fault(GrammarFault::Octet(first_odd(line))),
        };
        if mail {
            return self.mail(text[10..].trim_start_matches(' '));
        }
        if rcpt {
            return self.rcpt(text[8..].trim_start_matches(' '), text);
        }
        match grammar::command(line, &Extensions::NONE, &self.host) {
            Ok(command) => self.command(&command),
            Err(fault) => self.command_fault(fault),
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            //= bsmtp/BSMTP-006
            Command::Rset | Command::Ehlo(_) | Command::Helo(_) => self.begun = None,
            Command::Data => self.begin_data(),
            Command::Quit => self.quit(),
            Command::Noop => {}
            Command::Vrfy => self.order("VRFY"),
            Command::Expn => self.order("EXPN"),
            Command::Help => self.order("HELP"),
            Command::StartTls => self.order("STARTTLS"),
            Command::Auth { .. } => self.order("AUTH"),
            Command::Bdat { .. } => self.order("BDAT"),
            Command::Mail(..) | Command::Rcpt(_) => self.order("MAIL"),
        }
    }

    fn mail(&mut self, arguments: &str) {
        if self.begun.is_some() {
            self.fault(BatchFault::NoBody);
        }
        let read = grammar::mail_arguments(arguments, &Extensions::MULE);
        match read {
            Ok((sender, mail, notes)) => self.begin(sender, mail, notes),
            // Nobody could hear of a failure of this mail: its RCPT and DATA are noted, its body is read over.
            Err(fault) => {
                self.command_fault(fault);
                self.begun = None;
            }
        }
    }

    fn begin(&mut self, sender: Option<Mailbox>, mail: MailParameters, notes: Vec<GrammarFault>) {
        let envelope = Envelope { sender, mail, recipients: Vec::new() };
        self.begun = Some(Begun { envelope, refused: Vec::new(), notes });
    }

    fn rcpt(&mut self, arguments: &str, line: &str) {
        let read = match arguments.split_at_checked(12) {
            Some((head, rest)) if head.eq_ignore_ascii_case("<postmaster>") => {
                grammar::rcpt_arguments(&format!("<postmaster@{}>{rest}", self.host), &Extensions::MULE)
            }
            _ => grammar::rcpt_arguments(arguments, &Extensions::MULE),
        };
        let Some(begun) = &mut self.begun else { return self.order("RCPT") };
        if begun.envelope.recipients.len() + begun.refused.len() >= self.limits.recipients {
            return self.command_fault(GrammarFault::Syntax("fewer recipients"));
        }
        match read {
            Ok((recipient, notes)) => begun.take(recipient, notes),
            //= bsmtp/BSMTP-005
            Err(fault) => begun.refused.push((line.to_owned(), fault)),
        }
    }

    fn begin_data(&mut self) {
        // Without a sender there is a body all the same: its lines must not be read as commands.
        let limits = BodyLimits {
            size: self.limits.mail_octets,
            line: limits::LINE_OCTETS_MAX,
            header: limits::HEADER_OCTETS_MAX,
        };
        if self.begun.is_none() {
            self.order("DATA");
        }
        if !matches!(self.state, State::Over) {
            self.body.clear();
            self.state = State::Data(Box::new(Scanner::new(limits, true, false)));
        }
    }

    fn data(&mut self, mut scanner: Box<Scanner>) -> bool {
        let mut input = self.input.split();
        match scanner.data(&input, &mut self.body) {
            Step::More => {
                self.state = State::Data(scanner);
                false
            }
            Step::End(used) => {
                self.input = input.split_off(used);
                self.body_end(&scanner);
                true
            }
            //= bsmtp/BSMTP-004
            Step::Broken(fault) => self.broken(fault),
        }
    }

    fn body_end(&mut self, scanner: &Scanner) {
        let body = std::mem::take(&mut self.body).freeze();
        let Some(Begun { envelope, refused, notes }) = self.begun.take() else { return };
        self.mails += 1;
        if self.mails > self.limits.mails {
            self.fault(BatchFault::TooManyMails(self.limits.mails));
            return self.over();
        }
        let number = self.mails;
        match scanner.fault().cloned() {
            Some(fault) => self.fault(BatchFault::Mail { number, fault }),
            //= bsmtp/BSMTP-007
            None => {
                let mail = Mail { number, envelope, refused, notes, body, facts: scanner.facts() };
                self.items.push_back(Item::Mail(Box::new(mail)));
            }
        }
    }

    fn quit(&mut self) {
        if self.begun.take().is_some() {
            self.fault(BatchFault::NoBody);
        }
        self.quit = true;
        self.items.push_back(Item::End);
        self.over();
    }

    fn order(&mut self, command: &'static str) {
        let line = self.lines;
        self.fault(BatchFault::Order { line, command });
    }

    fn command_fault(&mut self, fault: GrammarFault) {
        let line = self.lines;
        self.fault(BatchFault::Command { line, fault });
    }

    fn fault(&mut self, fault: BatchFault) {
        self.faults += 1;
        self.items.push_back(Item::Fault(fault));
        if self.faults == self.limits.faults && !matches!(self.state, State::Over) {
            self.items.push_back(Item::Fault(BatchFault::Broken(SmtpFault::TooManyErrors)));
            self.over();
        }
    }

    fn broken(&mut self, fault: SmtpFault) -> bool {
        self.items.push_back(Item::Fault(BatchFault::Broken(fault)));
        self.over();
        true
    }

    fn over(&mut self) {
        self.begun = None;
        self.body = BytesMut::new();
        self.state = State::Over;
    }
}

impl Begun {
    fn take(&mut self, recipient: Recipient, notes: Vec<GrammarFault>) {
        self.envelope.recipients.push(recipient);
        self.notes.extend(notes);
    }
}

/// The first octet that no command may hold.
fn first_odd(line: &[u8]) -> u8 {
    line.iter().copied().find(|octet| octet.is_ascii_control() || *octet > 127).unwrap_or(0)
}
