//! What the peer sends: inflated, cut, sorted.

use minidom::Element;

use super::super::fault::SlowFault;
use super::super::limits::{
    HELD_OCTETS_MAX, READ_AHEAD_STANZAS, SLICE_OCTETS_COMPRESSED, SLICE_OCTETS_PLAIN, STANZA_OCTETS_MAX,
};
use super::super::session::SlowOutput;
use super::super::zlib::Inflater;
use super::management::NAMESPACE;
use super::{Incoming, Standard};
use crate::time::Now;
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::{Item, Kind, Skipped, Stanza, StreamReader, ns};

/// Octets that one unit may inflate to.
const UNIT_TEXT_OCTETS_MAX: usize = 4 * STANZA_OCTETS_MAX;

impl Standard {
    pub(in super::super) fn arrived(&mut self, now: Now, octets: &[u8]) {
        let is_stream = self.medium.is_some_and(|medium| !medium.boundaries);
        let compressed = self.config.compress;
        let slice = if compressed { SLICE_OCTETS_COMPRESSED } else { SLICE_OCTETS_PLAIN };
        // A unit is read whole, as it may be the first of a new stream.
        for octets in octets.chunks(if is_stream { slice } else { octets.len().max(1) }) {
            self.held += octets.len();
            self.incoming.push_back(Incoming::Octets(octets.to_vec()));
        }
        if self.held > HELD_OCTETS_MAX {
            self.forget_held();
            self.on_broken(&SlowFault::Full { waiting: self.arrived.len() });
        }
        self.work(now);
    }

    /// Reads on, unless so many stanzas wait for the disk that the peer is to be held back.
    //= xmpp/SLOW-023
    pub(super) fn read_on(&mut self) {
        while self.arrived.len() < READ_AHEAD_STANZAS {
            match self.incoming.pop_front() {
                Some(Incoming::Octets(octets)) => {
                    self.held -= octets.len();
                    self.read(&octets);
                }
                Some(Incoming::Anew) => {
                    self.past -= 1;
                    self.begin_reading();
                }
                None => return,
            }
        }
    }

    fn read(&mut self, octets: &[u8]) {
        let result = match (self.inflater.is_some(), self.begins_anew(octets)) {
            (_, Some((inflater, reader, items))) => {
                self.inflater = Some(inflater);
                self.reader = reader;
                self.is_lost = false;
                items.into_iter().for_each(|item| self.on_item(item));
                Ok(())
            }
            (true, None) if self.is_lost => Err(SlowFault::Damaged { octets: octets.len() }),
            (true, None) => self.read_compressed(octets),
            (false, None) => self.read_text(octets),
        };
        if let Err(fault) = result {
            self.on_broken(&fault);
        }
    }

    /// What is held of the stream being read is of no more use.
    fn forget_held(&mut self) {
        while let Some(Incoming::Octets(octets)) = self.incoming.pop_front_if(|it| matches!(it, Incoming::Octets(_))) {
            self.held -= octets.len();
        }
    }

    /// Whether a unit is the first of a new zlib stream: it must look so, inflate to its end, and be whole stanzas.
    //= xmpp/LINK-012
    fn begins_anew(&self, octets: &[u8]) -> Option<(Inflater, StreamReader, Vec<Item>)> {
        let may = self.inflater.is_some()
            && self.medium.is_some_and(|medium| medium.boundaries)
            && Inflater::may_begin(octets);
        if !may {
            return None;
        }
        let mut inflater = Inflater::new(self.dictionary.as_deref());
        let text = inflater.read(octets, UNIT_TEXT_OCTETS_MAX).ok()?;
        let mut reader = StreamReader::headless(ReaderLimits::HF);
        reader.read(&text);
        let mut items = Vec::new();
        while let Some(item) = reader.next().ok()? {
            items.push(item);
        }
        (!items.is_empty() && !reader.is_inside()).then_some((inflater, reader, items))
    }

    fn read_compressed(&mut self, octets: &[u8]) -> Result<(), SlowFault> {
        let Some(inflater) = &mut self.inflater else { return Ok(()) };
        let text = inflater.read(octets, UNIT_TEXT_OCTETS_MAX)?;
        self.read_text(&text)
    }

    fn read_text(&mut self, text: &[u8]) -> Result<(), SlowFault> {
        self.reader.read(text);
        loop {
            match self.reader.next() {
                Ok(Some(item)) => self.on_item(item),
                Ok(None) => return Ok(()),
                Err(fault) => return Err(SlowFault::Stanza { why: fault.to_string() }),
            }
        }
    }

    /// The stream cannot be read on. On TCP the connection begins anew; elsewhere the peer is told by the end of our
    /// stream, and begins its own anew.
    fn on_broken(&mut self, fault: &SlowFault) {
        self.notice("chat-stream-broken", false, fault.to_string());
        if self.past > 0 {
            // The next stream has begun already.
            return self.forget_held();
        }
        let has_boundaries = self.medium.is_none_or(|medium| medium.boundaries);
        if !has_boundaries {
            self.forget_held();
            let condition = match fault {
                SlowFault::Stanza { .. } => "not-well-formed",
                _other => "undefined-condition",
            };
            return self.restart(condition);
        }
        self.reader = StreamReader::headless(ReaderLimits::HF);
        if self.inflater.is_some() && !self.is_lost {
            self.is_lost = true;
            self.end_wanted = true;
        }
    }

    fn on_item(&mut self, item: Item) {
        match item {
            Item::Element(element) => self.on_element(element),
            Item::Skipped(skipped) => self.on_skipped(skipped),
            Item::End => self.on_end(),
            Item::Header(_) => self.notice("chat-element-ignored", false, "a stream header".to_owned()),
        }
    }

    /// The peer ends its stream: on TCP the connection follows; elsewhere it could not read ours, which begins anew.
    fn on_end(&mut self) {
        self.reader = StreamReader::headless(ReaderLimits::HF);
        self.inflater = self.config.compress.then(|| Inflater::new(self.dictionary.as_deref()));
        if self.past > 0 {
            return;
        }
        if self.medium.is_some_and(|medium| medium.boundaries) {
            self.return_unconfirmed();
            self.begin_sending();
        } else {
            self.end_wanted = true;
        }
        self.notice("chat-stream-ended", false, "by the peer".to_owned());
    }

    //= xmpp/LINK-016
    fn on_element(&mut self, element: Element) {
        if element.ns() == NAMESPACE {
            return self.on_management(&element);
        }
        let is_stanza = element.ns() == ns::SERVER && Kind::of(element.name()).is_some();
        if !is_stanza {
            // The name alone: what it holds is nobody's business.
            return self.notice("chat-element-ignored", false, format!("{{{}}}{}", element.ns(), element.name()));
        }
        if self.past == 0 {
            self.counts.add_read();
        }
        match Stanza::from_element(element) {
            Ok(stanza) => self.arrived.push(stanza),
            Err(fault) => self.notice("chat-stanza-dropped", false, fault.to_string()),
        }
    }

    /// A stanza that breaks a limit counts, and costs nobody the stream.
    fn on_skipped(&mut self, skipped: Skipped) {
        let is_stanza = |head: &Element| head.ns() == ns::SERVER && Kind::of(head.name()).is_some();
        if self.past == 0 && skipped.head.as_ref().is_some_and(is_stanza) {
            self.counts.add_read();
        }
        self.notice("chat-stanza-dropped", false, skipped.fault.to_string());
    }

    fn on_management(&mut self, element: &Element) {
        if self.past > 0 {
            return;
        }
        if !self.manages() {
            return self.notice("chat-element-ignored", false, format!("{{{NAMESPACE}}}{}", element.name()));
        }
        match element.name() {
            "r" => self.counts.want_answer(),
            "enable" => self.counts.want_enabled(),
            "a" => match element.attr("h").and_then(|count| count.parse().ok()) {
                Some(count) => {
                    let counted = self.counts.on_count(count);
                    self.on_counted(counted);
                }
                None => {
                    self.notice("chat-count-unreadable", true, "no number in an answer".to_owned());
                    self.outputs.push_back(SlowOutput::Restart);
                }
            },
            _ => {}
        }
    }
}
