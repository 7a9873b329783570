//! The SMTP dialogue of one hand-over, on lettre's low-level connection (see docs/adr/0020-hand-over-by-lettre.md).
//!
//! Promises: a reply for each recipient; only parameters that the server offers; the text to the octet, dots stuffed.
//! Refuses: content that the server cannot take (`Lacks`, nothing sent). Limits: the times of RFC 5321 section 4.5.3.2.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use skywave_protocols::bytes::Bytes;

use super::corked::{Corked, Side};
use super::hand_over::HandOverTls;
use super::offers::{Offers, mail_line, rcpt_line};
use super::pipe::connect;
use super::resolve::Names;
use crate::node::seam::{HandOver, HandOverOutcome, Needs, Piece, SmtpReply};

const GREETING_SECONDS_MAX: u64 = 300;
const COMMAND_SECONDS_MAX: u64 = 300;
const TEXT_SECONDS_MAX: u64 = 600;
const QUIT_SECONDS_MAX: u64 = 5;
/// Commands sent before their replies are read; small enough for the buffers of both ends.
const PIPELINE_MAX: usize = 100;

type Answer = Result<Response, lettre::transport::smtp::Error>;

/// A connection to a local MTA.
pub(crate) struct Connection {
    smtp: AsyncSmtpConnection,
    server: String,
    offers: Offers,
    side: Arc<Side>,
}

/// How a dialogue broke.
#[derive(Debug)]
pub(crate) struct Failure {
    why: String,
    /// The server may have taken the text.
    in_doubt: bool,
    /// The server had answered to anything of this mail.
    pub(super) started: bool,
}

impl Failure {
    pub(crate) fn outcome(self) -> HandOverOutcome {
        HandOverOutcome::Broken { why: self.why, in_doubt: self.in_doubt }
    }
}

impl Connection {
    /// Connects, says EHLO, starts TLS where it is wanted.
    pub(crate) async fn open(names: &Names, tls: HandOverTls, target: &str, hello: &str) -> Result<Self, String> {
        let id = ClientId::Domain(hello.to_owned());
        let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
        let (mut connection, local) = Self::dial(names, target, &id).await?;
        let wants = match tls {
            HandOverTls::Never => false,
            HandOverTls::Offered => !local && connection.smtp.can_starttls(),
            HandOverTls::Required => true,
        };
        if !wants {
            return Ok(connection);
        }
        match connection.start_tls(tls, host, &id).await {
            Ok(()) => Ok(connection),
            Err(why) if tls == HandOverTls::Required => Err(why),
            // What is offered and does not work is done without: the next hop is not asked to prove anything anyway.
            Err(_) => Self::dial(names, target, &id).await.map(|(connection, _)| connection),
        }
    }

    async fn dial(names: &Names, target: &str, id: &ClientId) -> Result<(Self, bool), String> {
        let stream = connect(names, target, 0).await?;
        let local = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let (corked, side) = Corked::new(stream);
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(corked), id);
        let smtp = limited(GREETING_SECONDS_MAX, greeting).await?.map_err(|error| words(&error))?;
        let server = smtp.server_info().name().to_owned();
        let mut connection = Self { smtp, server, offers: Offers::default(), side };
        connection.ask_offers(id).await?;
        Ok((connection, local))
    }

    /// lettre keeps four keywords of the EHLO reply; a second EHLO shows all of them.
    async fn ask_offers(&mut self, id: &ClientId) -> Result<(), String> {
        let reply = limited(COMMAND_SECONDS_MAX, self.smtp.command(Ehlo::new(id.clone()))).await?;
        self.offers = Offers::read(reply.map_err(|error| words(&error))?.message());
        Ok(())
    }

    async fn start_tls(&mut self, tls: HandOverTls, host: &str, id: &ClientId) -> Result<(), String> {
        let anybody = tls != HandOverTls::Required;
        let parameters = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned())
            .dangerous_accept_invalid_certs(anybody)
            .dangerous_accept_invalid_hostnames(anybody)
            .build_rustls()
            .map_err(|error| words(&error))?;
        limited(GREETING_SECONDS_MAX, self.smtp.starttls(parameters, id)).await?.map_err(|error| words(&error))?;
        self.ask_offers(id).await
    }

    /// Ends the connection politely.
    pub(crate) async fn quit(mut self) {
        let _ = limited(QUIT_SECONDS_MAX, self.smtp.quit()).await;
    }

    /// What the content needs and the server lacks; nothing is to be sent then.
    pub(crate) fn lacks(&self, needs: Needs) -> Option<Needs> {
        Some(self.offers.lacks(needs)).filter(|lacks| *lacks != Needs::default())
    }

    /// Whether the server would not keep to a time that it must keep to.
    pub(super) fn lacks_deliver_by(&self, hand_over: &HandOver) -> bool {
        hand_over.needs_deliver_by && !self.offers.deliver_by
    }

    /// The text for this server.
    pub(super) fn content<'a>(&self, hand_over: &'a HandOver) -> &'a [Piece] {
        match &hand_over.content_without_mt_priority {
            Some(pieces) if !self.offers.mt_priority => pieces,
            Some(_) | None => &hand_over.content,
        }
    }

    /// One mail. After `Ok` the connection can be used again.
    pub(crate) async fn mail(&mut self, hand_over: &HandOver, text: Vec<Bytes>) -> Result<HandOverOutcome, Failure> {
        let mut replies = Vec::with_capacity(hand_over.envelope.recipients.len());
        let go_ahead = self.envelope(hand_over, &text, &mut replies).await?;
        let accepted = replies.iter().any(|reply| reply.code < 300);
        match go_ahead {
            Ok(()) if accepted => {
                let last = self.text(text).await?;
                for reply in replies.iter_mut().filter(|reply| reply.code < 300) {
                    *reply = last.clone();
                }
            }
            // The server expects a text though it took nobody: it gets an empty one and refuses it.
            Ok(()) => drop(self.text(Vec::new()).await?),
            Err(refused) => {
                for reply in replies.iter_mut().filter(|reply| reply.code < 300) {
                    *reply = refused.clone();
                }
                self.reset().await?;
            }
        }
        let (dsn, deliver_by) = (self.offers.dsn, self.offers.deliver_by);
        Ok(HandOverOutcome::Replies { server: self.server.clone(), dsn, deliver_by, replies })
    }

    /// MAIL, RCPT for each recipient, DATA: all at once where the server allows it. The inner result is DATA's.
    async fn envelope(
        &mut self,
        hand_over: &HandOver,
        text: &[Bytes],
        replies: &mut Vec<SmtpReply>,
    ) -> Result<Result<(), SmtpReply>, Failure> {
        let octets = text.iter().map(|piece| piece.len() as u64).sum();
        let mut lines = vec![mail_line(&self.offers, hand_over, octets)];
        lines.extend(hand_over.envelope.recipients.iter().map(|recipient| rcpt_line(&self.offers, recipient)));
        lines.push("DATA\r\n".to_owned());
        let mut answers = Vec::with_capacity(lines.len());
        let at_once = if self.offers.pipelining { PIPELINE_MAX } else { 1 };
        for group in lines.chunks(at_once) {
            // Without pipelining nothing follows a refused MAIL, and no DATA when nobody was taken.
            if at_once == 1 && stops(&answers, lines.len()) {
                break;
            }
            for index in 0..group.len() {
                let answer = if index == 0 {
                    limited(COMMAND_SECONDS_MAX, self.smtp.command(group.concat())).await
                } else {
                    limited(COMMAND_SECONDS_MAX, self.smtp.read_response()).await
                };
                answers.push(reply_of(answer).map_err(|why| Failure {
                    why,
                    in_doubt: false,
                    started: !answers.is_empty(),
                })?);
            }
        }
        Ok(judge(answers, hand_over.envelope.recipients.len(), replies))
    }

    /// The text and the reply to it.
    async fn text(&mut self, text: Vec<Bytes>) -> Result<SmtpReply, Failure> {
        let text = without_final_line_end(text);
        let answer = if self.smtp.is_encrypted() {
            limited(TEXT_SECONDS_MAX, self.smtp.message_iter(text.into_iter())).await
        } else {
            self.side.write(stuffed(&text));
            limited(TEXT_SECONDS_MAX, self.smtp.read_response()).await
        };
        reply_of(answer).map_err(|why| Failure { why, in_doubt: self.side.all_left(), started: true })
    }

    async fn reset(&mut self) -> Result<(), Failure> {
        let answer = reply_of(limited(COMMAND_SECONDS_MAX, self.smtp.command("RSET\r\n")).await);
        answer.map(drop).map_err(|why| Failure { why, in_doubt: false, started: true })
    }
}

/// Whether the next command makes no sense: MAIL was refused, or DATA is next and nobody was taken.
fn stops(answers: &[SmtpReply], lines: usize) -> bool {
    let refused = |reply: &SmtpReply| reply.code >= 300;
    answers.first().is_some_and(refused) || (answers.len() + 1 == lines && answers[1..].iter().all(refused))
}

/// What the replies to MAIL, RCPT… and DATA mean for each recipient; the result is DATA's.
fn judge(answers: Vec<SmtpReply>, recipients: usize, replies: &mut Vec<SmtpReply>) -> Result<(), SmtpReply> {
    let mut answers = answers.into_iter();
    let mail = answers.next().unwrap_or_else(no_reply);
    if mail.code >= 300 {
        let data = answers.nth(recipients);
        replies.extend(std::iter::repeat_n(mail.clone(), recipients));
        return if data.is_some_and(|reply| reply.code == 354) { Ok(()) } else { Err(mail) };
    }
    replies.extend(answers.by_ref().take(recipients));
    match answers.next() {
        Some(data) if data.code == 354 => Ok(()),
        Some(data) => Err(data),
        None => Err(replies.last().cloned().unwrap_or_else(no_reply)),
    }
}

fn no_reply() -> SmtpReply {
    SmtpReply { code: 451, enhanced: Some("4.3.0".to_owned()), text: "no reply".to_owned() }
}

/// A positive or negative reply; an error in words when there was none.
fn reply_of(answer: Result<Answer, String>) -> Result<SmtpReply, String> {
    match answer? {
        Ok(response) => Ok(reply(u16::from(response.code()), response.message().collect::<Vec<_>>().join(" "))),
        Err(error) => match error.status() {
            Some(code) => Ok(reply(u16::from(code), error.source().map(ToString::to_string).unwrap_or_default())),
            None => Err(words(&error)),
        },
    }
}

fn reply(code: u16, text: String) -> SmtpReply {
    let text = text.replace(['\r', '\n'], " ").trim().to_owned();
    let first = text.split(' ').next().unwrap_or_default();
    let numbers: Vec<&str> = first.split('.').collect();
    let is_status = numbers.len() == 3
        && matches!(numbers[0], "2" | "4" | "5")
        && numbers[1..].iter().all(|number| (1..=3).contains(&number.len()) && number.parse::<u16>().is_ok());
    SmtpReply { code, enhanced: is_status.then(|| first.to_owned()), text }
}

fn words(error: &lettre::transport::smtp::Error) -> String {
    error.to_string().replace(['\r', '\n'], " ")
}

async fn limited<T>(seconds: u64, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(Duration::from_secs(seconds), work).await.map_err(|_| format!("no answer within {seconds} s"))
}

/// The text as DATA carries it: a dot more where a line begins with one, and the end. Nothing is copied.
fn stuffed(text: &[Bytes]) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(text.len() + 1);
    // The two octets before the piece at hand; a text begins as a line does.
    let mut before = *b"\r\n";
    for piece in text {
        let mut from = 0;
        for dot in memchr::memchr_iter(b'.', piece) {
            let line_begins = match dot {
                0 => before == *b"\r\n",
                1 => [before[1], piece[0]] == *b"\r\n",
                _ => piece[dot - 2..dot] == *b"\r\n",
            };
            if line_begins {
                out.push(piece.slice(from..=dot));
                from = dot;
            }
        }
        out.push(piece.slice(from..));
        for &octet in &piece[piece.len().saturating_sub(2)..] {
            before = [before[1], octet];
        }
    }
    out.push(Bytes::from_static(b"\r\n.\r\n"));
    out
}

/// lettre, and so do we, ends every text with a line end of its own before the dot.
fn without_final_line_end(mut text: Vec<Bytes>) -> Vec<Bytes> {
    let mut cut = |wanted: u8| {
        while text.last().is_some_and(Bytes::is_empty) {
            text.pop();
        }
        let Some(last) = text.last_mut() else { return false };
        let found = last.last() == Some(&wanted);
        if found {
            last.truncate(last.len() - 1);
        }
        found
    };
    if cut(b'\n') && !cut(b'\r') {
        text.push(Bytes::from_static(b"\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: u16) -> SmtpReply {
        SmtpReply { code, enhanced: None, text: String::new() }
    }

    #[test]
    fn every_recipient_gets_its_reply() {
        for (answers, recipients, expected, data) in [
            (vec![250, 250, 550, 354], 2, vec![250, 550], Ok(())),
            (vec![250, 550, 550, 554], 2, vec![550, 550], Err(554)),
            (vec![250, 550, 450], 2, vec![550, 450], Err(450)),
            (vec![452], 2, vec![452, 452], Err(452)),
            (vec![452, 503, 503, 503], 2, vec![452, 452], Err(452)),
            (vec![452, 503, 503, 354], 2, vec![452, 452], Ok(())),
            (vec![250, 250, 451], 1, vec![250], Err(451)),
        ] {
            let mut replies = Vec::new();
            let result = judge(answers.iter().copied().map(code).collect(), recipients, &mut replies);
            assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), expected, "{answers:?}");
            assert_eq!(result.map_err(|reply| reply.code), data, "{answers:?}");
        }
    }

    #[test]
    fn enhanced_codes_are_found() {
        for (text, expected) in [
            ("2.1.5 Ok", Some("2.1.5")),
            ("5.7.1", Some("5.7.1")),
            ("Ok", None),
            ("1.2.3.4 is blocked", None),
            ("3.0.0 x", None),
        ] {
            assert_eq!(reply(250, text.to_owned()).enhanced.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn dots_are_stuffed_wherever_the_text_is_cut() {
        for (text, expected) in [
            ("", ""),
            (".", ".."),
            ("a.b\r\n.\r\n..c\r\nd.", "a.b\r\n..\r\n...c\r\nd."),
            ("a\n.b\r.c\r\r\n.d", "a\n.b\r.c\r\r\n..d"),
            ("\r\n.", "\r\n.."),
        ] {
            let whole = Bytes::copy_from_slice(text.as_bytes());
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let pieces = [whole.slice(..first), whole.slice(first..second), whole.slice(second..)];
                    let sent = stuffed(&pieces).concat();
                    assert_eq!(sent, format!("{expected}\r\n.\r\n").into_bytes(), "{text:?} {first} {second}");
                }
            }
        }
    }

    #[test]
    fn exactly_one_line_end_is_cut_also_across_pieces() {
        for (pieces, expected) in [
            (vec!["a\r\n"], "a"),
            (vec!["a\r\n\r\n"], "a\r\n"),
            (vec!["a\r", "\n"], "a"),
            (vec!["a\r\n", ""], "a"),
            (vec!["a\n"], "a\n"),
            (vec!["a"], "a"),
            (vec![], ""),
            (vec!["\r\n"], ""),
        ] {
            let text = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
            let cut: Vec<u8> = without_final_line_end(text).concat();
            assert_eq!(cut, expected.as_bytes(), "{pieces:?}");
        }
    }
}
