//! What is read at the start: the rows of earlier runs go back to where they were.
//!
//! Sessions get their records first, then the stanzas that those records speak of; a stanza that is in a block already
//! is not put into another. What may have been handed to a local server before, by its row, is told as a possible
//! duplicate.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Now;
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::door::Door;
use skywave_transports::io::{Row, Space, Write};

use super::keyed::Keyed;
use super::queue::local::Handing;
use super::queue::out::Waiting;
use super::record::{LIFE_OVER, Record};
use super::slow::session_prefix;
use super::{Chat, numbers, record};
use crate::queue::record::lane_start;
use crate::telemetry::{Event, StanzaFate};

/// Key of the dialback secret in [`Space::Site`].
const DIALBACK_KEY: &[u8] = b"chat/dialback";

/// Everything that earlier runs left.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Of [`Space::Site`]: what begins with `chat/`.
    pub site: Vec<Row>,
    /// Of [`Space::ChatOut`].
    pub out: Vec<Row>,
    /// Of [`Space::ChatIn`].
    pub local: Vec<Row>,
    /// Of [`Space::ChatLink`].
    pub sessions: Vec<Row>,
    /// Of [`Space::Presence`].
    pub presence: Vec<Row>,
}

impl Chat {
    /// Takes the rows of earlier runs and begins.
    pub fn start(&mut self, now: Now, rows: Rows) {
        for row in rows.site.iter().filter(|row| row.key == numbers::KEY) {
            self.numbers.restore(&row.value);
        }
        self.build_door(&rows.site);
        self.restore_presence(&rows.presence);
        self.restore_sessions(now, &rows.sessions);
        for row in rows.out {
            self.restore_out(now, &row);
        }
        for peer in &mut self.peers {
            if let Some(units) = &mut peer.units {
                units.session.forget(now, |number| peer.queue.get(number).is_none());
            }
        }
        for row in rows.local {
            self.restore_local(now, &row);
        }
        self.ready = true;
        self.settle(now);
    }

    /// Makes the door, with the dialback secret of the configuration, of an earlier run, or a new one.
    fn build_door(&mut self, rows: &[Row]) {
        let mut config = self.config.door.clone();
        if config.dialback_secret.is_empty() {
            let kept = rows.iter().find(|row| row.key == DIALBACK_KEY);
            let kept = kept.and_then(|row| String::from_utf8(row.value.to_vec()).ok()).filter(|text| !text.is_empty());
            config.dialback_secret = kept.unwrap_or_else(|| {
                let secret = self.fresh.0.clone();
                let value = Some(Bytes::from(secret.clone()));
                self.work.note(Write { space: Space::Site, key: DIALBACK_KEY.to_vec(), value });
                secret
            });
        }
        let random = Keyed::new(&mut self.fresh.1);
        self.door = Door::new(config, Box::new(random));
    }

    fn restore_sessions(&mut self, now: Now, rows: &[Row]) {
        for peer in &mut self.peers {
            for way in peer.ways() {
                let own = stripped(rows, &session_prefix(&peer.config, way));
                if let Some(side) = peer.side_mut(way) {
                    side.session.restore(now, own);
                }
            }
        }
    }

    fn restore_presence(&mut self, rows: &[Row]) {
        for peer in &mut self.peers {
            let prefix = lane_start(peer.name());
            peer.presence.restore(stripped(rows, &prefix));
        }
    }

    /// What the presence caches changed goes to the disk; nobody waits for it.
    pub(super) fn note_presence(&mut self) {
        for peer in &mut self.peers {
            let prefix = lane_start(&peer.config.name);
            for (key, value) in peer.presence.changes() {
                let key = [prefix.as_slice(), &key].concat();
                self.work.note(Write { space: Space::Presence, key, value });
            }
        }
    }

    fn restore_out(&mut self, now: Now, row: &Row) {
        let Some((number, record, stanza)) = self.read(Space::ChatOut, row) else { return };
        let Some(index) = self.peers.iter().position(|peer| peer.name() == record.peer) else {
            // The row stays: the peer may be configured again.
            return self.notice(
                &record.peer,
                true,
                "peer_unknown",
                format!("{} waits for it", super::lines::shown(number)),
            );
        };
        let Some(peer) = self.peers.get_mut(index) else { return };
        let mut fate = peer.config.lives.fate(&stanza, record.priority.precedence());
        fate.durable = true;
        fate.life = record.life;
        let life = record.life.map(|life| life.saturating_sub(now.wall.since(record.since)));
        let left = life.map(|life| life.saturating_sub(LIFE_OVER));
        let waiting = Waiting {
            octets: record.stanza.len(),
            since: record.since,
            until: left.map(|left| now.mono + left),
            fate,
            priority: record.priority,
            replace: None,
            hold: None,
            route: record.route.as_deref().and_then(|link| peer.config.way_to(link)),
            bits_per_second_min: record.bits_per_second_min,
            label_group: peer.label_group(&stanza),
            kept: record.kept,
            stands_for_leave: false,
            arrival: None,
            stanza,
        };
        let is_late = left.is_some_and(|left| left.is_zero()) && !peer.has_in_block(number);
        let released = peer.queue.push(number, waiting, true);
        if is_late {
            // It is given up before a link can take it: its sender may have been told so before the crash.
            return self.expire(now, index);
        }
        self.release(now, index, released);
    }

    fn restore_local(&mut self, now: Now, row: &Row) {
        let Some((number, record, stanza)) = self.read(Space::ChatIn, row) else { return };
        let peer = self.peers.iter().position(|peer| peer.name() == record.peer).unwrap_or(usize::MAX);
        let handing = Handing {
            peer,
            octets: record.stanza.len(),
            since: record.since,
            durable: true,
            own: record.own,
            given: record.given,
            repeated: record.given,
            settles: None,
            stanza,
        };
        if handing.repeated {
            let words = "it may have been handed over before the restart";
            self.line_in(now, number, &handing, StanzaFate::PossibleDuplicate, words);
        }
        self.push_local(now, number, handing);
    }

    /// A row's number, record and stanza; what cannot be read is told and left where it is.
    fn read(&mut self, space: Space, row: &Row) -> Option<(u64, Record, Stanza)> {
        let number = record::number(&row.key);
        let record = Record::decode(&row.value).map_err(|error| error.to_string());
        let stanza = record
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|record| Stanza::parse(&record.stanza).map_err(|error| error.to_string()));
        match (number, record, stanza) {
            (Some(number), Ok(record), Ok(stanza)) => Some((number, record, stanza)),
            (_, _, stanza) => {
                let why = stanza.err().unwrap_or_else(|| "key".to_owned());
                let record = format!("{} {} ({why})", space.name(), skywave_protocols::bytes::hex(&row.key));
                self.tell(Event::Damaged { record });
                None
            }
        }
    }
}

/// The rows behind a prefix, without it.
fn stripped(rows: &[Row], prefix: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
    let own = rows.iter().filter_map(|row| Some((row.key.strip_prefix(prefix)?.to_vec(), row.value.clone())));
    own.collect()
}
