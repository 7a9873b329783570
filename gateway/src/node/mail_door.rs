//! The SMTP door inside the node: answers the questions of the sessions and carries texts to the store.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::mail::{MailParameters, Recipient};
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::smtp::headers::{Policy, Received};
use skywave_protocols::smtp::limits::LINE_OCTETS_MAX;
use skywave_protocols::smtp::reply::Reply;
use skywave_protocols::smtp::server::{BodyFacts, Event as SmtpEvent, Secured as SmtpSecured, Server, ServerConfig};
use skywave_protocols::time::Now;
use skywave_transports::io::{PipeId, PipeInput, PipeOutput, Secure, TlsRole, Trust};

use super::config::MailConfig;
use super::seam::{Answer, Job, ListenerId, Needs, Secret};
use super::steps::{AnswerTo, Incoming};
use super::{Node, Output, Pending};
use crate::door::intake::heading;
use crate::door::limits::REFUSALS_MAX;
use crate::queue::lanes::BATCH_LANE;
use crate::queue::record::Ticket;
use crate::router::{Way, largest, way};
use crate::store::BodyId;
use crate::telemetry::Event;

/// What a server of this site is told.
pub fn server_config(mail: &MailConfig) -> Arc<ServerConfig> {
    let mut config = ServerConfig::new(mail.hostname.clone());
    config.size_max = mail.size_octets_max;
    config.recipients_max = mail.recipients_max;
    config.tls = mail.certificate.is_some();
    config.extensions.start_tls = config.tls;
    config.extensions.auth = mail.auth;
    config.auth_in_clear = mail.auth_without_tls;
    Arc::new(config)
}

/// The same where users submit.
pub fn submission_config(server: &ServerConfig) -> Arc<ServerConfig> {
    Arc::new(ServerConfig { auth_required: true, ..server.clone() })
}

impl Node {
    /// Listeners of the door in the order of their numbers: those of everybody, then those of users.
    pub(super) fn door_listeners(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.config.mail.listen.iter().chain(&self.config.mail.submission).copied()
    }

    pub(super) fn session_accepted(&mut self, now: Now, listener: ListenerId, pipe: PipeId, peer: SocketAddr) {
        let of_users = listener.0 as usize >= self.config.mail.listen.len();
        let config = if of_users { &self.submission_config } else { &self.server_config };
        let mut server = Server::new(config.clone(), now, peer);
        if self.sessions.served() < self.config.mail.connections_max && !self.stopping {
            self.sessions.open(pipe, server);
        } else if self.sessions.refused() < REFUSALS_MAX {
            let why = if self.stopping { "closing down" } else { "too many connections" };
            server.shut_down(&Reply::new(421, (3, 2), format!("{} {why}, try later", self.config.mail.hostname)));
            self.sessions.refuse(pipe, server);
        } else {
            // Whoever takes no no for an answer would cost a descriptor and a task each until it closes.
            return self.out.push_back(Output::Pipe(pipe, PipeOutput::Abandon));
        }
        self.drive_session(now, pipe);
    }

    pub(super) fn session_input(&mut self, now: Now, pipe: PipeId, input: PipeInput) {
        let Some(session) = self.sessions.get_mut(pipe) else { return };
        match input {
            PipeInput::Read(octets) => session.server.handle_read(now, &octets),
            PipeInput::Secured(secured) => {
                session.server.handle_secured(now, SmtpSecured { peer_names: secured.peer_names });
            }
            PipeInput::Closed(_) | PipeInput::SecureFailed(_) | PipeInput::Refused(_) => {
                session.server.handle_closed();
                self.drive_session(now, pipe);
                self.sessions.close(pipe);
                return;
            }
            PipeInput::Opened | PipeInput::Drained(_) => {}
        }
        self.drive_session(now, pipe);
    }

    pub(super) fn sessions_due(&mut self, now: Now) {
        for pipe in self.sessions.due(now.mono) {
            if let Some(session) = self.sessions.get_mut(pipe) {
                session.server.handle_wakeup(now);
            }
            self.drive_session(now, pipe);
        }
    }

    /// The reply to a complete mail.
    pub(super) fn session_finish(&mut self, now: Now, pipe: PipeId, reply: Reply) {
        if let Some(session) = self.sessions.get_mut(pipe) {
            session.server.finish(now, reply);
            self.drive_session(now, pipe);
        }
    }

    /// We end: the client is told to come back later.
    pub(super) fn session_stop(&mut self, now: Now, pipe: PipeId) {
        let reply = Reply::new(421, (3, 2), format!("{} closing down, try later", self.config.mail.hostname));
        if let Some(session) = self.sessions.get_mut(pipe) {
            session.server.shut_down(&reply);
        }
        self.drive_session(now, pipe);
    }

    /// A password was checked.
    pub(super) fn authenticated(&mut self, now: Now, pipe: PipeId, answer: &Answer) {
        if let Some(session) = self.sessions.get_mut(pipe) {
            session.server.authenticated(now, *answer == Answer::Authenticated(true));
            self.drive_session(now, pipe);
        }
    }

    /// So many octets of a mail's text are in the store.
    pub(super) fn body_appended(&mut self, now: Now, body: BodyId, octets: usize) {
        let Some(pipe) = self.sessions.of_body(Ticket(body.0)) else { return };
        if let Some(session) = self.sessions.get_mut(pipe) {
            session.server.body_taken(octets);
            self.drive_session(now, pipe);
        }
    }

    /// The disk did not take a piece of a text.
    pub(super) fn body_failed(&mut self, now: Now, body: BodyId, why: &str) {
        let Some(pipe) = self.sessions.of_body(Ticket(body.0)) else { return };
        self.refuse_early(now, pipe, Reply::new(452, (3, 1), format!("cannot store mail now: {why}")));
    }

    /// Refuses the mail of a session before its end.
    fn refuse_early(&mut self, now: Now, pipe: PipeId, reply: Reply) {
        let Some(session) = self.sessions.get_mut(pipe) else { return };
        if let Some(mail) = session.mail.as_mut().filter(|mail| !mail.refused) {
            mail.refused = true;
            let body = BodyId(mail.ticket.0);
            session.server.finish(now, reply);
            self.out.push_back(Output::AbandonBody(body));
        }
        self.drive_session(now, pipe);
    }

    /// Takes everything a session has to say.
    fn drive_session(&mut self, now: Now, pipe: PipeId) {
        while let Some(event) = self.sessions.get_mut(pipe).and_then(|session| session.server.poll_event()) {
            self.session_write(pipe);
            self.session_event(now, pipe, event);
        }
        self.session_write(pipe);
        if let Some(session) = self.sessions.get_mut(pipe)
            && session.server.wants_pause() != session.paused
        {
            session.paused = !session.paused;
            let output = if session.paused { PipeOutput::Pause } else { PipeOutput::Resume };
            self.out.push_back(Output::Pipe(pipe, output));
        }
        self.sessions.note_wakeup(pipe);
    }

    fn session_write(&mut self, pipe: PipeId) {
        while let Some(octets) = self.sessions.get_mut(pipe).and_then(|session| session.server.poll_write()) {
            self.out.push_back(Output::Pipe(pipe, PipeOutput::Write(octets)));
        }
    }

    fn session_event(&mut self, now: Now, pipe: PipeId, event: SmtpEvent) {
        match event {
            SmtpEvent::Authenticate { user, password } => {
                let number = self.storekeeper.number();
                self.pending.insert(number, Pending::Authenticate(pipe));
                let password = Secret(password.expose().to_owned());
                self.out.push_back(Output::Compute(number, Box::new(Job::Authenticate { user, password })));
            }
            SmtpEvent::Sender { parameters, .. } => {
                let reply = self.sender_reply(&parameters);
                self.session_answer(now, pipe, &reply);
            }
            SmtpEvent::Recipient(recipient) => {
                let reply = self.recipient_reply(pipe, &recipient);
                self.session_answer(now, pipe, &reply);
            }
            SmtpEvent::Opened(envelope) => {
                let ticket = self.new_ticket(now.wall);
                self.sessions.begin(pipe, ticket, *envelope);
            }
            SmtpEvent::BodyPiece(piece) => self.session_piece(now, pipe, piece),
            SmtpEvent::BodyEnd(facts) => self.session_end(now, pipe, facts),
            SmtpEvent::Aborted => {
                if let Some(mail) = self.sessions.end(pipe) {
                    self.out.push_back(Output::AbandonBody(BodyId(mail.ticket.0)));
                }
            }
            SmtpEvent::StartTls => self.session_secure(pipe),
            SmtpEvent::Noted(fault) => self.tell_refused(pipe, fault.to_string()),
            SmtpEvent::Closed(fault) => {
                if let Some(fault) = fault {
                    self.tell_refused(pipe, fault.to_string());
                }
                self.out.push_back(Output::Pipe(pipe, PipeOutput::Close));
            }
        }
    }

    fn session_answer(&mut self, now: Now, pipe: PipeId, reply: &Reply) {
        if !reply.is_positive() {
            self.tell_refused(pipe, format!("{} {}", reply.code(), reply.text()));
        }
        if let Some(session) = self.sessions.get_mut(pipe) {
            session.server.answer(now, reply);
        }
    }

    fn tell_refused(&mut self, pipe: PipeId, reply: String) {
        let peer = self.sessions.get_mut(pipe).map(|session| session.server.session().peer.ip().to_string());
        self.tell(Event::MailRefused { source: format!("smtp {}", peer.unwrap_or_default()), reply });
    }

    /// May this sender begin a mail?
    fn sender_reply(&self, parameters: &MailParameters) -> Reply {
        if self.stopping {
            return Reply::new(421, (3, 2), "closing down, try later");
        }
        if self.storekeeper.is_failing() {
            return Reply::new(452, (3, 1), "cannot store mail now, try later");
        }
        let asked = parameters.mt_priority.map_or(self.config.mail.precedence_default, MtPriority::precedence);
        let queue = &self.config.queue;
        let room = if asked >= Precedence::Immediate {
            queue.mails_max
        } else {
            queue.mails_max - queue.mails_reserved.min(queue.mails_max)
        };
        if self.counters.mails_queued() >= room {
            return Reply::new(452, (3, 1), "the queue is full, try later");
        }
        let ceiling = self.config.mail.precedence_ceiling;
        match parameters.mt_priority {
            //= smtp/MTP-006
            Some(value) if value > ceiling => Reply::new(250, (3, 6), format!("{ceiling} is the priority granted")),
            _ => Reply::new(250, (1, 0), "sender ok"),
        }
    }

    /// Is this recipient taken?
    fn recipient_reply(&mut self, pipe: PipeId, recipient: &Recipient) -> Reply {
        let Some(session) = self.sessions.get_mut(pipe) else { return Reply::new(451, (3, 0), "no session") };
        let may_relay = session.server.session().user.is_some()
            || relays(&self.config.mail.relay_networks, session.server.session().peer.ip());
        let declared = session.server.declared_size().unwrap_or_default();
        match (way(&self.config, &self.links.down, &recipient.to), may_relay) {
            //= smtp/SIZE-002
            (Way::Site(..), true) if declared > largest(&self.config, &recipient.to) => {
                let most = largest(&self.config, &recipient.to);
                Reply::new(552, (3, 4), format!("the way to this recipient carries {most} octets at most"))
            }
            // A batch could smuggle mail past the relay rules (RFC 2442, security considerations).
            (Way::Local(lane), false) if *lane == *BATCH_LANE => Reply::new(550, (7, 1), "relaying denied"),
            (Way::Local(_), _) | (Way::Site(..), true) => Reply::new(250, (1, 5), "recipient ok"),
            (Way::Nowhere, true) => Reply::new(550, (1, 2), "no way to this domain is configured"),
            (Way::Site(..) | Way::Nowhere, false) => Reply::new(550, (7, 1), "relaying denied"),
        }
    }

    fn session_secure(&mut self, pipe: PipeId) {
        let secure = Secure {
            role: TlsRole::Server,
            server_name: None,
            alpn: Vec::new(),
            certificate: self.config.mail.certificate.clone(),
            trust: Trust::Anybody,
        };
        self.out.push_back(Output::Pipe(pipe, PipeOutput::Secure(secure)));
    }

    fn session_piece(&mut self, now: Now, pipe: PipeId, piece: Bytes) {
        let Some(session) = self.sessions.get_mut(pipe) else { return };
        let Some(mail) = session.mail.as_mut() else { return };
        if mail.refused {
            session.server.body_taken(piece.len());
            return;
        }
        let octets = piece.len();
        match mail.intake.take(piece) {
            Some(ready) if mail.heading.is_some() => self.append(pipe, ready),
            Some(beginning) => {
                session.server.body_taken(octets);
                self.session_heading(now, pipe, &beginning);
            }
            None => session.server.body_taken(octets),
        }
    }

    /// The header is complete: it decides about precedence and loops.
    fn session_heading(&mut self, now: Now, pipe: PipeId, beginning: &Bytes) {
        let Some(session) = self.sessions.get_mut(pipe) else { return };
        let who = session.server.session().clone();
        let Some(mail) = session.mail.as_mut() else { return };
        let (peer, ticket) = (who.peer.ip().to_string(), mail.ticket.to_string());
        let received = Received {
            client: who.client_name.as_deref().unwrap_or("unknown"),
            peer: &peer,
            site: &self.config.site,
            protocol: who.protocol(mail.envelope.mail.smtputf8),
            ticket: &ticket,
            priority: None,
            at: now.wall,
        };
        let policy = Policy {
            default: self.config.mail.precedence_default,
            ceiling: self.config.mail.precedence_ceiling.precedence(),
            mmhs: self.config.mail.mmhs_unknown,
        };
        let heading = heading(beginning, &mail.envelope.mail, policy, &received);
        if heading.received > self.config.mail.hops_max {
            let reply = Reply::new(554, (4, 6), format!("{} Received fields: the mail loops", heading.received));
            return self.refuse_early(now, pipe, reply);
        }
        let octets = heading.octets.clone();
        mail.heading = Some(heading);
        self.append(pipe, octets);
    }

    fn append(&mut self, pipe: PipeId, octets: Bytes) {
        let Some(mail) = self.sessions.get_mut(pipe).and_then(|session| session.mail.as_mut()) else { return };
        mail.stored += octets.len() as u64;
        let body = BodyId(mail.ticket.0);
        if !octets.is_empty() {
            self.out.push_back(Output::AppendBody(body, octets));
        }
    }

    fn session_end(&mut self, now: Now, pipe: PipeId, facts: BodyFacts) {
        let rest = self
            .sessions
            .get_mut(pipe)
            .and_then(|session| session.mail.as_mut())
            .and_then(|mail| (!mail.intake.passed()).then(|| mail.intake.rest()));
        if let Some(rest) = rest {
            self.session_heading(now, pipe, &rest);
        }
        let Some(mail) = self.sessions.end(pipe) else { return };
        let (Some(heading), false) = (mail.heading, mail.refused) else { return };
        let source = self.sessions.get_mut(pipe).map(|session| session.server.session().peer.ip().to_string());
        let mut envelope = mail.envelope;
        self.tell_oddities("smtp", &envelope, &heading);
        //= smtp/MTP-005
        envelope.mail.mt_priority = envelope.mail.mt_priority.and(heading.value);
        let utf8 = heading.utf8 || envelope.recipients.iter().any(|recipient| !recipient.to.is_ascii());
        let binary = facts.binary || facts.line_octets > LINE_OCTETS_MAX;
        let needs = Needs { eight_bit: facts.eight_bit, binary, utf8 };
        self.accept(
            now,
            Incoming {
                ticket: mail.ticket,
                source: format!("smtp {}", source.unwrap_or_default()),
                // A mail that went through a Skywave, then through other servers, is a new one here: its second coming by
                // radio is for the carrier and the origin of that hop to find out.
                origin: None,
                envelope,
                priority: heading.priority,
                octets: mail.stored,
                header_octets: heading.header_octets,
                message_id: heading.message_id,
                mt_priority_fields: heading.mt_priority_fields,
                needs,
                arrived_by: None,
                extra: Vec::new(),
                answer: AnswerTo::Session(pipe),
            },
        );
    }
}

/// Whether the address is in one of the networks.
fn relays(networks: &[(IpAddr, u8)], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|&(network, prefix)| match (network, peer) {
        (IpAddr::V4(network), IpAddr::V4(peer)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            u32::from(network) & mask == u32::from(peer) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(peer)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            u128::from(network) & mask == u128::from(peer) & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_may_relay() {
        let networks =
            [(IpAddr::from([127, 0, 0, 0]), 8), (IpAddr::from([10, 1, 2, 3]), 32), ("::1".parse().unwrap(), 128)];
        for (peer, expected) in [
            ("127.9.9.9", true),
            ("128.0.0.1", false),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("::1", true),
            ("::2", false),
            ("::ffff:127.0.0.1", true),
        ] {
            assert_eq!(relays(&networks, peer.parse().unwrap()), expected, "{peer}");
        }
        assert!(relays(&[(IpAddr::from([0, 0, 0, 0]), 0)], IpAddr::from([9, 9, 9, 9])));
    }
}
