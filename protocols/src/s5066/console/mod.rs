//! The console of a SIS server, ours or anybody's: tools that hold one session at it, and a tap for somebody else's.
//!
//! [`status::Status`] binds and says what the server says; [`ping::Ping`] and [`traffic::Traffic`] send probes
//! ([`probe`]) to a console at another node, where [`answer::Answer`] takes them; [`watch::Watch`] binds and shows what
//! arrives; [`manage::Manage`] asks for the node's state, or for its silence; [`tap::Tap`] shows what passes between a client and its server.
//!
//! A [`Tool`] is a machine like all others: it is handed what its pipe does and the time, and yields [`ToolOutput`].
//! Promises: it ends by itself, or by [`Tool::stop`], always in good order (unbound, closed) where the server lets it;
//! it never asks a second time for a session that was refused. Refuses to hold more than `limits.rs` says.

pub mod answer;
pub mod limits;
pub mod manage;
pub mod note;
pub mod ping;
pub mod probe;
pub mod session;
pub mod status;
pub mod tap;
pub mod traffic;
pub mod watch;

use serde::Serialize;

use super::sis::event::SessionEnd;
use crate::bytes::Bytes;
use crate::time::{Now, Wakeup};
use note::Note;
use session::{Happening, Session};

/// What a tool asks of whoever drives it.
#[derive(Clone, PartialEq, Debug)]
pub enum ToolOutput {
    /// Open a pipe to the server; answer with [`Tool::opened`] or [`Tool::closed`]. A pipe that was open before is of
    /// no more interest.
    Open,
    /// Write octets to the pipe.
    Write(Bytes),
    /// Close the pipe after what was written has left.
    Close,
    /// Show this.
    Note(Note),
}

/// A tool with its session. The tools write the first half; the second is the same for all.
pub trait Tool {
    /// What it found out.
    type Report: Serialize;

    /// Its session.
    fn session(&self) -> &Session;
    /// Its session.
    fn session_mut(&mut self) -> &mut Session;
    /// Takes what happened in the session, but for its end.
    fn on_event(&mut self, now: Now, event: Happening);
    /// Takes the end of a session that was not asked to end.
    fn on_end(&mut self, now: Now, why: SessionEnd) {
        self.session_mut().end(now, Over::Failed(why));
    }
    /// Does what is due.
    fn on_time(&mut self, now: Now);
    /// When it has something to do by itself.
    fn own_wakeup(&self) -> Option<Wakeup>;
    /// What it found out so far.
    fn report(&self) -> Self::Report;

    /// Begins.
    fn start(&mut self, now: Now) {
        self.session_mut().start(now);
        self.settle(now);
    }

    /// The pipe asked for is open.
    fn opened(&mut self, now: Now) {
        self.session_mut().opened(now);
        self.settle(now);
    }

    /// The pipe was refused or ended; the reason in words, if there is one.
    fn closed(&mut self, now: Now, reason: Option<String>) {
        self.session_mut().closed(now, reason);
        self.settle(now);
    }

    /// Takes octets of the pipe.
    fn handle_read(&mut self, now: Now, octets: &[u8]) {
        self.session_mut().read(now, octets);
        self.settle(now);
    }

    /// Takes a wakeup.
    fn handle_wakeup(&mut self, now: Now) {
        self.session_mut().wake(now);
        if self.over().is_none() {
            self.on_time(now);
        }
        self.settle(now);
    }

    /// It is to end now.
    fn stop(&mut self, now: Now) {
        self.session_mut().end(now, Over::Stopped);
        self.settle(now);
    }

    /// The next output.
    fn poll(&mut self) -> Option<ToolOutput> {
        self.session_mut().poll()
    }

    /// When it wants to be woken.
    fn next_wakeup(&self) -> Option<Wakeup> {
        let own = if self.over().is_none() { self.own_wakeup() } else { None };
        Wakeup::earlier(self.session().next_wakeup(), own)
    }

    /// How it ended; the outputs are then still to be fetched.
    fn over(&self) -> Option<&Over> {
        self.session().over()
    }

    /// Hands all events of the session on. Callers need not: every input does it.
    fn settle(&mut self, now: Now) {
        while let Some(event) = self.session_mut().next_event(now) {
            match event {
                _ if self.over().is_some() => {}
                Happening::Ended(why) => self.on_end(now, why),
                event => self.on_event(now, event),
            }
        }
    }
}

/// How a tool ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Over {
    /// It did what it was to do.
    Done,
    /// It was told to stop.
    Stopped,
    /// There was no session, or it ended.
    Failed(SessionEnd),
    /// The session does not take what it has to send; in words.
    Unfit(String),
}

#[cfg(test)]
mod tests;
