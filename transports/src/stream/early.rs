//! What a peer says before there is a connection to send on: it belongs to the stream that begins with that one, so it waits
//! for it, and the peer is held back.

use skywave_protocols::bytes::Bytes;

use super::limits::EARLY_OCTETS_MAX;
use crate::io::PipeId;

/// What was read early.
#[derive(Debug, Default)]
pub(super) struct Early {
    read: Vec<(PipeId, Bytes)>,
    /// Whose reading waits.
    held_back: Option<PipeId>,
}

impl Early {
    /// Reading of a connection waits from now on.
    pub(super) fn hold_back(&mut self, pipe: PipeId) {
        self.held_back = Some(pipe);
    }

    /// Keeps what came all the same; false if it is more than the network can have had under way.
    pub(super) fn keep(&mut self, pipe: PipeId, content: Bytes) -> bool {
        let held: usize = self.read.iter().map(|(_, content)| content.len()).sum();
        let fits = held + content.len() <= EARLY_OCTETS_MAX;
        if fits {
            self.read.push((pipe, content));
        } else {
            self.read.clear();
        }
        fits
    }

    /// A connection is gone, and what came by it has no end.
    pub(super) fn forget(&mut self, pipe: PipeId) {
        self.read.retain(|(from, _)| *from != pipe);
    }

    /// There is one to send on: what was read, and whose reading goes on.
    pub(super) fn take(&mut self) -> (Vec<(PipeId, Bytes)>, Option<PipeId>) {
        (std::mem::take(&mut self.read), self.held_back.take())
    }
}
