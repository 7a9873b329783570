//! Addresses of far people that are made to be taken for others: letters of different scripts in one word.
//!
//! Promises: each is told once, as a bare address, and every stanza counted; where the configuration says so it is refused
//! in both directions, and its sender told. Refuses nothing else: an address all of one script may look like another too.

use jid::{BareJid, Jid};
use skywave_protocols::message::address::mixes_scripts;
use skywave_protocols::time::Now;
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::local::{Complaint, Condition, bounce};

use super::config::MixedScripts;
use super::limits::CONFUSABLES_TOLD_MAX;
use super::{Chat, Line};
use crate::telemetry::StanzaFate;

impl Chat {
    /// Why a stanza is refused for what its far address looks like, if it is. The resource is anybody's choice.
    //= xmpp/LINK-004
    pub(super) fn confusable(&mut self, index: usize, far: &Jid) -> Option<Complaint<'static>> {
        if far.domain().as_str().is_ascii() && far.node().is_none_or(|node| node.as_str().is_ascii()) {
            return None;
        }
        let bare = far.to_bare();
        if !mixes_scripts(bare.as_str()) {
            return None;
        }
        self.count(index, |counters| counters.stanzas_confusable += 1);
        self.tell_confusable(index, bare);
        let refuses = self.peers.get(index)?.config.mixed_scripts == MixedScripts::Refuse;
        let text = Some("letters of different scripts in one word of the far address");
        refuses.then_some(Complaint { text, ..Complaint::new(Condition::NotAcceptable) })
    }

    fn tell_confusable(&mut self, index: usize, bare: BareJid) {
        if self.confusables.len() >= CONFUSABLES_TOLD_MAX || !self.confusables.insert(bare.to_string()) {
            return;
        }
        let part = self.peers.get(index).map_or_else(String::new, |peer| peer.name().to_owned());
        self.notice(&part, false, "address_mixes_scripts", bare.to_string());
    }

    /// The same of what came by a link: whether it ends here.
    pub(super) fn refuses_confusable(&mut self, now: Now, line: Line, stanza: &Stanza) -> bool {
        let Some(complaint) = self.confusable(line.peer, stanza.from()) else { return false };
        let error = bounce(stanza, &Complaint { by: Some(&self.config.domain), ..complaint });
        let fate = if error.is_some() { StanzaFate::Returned } else { StanzaFate::Discarded };
        self.line_of(now, line.peer, stanza, fate, complaint.text.unwrap_or_default());
        if let Some(error) = error {
            self.send_own(now, line.peer, error);
        }
        true
    }
}
