//! Whether a node holds no more than its modules' limits allow: looked at by checkers after each step, and cheap.

use skywave_transports::transport::over;

use super::Node;
use super::answers::WAITING_MAX;
use crate::door::limits::REFUSALS_MAX;
use crate::queue::limits::UNSAVED_BATCHES_MAX;

impl Node {
    /// The first thing that it holds more of than it may, in words.
    pub fn over_limit(&self) -> Option<String> {
        let own = [
            ("SMTP connections", self.sessions.served(), self.config.mail.connections_max),
            ("SMTP connections told to come again", self.sessions.refused(), REFUSALS_MAX),
            ("batches for a disk that fails", self.storekeeper.unsaved(), UNSAVED_BATCHES_MAX),
            ("answers to operators", self.answers.len(), WAITING_MAX),
        ];
        let links = || (0..self.links.len()).find_map(|index| self.link_over_limit(index));
        let chat = || self.chat.chat.as_ref().and_then(|chat| chat.over_limit());
        over(own).or_else(|| over(self.lanes.held())).or_else(links).or_else(chat)
    }

    fn link_over_limit(&self, index: usize) -> Option<String> {
        let (link, transport) = (self.links.link(index)?, self.links.transport(index)?);
        transport.over_limit().map(|words| format!("link {}: {words}", link.name))
    }
}
