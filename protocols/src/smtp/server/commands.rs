//! What each command does.

use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, Envelope, MailParameters, Recipient};
use crate::smtp::fault::{GrammarFault, SmtpFault};
use crate::smtp::grammar::{self, Command};
use crate::smtp::limits::IDLE_COMMANDS_MAX;
use crate::smtp::reply::Reply;
use crate::time::Now;

use super::{Event, Question, Server, State, Transaction};

impl Server {
    /// One line, without its CRLF.
    pub(super) fn command_line(&mut self, now: Now, line: &[u8]) {
        if let State::Auth(step) = std::mem::replace(&mut self.state, State::Command) {
            return self.auth_line(step, line);
        }
        match grammar::command(line, &self.config.extensions, &self.config.hostname) {
            Ok(command) => self.command(now, command),
            Err(fault) => self.refuse(&fault.reply()),
        }
    }

    fn command(&mut self, now: Now, command: Command) {
        if let Some(reply) = self.needs_auth(&command) {
            return self.refuse(&reply);
        }
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail(sender, parameters) => self.mail(sender, parameters),
            Command::Rcpt(recipient) => self.rcpt(recipient),
            Command::Data => self.begin_data(now),
            Command::Bdat { octets, last } => self.begin_chunk(now, octets, last),
            Command::Rset => self.rset(),
            Command::Noop => self.idle(&Reply::new(250, (0, 0), "ok")),
            Command::Help => self.idle(&Reply::new(214, (0, 0), "see RFC 5321")),
            Command::Vrfy => self.idle(&Reply::new(252, (0, 0), "send mail and find out")),
            Command::Expn => self.refuse(&Reply::new(502, (5, 1), "EXPN is not implemented")),
            Command::Quit => self.quit(),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_deref()),
        }
    }

    /// On a submission port nothing happens before AUTH. BDAT is left to the order of commands: its octets follow it
    /// whatever the reply.
    //= smtp/AUTH-002
    fn needs_auth(&self, command: &Command) -> Option<Reply> {
        let free = !self.config.auth_required || self.session.user.is_some() || self.session.client_name.is_none();
        match command {
            _ if free => None,
            Command::Mail(..) | Command::Rcpt(_) | Command::Data | Command::Vrfy | Command::Expn => {
                let in_clear = self.offers_tls() && !self.offers_auth();
                Some(Reply::new(
                    530,
                    (7, 0),
                    if in_clear { "send STARTTLS, then AUTH" } else { "authentication required" },
                ))
            }
            Command::Ehlo(_)
            | Command::Helo(_)
            | Command::Bdat { .. }
            | Command::Rset
            | Command::Noop
            | Command::Help
            | Command::Quit
            | Command::StartTls
            | Command::Auth { .. } => None,
        }
    }

    fn hello(&mut self, name: String, extended: bool) {
        //= smtp/PIPE-002
        if !self.input.is_empty() {
            return self.fail(SmtpFault::Pipelining(if extended { "EHLO" } else { "HELO" }));
        }
        self.abort();
        self.session.client_name = Some(name);
        self.session.extended = extended;
        let reply = if extended { self.ehlo_reply() } else { Reply::plain(250, self.config.hostname.clone()) };
        self.idle(&reply);
    }

    fn ehlo_reply(&self) -> Reply {
        let offered = &self.config.extensions;
        let size = format!("SIZE {}", self.config.size_max);
        [
            (offered.pipelining, "PIPELINING"),
            (offered.size, size.as_str()),
            (offered.eight_bit_mime, "8BITMIME"),
            (offered.smtputf8, "SMTPUTF8"),
            (offered.chunking, "CHUNKING"),
            (offered.chunking && offered.binary_mime, "BINARYMIME"),
            (offered.dsn, "DSN"),
            (offered.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            //= smtp/PRIO-004
            (offered.mt_priority, "MT-PRIORITY STANAG4406"),
            (offered.deliver_by, "DELIVERBY"),
            (self.offers_tls(), "STARTTLS"),
            (self.offers_auth(), "AUTH PLAIN LOGIN"),
            (true, "HELP"),
        ]
        .into_iter()
        .filter(|(on, _)| *on)
        .fold(Reply::plain(250, self.config.hostname.clone()), |reply, (_, line)| reply.line(line))
    }

    fn mail(&mut self, sender: Option<Mailbox>, parameters: Box<MailParameters>) {
        if self.session.client_name.is_none() {
            return self.refuse(&Reply::new(503, (5, 1), "send EHLO first"));
        }
        if self.transaction.is_some() {
            return self.refuse(&Reply::new(503, (5, 1), "nested MAIL command"));
        }
        //= smtp/SIZE-001
        if parameters.size.is_some_and(|size| size > self.config.size_max) {
            return self.refuse(&SmtpFault::MailTooLarge(self.config.size_max).reply());
        }
        if parameters.body == Some(BodyType::BinaryMime) && !self.config.extensions.chunking {
            return self.refuse(&GrammarFault::ParameterValue("BODY").reply());
        }
        self.events.push_back(Event::Sender { sender: sender.clone(), parameters: parameters.clone() });
        self.state = State::Waiting(Question::Sender(sender, parameters));
    }

    pub(super) fn sender_answered(&mut self, sender: Option<Mailbox>, mail: MailParameters, reply: &Reply) {
        if reply.is_positive() {
            let envelope = Envelope { sender, mail, recipients: Vec::new() };
            self.transaction = Some(Transaction { envelope, scanner: None, failed: false, early: None });
        }
    }

    fn rcpt(&mut self, recipient: Box<Recipient>) {
        let Some(transaction) = &self.transaction else {
            return self.refuse(&Reply::new(503, (5, 1), "need MAIL command"));
        };
        if transaction.scanner.is_some() {
            return self.refuse(&Reply::new(503, (5, 1), "RCPT after BDAT"));
        }
        //= smtp/UTF8-001
        if !recipient.to.is_ascii() && !transaction.envelope.mail.smtputf8 {
            return self.refuse(&GrammarFault::NeedsSmtpUtf8.reply());
        }
        //= smtp/RCPT-001
        if transaction.envelope.recipients.len() >= self.config.recipients_max {
            return self.reply(&Reply::new(452, (5, 3), "too many recipients"));
        }
        self.events.push_back(Event::Recipient(recipient.clone()));
        self.state = State::Waiting(Question::Recipient(recipient));
    }

    pub(super) fn recipient_answered(&mut self, recipient: Recipient, reply: &Reply) {
        if let Some(transaction) = self.transaction.as_mut().filter(|_| reply.is_positive()) {
            transaction.envelope.recipients.push(recipient);
        }
    }

    fn rset(&mut self) {
        self.abort();
        self.idle(&Reply::new(250, (0, 0), "ok"));
    }

    fn quit(&mut self) {
        self.reply(&Reply::new(221, (0, 0), format!("{} closing connection", self.config.hostname)));
        self.close(None);
    }

    pub(super) fn offers_tls(&self) -> bool {
        self.config.extensions.start_tls && self.config.tls && self.session.secured.is_none()
    }

    fn start_tls(&mut self) {
        if self.session.secured.is_some() {
            return self.refuse(&Reply::new(503, (5, 1), "TLS is already active"));
        }
        if !self.config.tls {
            return self.refuse(&Reply::new(454, (7, 0), "TLS is not available"));
        }
        //= smtp/TLS-001
        if !self.input.is_empty() {
            self.events.push_back(Event::Noted(SmtpFault::PlainTextAfterStartTls(self.input.len())));
            self.input.clear();
        }
        self.abort();
        self.reply(&Reply::new(220, (0, 0), "ready to start TLS"));
        self.events.push_back(Event::StartTls);
        self.state = State::Securing;
    }

    /// Answers a command that leads nowhere.
    fn idle(&mut self, reply: &Reply) {
        self.reply(reply);
        self.idle_commands += 1;
        if self.idle_commands > IDLE_COMMANDS_MAX {
            self.fail(SmtpFault::TooManyIdleCommands);
        }
    }
}
