//! A mail client or local MTA that submits mail: it speaks real SMTP octets to a node's listener.
//!
//! One [`Client`] is one connection with one or more mails, pipelined or step by step. It does not judge the server:
//! what was answered stands in the [`Submission`]s, and the checkers compare it with what became of the mail.

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;

/// A mail to be submitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Reverse path without brackets; empty for the null path.
    pub from: String,
    /// Forward paths without brackets.
    pub to: Vec<String>,
    /// Parameters of MAIL FROM as written, without the blank in front.
    pub mail_parameters: String,
    /// Parameters of each RCPT TO as written, without the blank in front.
    pub rcpt_parameters: String,
    /// The Message-ID of its header, with brackets.
    pub message_id: String,
    /// The text, lines ended by CRLF, not dot-stuffed.
    pub text: Bytes,
}

/// A reply of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerReply {
    /// Three digits.
    pub code: u16,
    /// The rest, lines joined by a blank.
    pub text: String,
}

impl ServerReply {
    /// Whether it is a success.
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
}

/// What became of a draft.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Which draft, counted per connection.
    pub number: usize,
    /// The recipients that were accepted.
    pub accepted: Vec<String>,
    /// The recipients that were refused, with the reply.
    pub refused: Vec<(String, ServerReply)>,
    /// The reply to the text, or the one that ended the transaction; `None` when the connection broke before it.
    pub end: Option<ServerReply>,
    /// Whether the text had been sent when the connection broke: the server may have taken it.
    pub in_doubt: bool,
}

impl Submission {
    /// Whether the server took the responsibility for the accepted recipients.
    pub fn is_taken(&self) -> bool {
        self.end.as_ref().is_some_and(ServerReply::is_positive) && !self.accepted.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Greeting,
    Hello,
    Mail,
    Rcpt(usize),
    Data,
    Text,
    Quit,
}

/// One connection. See the module's page.
#[derive(Debug)]
pub struct Client {
    drafts: VecDeque<Draft>,
    number: usize,
    pipelining: bool,
    expected: VecDeque<Expect>,
    line: Vec<u8>,
    reply_text: Vec<String>,
    current: Submission,
    out: VecDeque<Bytes>,
    done: VecDeque<Submission>,
    closing: bool,
}

impl Client {
    /// A connection that has just been opened.
    pub fn new(drafts: Vec<Draft>, pipelining: bool) -> Self {
        Self {
            drafts: drafts.into(),
            number: 0,
            pipelining,
            expected: VecDeque::from([Expect::Greeting]),
            line: Vec::new(),
            reply_text: Vec::new(),
            current: fresh(0),
            out: VecDeque::new(),
            done: VecDeque::new(),
            closing: false,
        }
    }

    /// Takes octets of the server.
    pub fn handle_read(&mut self, octets: &[u8]) {
        for &octet in octets {
            if octet != b'\n' {
                self.line.push(octet);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
            self.on_line(&line);
        }
    }

    /// The server closed the connection: what was under way is in doubt, what was not begun is broken.
    pub fn handle_closed(&mut self) {
        if self.closing {
            return;
        }
        self.closing = true;
        let in_doubt = self.expected.contains(&Expect::Text);
        while !self.drafts.is_empty() {
            let begun = self.expected.iter().any(|e| !matches!(e, Expect::Greeting | Expect::Hello));
            self.current.in_doubt = in_doubt && begun;
            self.expected.clear();
            self.finish(None);
        }
    }

    /// Octets for the server.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// What became of a draft.
    pub fn poll_event(&mut self) -> Option<Submission> {
        self.done.pop_front()
    }

    /// Whether it wants the connection to be closed.
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    fn on_line(&mut self, line: &str) {
        let code = line.get(..3).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
        self.reply_text.push(line.get(4..).unwrap_or_default().to_owned());
        if line.as_bytes().get(3) == Some(&b'-') {
            return;
        }
        let reply = ServerReply { code, text: std::mem::take(&mut self.reply_text).join(" ") };
        self.on_reply(reply);
    }

    fn on_reply(&mut self, reply: ServerReply) {
        let Some(expected) = self.expected.pop_front() else { return };
        if reply.code == 421 && expected != Expect::Quit {
            return self.finish_all(&reply);
        }
        match expected {
            Expect::Greeting if reply.is_positive() => self.command("EHLO client.test".to_owned(), Expect::Hello),
            Expect::Hello if reply.is_positive() => self.begin(),
            Expect::Greeting | Expect::Hello => self.finish_all(&reply),
            Expect::Mail => self.on_mail(reply),
            Expect::Rcpt(index) => self.on_rcpt(index, reply),
            Expect::Data => self.on_data(reply),
            Expect::Text => {
                self.finish(Some(reply));
                self.begin();
            }
            Expect::Quit => self.closing = true,
        }
    }

    fn on_mail(&mut self, reply: ServerReply) {
        if self.pipelining {
            if !reply.is_positive() {
                self.current.end = Some(reply);
            }
        } else if reply.is_positive() {
            self.rcpt(0);
        } else {
            self.finish(Some(reply));
            self.begin();
        }
    }

    fn on_rcpt(&mut self, index: usize, reply: ServerReply) {
        let Some(draft) = self.drafts.front() else { return };
        let (recipient, last) = (draft.to.get(index).cloned().unwrap_or_default(), index + 1 >= draft.to.len());
        if reply.is_positive() {
            self.current.accepted.push(recipient);
        } else {
            self.current.refused.push((recipient, reply.clone()));
        }
        if self.pipelining {
            return;
        }
        if !last {
            self.rcpt(index + 1);
        } else if self.current.accepted.is_empty() {
            self.out.push_back(Bytes::from_static(b"RSET\r\n"));
            // Its reply is taken like that of a text nobody waits for.
            self.current.end = Some(reply);
            self.expected.push_back(Expect::Text);
        } else {
            self.command("DATA".to_owned(), Expect::Data);
        }
    }

    fn on_data(&mut self, reply: ServerReply) {
        if reply.code == 354 {
            let text = self.drafts.front().map(|draft| stuffed(&draft.text)).unwrap_or_default();
            self.out.push_back(Bytes::from(text));
            self.expected.push_back(Expect::Text);
        } else {
            self.finish(Some(reply));
            self.begin();
        }
    }

    /// Starts the next draft, or ends the session.
    fn begin(&mut self) {
        let Some(draft) = self.drafts.front() else {
            return self.command("QUIT".to_owned(), Expect::Quit);
        };
        let mail = with_parameters(format!("MAIL FROM:<{}>", draft.from), &draft.mail_parameters);
        if !self.pipelining {
            return self.command(mail, Expect::Mail);
        }
        let mut lines = vec![mail];
        lines.extend(draft.to.iter().map(|to| with_parameters(format!("RCPT TO:<{to}>"), &draft.rcpt_parameters)));
        lines.push("DATA".to_owned());
        self.expected.push_back(Expect::Mail);
        self.expected.extend((0..draft.to.len()).map(Expect::Rcpt));
        self.expected.push_back(Expect::Data);
        self.out.push_back(Bytes::from(lines.join("\r\n") + "\r\n"));
    }

    fn rcpt(&mut self, index: usize) {
        let Some(draft) = self.drafts.front() else { return };
        let to = draft.to.get(index).cloned().unwrap_or_default();
        let line = with_parameters(format!("RCPT TO:<{to}>"), &draft.rcpt_parameters);
        self.command(line, Expect::Rcpt(index));
    }

    fn command(&mut self, line: String, expect: Expect) {
        self.out.push_back(Bytes::from(line + "\r\n"));
        self.expected.push_back(expect);
    }

    fn finish(&mut self, reply: Option<ServerReply>) {
        let mut submission = std::mem::replace(&mut self.current, fresh(self.number + 1));
        self.number += 1;
        submission.end = submission.end.or(reply);
        self.drafts.pop_front();
        self.done.push_back(submission);
    }

    fn finish_all(&mut self, reply: &ServerReply) {
        while !self.drafts.is_empty() {
            self.finish(Some(reply.clone()));
        }
        self.expected.clear();
        self.closing = true;
    }
}

const fn fresh(number: usize) -> Submission {
    Submission { number, accepted: Vec::new(), refused: Vec::new(), end: None, in_doubt: false }
}

fn with_parameters(line: String, parameters: &str) -> String {
    if parameters.is_empty() { line } else { line + " " + parameters }
}

/// The text as it goes over SMTP, with the final dot.
fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut at_line_start = true;
    for &octet in text {
        if at_line_start && octet == b'.' {
            out.push(b'.');
        }
        out.push(octet);
        at_line_start = octet == b'\n';
    }
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(to: &[&str]) -> Draft {
        Draft {
            from: "a@hq.test".to_owned(),
            to: to.iter().map(|&to| to.to_owned()).collect(),
            mail_parameters: "MT-PRIORITY=4".to_owned(),
            rcpt_parameters: "NOTIFY=SUCCESS".to_owned(),
            message_id: "<1@hq.test>".to_owned(),
            text: Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n"),
        }
    }

    /// Plays a transcript: `S: ` lines are read, `C: ` lines must have been written; returns the submissions.
    fn play(mut client: Client, transcript: &str) -> Vec<Submission> {
        let mut written = String::new();
        for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
            while let Some(octets) = client.poll_write() {
                written.push_str(&String::from_utf8_lossy(&octets));
            }
            if let Some(said) = line.strip_prefix("S: ") {
                client.handle_read(format!("{said}\r\n").as_bytes());
            } else if let Some(expected) = line.strip_prefix("C:") {
                let expected = format!("{}\r\n", expected.trim_start());
                assert!(written.starts_with(&expected), "{expected:?} expected, {written:?} written");
                written.drain(..expected.len());
            } else {
                client.handle_closed();
            }
        }
        assert_eq!(written, "");
        std::iter::from_fn(|| client.poll_event()).collect()
    }

    #[test]
    fn a_mail_step_by_step() {
        let done = play(
            Client::new(vec![draft(&["b@f.test", "c@f.test"])], false),
            "S: 220 hq
             C: EHLO client.test
             S: 250-hq
             S: 250 PIPELINING
             C: MAIL FROM:<a@hq.test> MT-PRIORITY=4
             S: 250 ok
             C: RCPT TO:<b@f.test> NOTIFY=SUCCESS
             S: 250 ok
             C: RCPT TO:<c@f.test> NOTIFY=SUCCESS
             S: 550 5.1.1 no
             C: DATA
             S: 354 go
             C: Subject: x
             C:
             C: ..dot
             C: .
             S: 250 2.0.0 queued as 17
             C: QUIT
             S: 221 bye",
        );
        assert_eq!(done.len(), 1);
        assert!(done[0].is_taken());
        assert_eq!(done[0].accepted, ["b@f.test"]);
        assert_eq!(done[0].refused[0].1.code, 550);
    }

    #[test]
    fn a_connection_that_breaks_after_the_text_leaves_doubt() {
        let done = play(
            Client::new(vec![draft(&["b@f.test"]), draft(&["b@f.test"])], true),
            "S: 220 hq
             C: EHLO client.test
             S: 250 hq
             C: MAIL FROM:<a@hq.test> MT-PRIORITY=4
             C: RCPT TO:<b@f.test> NOTIFY=SUCCESS
             C: DATA
             S: 250 ok
             S: 250 ok
             S: 354 go
             C: Subject: x
             C:
             C: ..dot
             C: .
             (closed)",
        );
        assert_eq!(
            done.iter().map(|s| (s.is_taken(), s.in_doubt)).collect::<Vec<_>>(),
            [(false, true), (false, false)]
        );
    }

    #[test]
    fn a_refused_mail_is_no_taken_mail() {
        let done = play(
            Client::new(vec![draft(&["b@f.test"])], true),
            "S: 220 hq
             C: EHLO client.test
             S: 250 hq
             C: MAIL FROM:<a@hq.test> MT-PRIORITY=4
             C: RCPT TO:<b@f.test> NOTIFY=SUCCESS
             C: DATA
             S: 452 4.3.1 disk full
             S: 503 5.5.1 no
             S: 503 5.5.1 no
             C: QUIT",
        );
        assert_eq!(done[0].end.as_ref().map(|reply| reply.code), Some(452));
        assert!(!done[0].is_taken());
    }
}
