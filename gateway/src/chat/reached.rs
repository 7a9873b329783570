//! Which local servers can be reached.
//!
//! Promises: that a server cannot be reached is told once, however often it is tried, and then that it can again. It can
//! be as long as one of our domains or components reaches it. Limit: [`SERVERS_REMEMBERED_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use super::limits::SERVERS_REMEMBERED_MAX;

/// What was told of local servers; by which of our domains and components each is reached: by none while it is down.
#[derive(Debug, Default)]
pub(super) struct Reached {
    servers: BTreeMap<String, BTreeSet<String>>,
}

impl Reached {
    /// `ours` reaches a server; whether that is to be told.
    pub(super) fn up(&mut self, server: &str, ours: &str) -> bool {
        let by = self.entry(server);
        let was_down = by.is_empty();
        by.insert(ours.to_owned());
        was_down
    }

    /// `ours` does not reach it; whether that is to be told.
    pub(super) fn down(&mut self, server: &str, ours: &str) -> bool {
        let is_new = !self.servers.contains_key(server);
        let by = self.entry(server);
        let was_reached = by.remove(ours);
        (is_new || was_reached) && by.is_empty()
    }

    fn entry(&mut self, server: &str) -> &mut BTreeSet<String> {
        if self.servers.len() >= SERVERS_REMEMBERED_MAX && !self.servers.contains_key(server) {
            // Rather one that is down: it is told of once more.
            let down = self.servers.iter().find(|(_, by)| by.is_empty()).map(|(name, _)| name.clone());
            match down {
                Some(name) => _ = self.servers.remove(&name),
                None => _ = self.servers.pop_first(),
            }
        }
        self.servers.entry(server.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_its_end_once() {
        let mut reached = Reached::default();
        let steps = [
            (false, "field", true, "never reached"),
            (false, "field", false, "tried again"),
            (true, "field", true, "there"),
            (true, "field", false, "a new stream after an idle one was closed"),
            (true, "chat.field", false, "another domain of ours"),
            (false, "field", false, "the other still reaches it"),
            (false, "field", false, "tried again"),
            (false, "chat.field", true, "gone"),
            (false, "field", false, "tried again"),
            (true, "field", true, "back"),
        ];
        for (up, ours, told, what) in steps {
            let found = if up { reached.up("hq", ours) } else { reached.down("hq", ours) };
            assert_eq!(found, told, "{what}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_a_limit() {
        let mut reached = Reached::default();
        assert!(reached.up("up", "field"));
        for number in 0..2 * SERVERS_REMEMBERED_MAX {
            assert!(reached.down(&format!("server {number}"), "field"));
        }
        assert_eq!(reached.servers.len(), SERVERS_REMEMBERED_MAX);
        assert!(!reached.up("up", "field"), "what is up is not forgotten for what is down");
        for number in 0..2 * SERVERS_REMEMBERED_MAX {
            reached.up(&format!("server {number}"), "field");
        }
        assert_eq!(reached.servers.len(), SERVERS_REMEMBERED_MAX);
    }
}
