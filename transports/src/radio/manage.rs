//! The node's own radio silence, ordered by us: while all links of a radio are silent, the node below is to answer nobody
//! either, as an acknowledgement of the data transfer sublayer would betray the station as well.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::management::Ask;

use super::session::Session;

/// What the node was told, and what it answered.
#[derive(Clone, Debug)]
pub(super) struct Manage {
    /// The number of the session that tells it.
    pub(super) session: usize,
    /// What it was told in this session; it forgets with a restart, which ends the session.
    told: Option<bool>,
    /// It was silenced by us, in whichever session.
    silenced: bool,
    answer: Option<String>,
}

impl Manage {
    pub(super) const fn new(session: usize) -> Self {
        Self { session, told: None, silenced: false, answer: None }
    }

    /// Tells the node what is wanted, unless it knows. One that was never silenced by us is left as it is: others may
    /// have silenced it.
    //= s5066/NODE-015
    pub(super) fn want(&mut self, silent: bool, sessions: &mut [Session]) {
        let Some(session) = sessions.get_mut(self.session).filter(|session| session.client.mtu().is_some()) else {
            return;
        };
        if self.told == Some(silent) || !(silent || self.silenced) {
            return;
        }
        session.client.manage(Ask::Emcon(silent).message());
        (self.told, self.silenced) = (Some(silent), silent);
    }

    /// The session ended.
    pub(super) fn session_ended(&mut self, session: usize) {
        if session == self.session {
            self.told = None;
        }
    }

    pub(super) fn answered(&mut self, body: &Bytes) {
        self.answer = Some(String::from_utf8_lossy(body).into_owned());
    }

    /// What the node said last.
    pub(super) fn answer(&self) -> Option<&str> {
        self.answer.as_deref()
    }
}
