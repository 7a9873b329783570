//! The sessions of the SMTP door: one machine for each connection, and what is known of the mail it is sending.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::mail::Envelope;
use skywave_protocols::smtp::server::Server;
use skywave_protocols::time::{Instant, Wakeup};
use skywave_transports::io::PipeId;

use super::intake::{Heading, Intake};
use crate::queue::record::Ticket;

/// One connection.
pub struct Session {
    /// The dialogue.
    pub server: Server,
    /// The mail being received.
    pub mail: Option<Receiving>,
    /// Whether the pipe is paused.
    pub paused: bool,
    /// Whether it was told to come again, and only waits for its end.
    refused: bool,
    wakeup: Option<Instant>,
}

/// A mail being received.
#[derive(Debug)]
pub struct Receiving {
    /// Its number; its body has the same.
    pub ticket: Ticket,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its text on the way.
    pub intake: Intake,
    /// What its header said, once it is complete.
    pub heading: Option<Heading>,
    /// Octets given to the store.
    pub stored: u64,
    /// Whether the answer has been decided before the end (a fault of the disk, a loop).
    pub refused: bool,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    /// Boxed: sessions are large, and the map moves its values about.
    sessions: BTreeMap<PipeId, Box<Session>>,
    bodies: BTreeMap<Ticket, PipeId>,
    wakeups: BTreeSet<(Instant, PipeId)>,
    refused: usize,
}

impl Sessions {
    /// A new connection.
    pub fn open(&mut self, pipe: PipeId, server: Server) {
        self.add(pipe, server, false);
    }

    /// A new connection that is told to come again.
    pub fn refuse(&mut self, pipe: PipeId, server: Server) {
        self.refused += 1;
        self.add(pipe, server, true);
    }

    fn add(&mut self, pipe: PipeId, server: Server, refused: bool) {
        let session = Session { server, mail: None, paused: false, refused, wakeup: None };
        self.sessions.insert(pipe, Box::new(session));
    }

    /// A session.
    pub fn get_mut(&mut self, pipe: PipeId) -> Option<&mut Session> {
        self.sessions.get_mut(&pipe).map(Box::as_mut)
    }

    /// The session whose mail has this number.
    pub fn of_body(&self, ticket: Ticket) -> Option<PipeId> {
        self.bodies.get(&ticket).copied()
    }

    /// A session begins to receive a mail.
    pub fn begin(&mut self, pipe: PipeId, ticket: Ticket, envelope: Envelope) {
        let Some(session) = self.sessions.get_mut(&pipe) else { return };
        let intake = Intake::default();
        session.mail = Some(Receiving { ticket, envelope, intake, heading: None, stored: 0, refused: false });
        self.bodies.insert(ticket, pipe);
    }

    /// The mail of a session is complete or gone.
    pub fn end(&mut self, pipe: PipeId) -> Option<Receiving> {
        let mail = self.sessions.get_mut(&pipe)?.mail.take()?;
        self.bodies.remove(&mail.ticket);
        Some(mail)
    }

    /// The connection is gone.
    pub fn close(&mut self, pipe: PipeId) {
        let Some(session) = self.sessions.remove(&pipe) else { return };
        self.refused -= usize::from(session.refused);
        if let Some(at) = session.wakeup {
            self.wakeups.remove(&(at, pipe));
        }
    }

    /// Notes when the session wants to be woken.
    pub fn note_wakeup(&mut self, pipe: PipeId) {
        let Some(session) = self.sessions.get_mut(&pipe) else { return };
        let at = session.server.next_wakeup().map(|wakeup| wakeup.at);
        if session.wakeup == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut session.wakeup, at) {
            self.wakeups.remove(&(old, pipe));
        }
        if let Some(new) = at {
            self.wakeups.insert((new, pipe));
        }
    }

    /// Sessions whose time has come.
    pub fn due(&self, now: Instant) -> Vec<PipeId> {
        self.wakeups.iter().take_while(|(at, _)| *at <= now).map(|&(_, pipe)| pipe).collect()
    }

    /// The next wakeup of any session.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.wakeups.first().map(|&(at, _)| Wakeup { at, why: "smtp session" })
    }

    /// Connections that are served.
    pub fn served(&self) -> usize {
        self.sessions.len() - self.refused
    }

    /// Connections that were told to come again and are not closed yet.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// All connections.
    pub fn pipes(&self) -> Vec<PipeId> {
        self.sessions.keys().copied().collect()
    }
}
