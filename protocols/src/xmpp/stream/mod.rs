//! One stream between servers (RFC 6120), from either end: header, features, TLS, EXTERNAL, dialback, bidirectional use,
//! stream management, errors, close.
//!
//! Who is local and who is far is the configuration's: *ours* are the far domains that we front, *theirs* the domains of
//! local servers. Promises: [`StreamEvent::Stanza`] only from a domain that this stream is authenticated for and to a
//! domain that we front; [`StreamEvent::PairReady`] before anything may be sent for a pair; the last event is
//! [`StreamEvent::Ended`], with the error and the end of the stream written before it. Refuses: what comes out of place,
//! a second header, stanzas before their sender is known. Limits: [`limits`] and [`crate::xmpp::limits`].

pub mod end;
mod initiating;
mod keys;
pub mod limits;
mod management;
pub mod phase;
mod receiving;
pub mod stanzas;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use minidom::Element;
use sha2::{Digest, Sha256};

use self::end::{StreamEnd, error_element, peer_error};
use self::limits::{NOTICES_MAX, STRANGE_ELEMENTS_MAX};
use self::phase::{On, Phase};
use super::dialback::{Verdict, hex};
use super::door::config::{DoorConfig, LocalServer};
use super::door::event::DoorSecure;
use super::fault::XmppFault;
use super::limits::ReaderLimits;
use super::ns;
use super::reader::{Header, Item, StreamReader};
use super::sasl::name_covers;
use super::sm::{Handled, Sent};
use super::stanza::Stanza;
use super::writer::{STREAM_END, Scope, StreamHeader, write_element, write_stream_header};

/// One of our domains and one of a local server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pair {
    /// A domain that we front.
    pub ours: String,
    /// A domain of a local server.
    pub theirs: String,
}

/// A key that somebody showed us and that its authoritative server is to judge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Question {
    /// Who it was shown to, and who it should be from.
    pub pair: Pair,
    /// The id of the stream on which it was shown.
    pub id: String,
    /// The key.
    pub key: String,
}

/// What a stream tells.
#[derive(Clone, PartialEq, Debug)]
pub enum StreamEvent {
    /// Secure the connection when what was written has left.
    Secure(DoorSecure),
    /// Stanzas of this pair may be sent.
    PairReady(Pair),
    /// They may not.
    PairRefused {
        /// The pair.
        pair: Pair,
        /// How the peer judged our key.
        verdict: Verdict,
    },
    /// The peer has shown that it speaks for a domain.
    Authenticated {
        /// The domain.
        theirs: String,
    },
    /// Have this key judged, on another stream; answer with [`S2s::answer`].
    WantVerdict(Question),
    /// A key that we asked about was judged.
    Verdict(Question, Verdict),
    /// A stanza.
    Stanza(Stanza),
    /// Something in the place of a stanza that is passed over: it counts as handled.
    PassedOver,
    /// A stanza that broke a limit and was passed over: its start alone, and the limit.
    Skipped(Stanza, XmppFault),
    /// So many stanzas, in the order in which they were sent, are confirmed.
    Confirmed(u32),
    /// What arrives from here on counts: say how much of what came before is not taken, with [`S2s::begin_counting`].
    CountingBegins,
    /// The peer asks how much we have taken; tell it with [`S2s::tell_handled`].
    Asked,
    /// Nothing of what was sent will be confirmed: the peer does not manage this stream.
    Unmanaged,
    /// Something for the log.
    Notice(&'static str, bool, String),
    /// It is over; close when what was written has left.
    Ended(StreamEnd),
}

/// Which end we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We opened the stream.
    Initiating,
    /// The peer did.
    Receiving,
}

/// How far a pair of ours has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// It is wanted.
    Wanted,
    /// Our key, or our certificate, is out.
    Shown,
    /// It may be used.
    Ready,
}

/// What the peer offers, as its features say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Offer {
    starttls: bool,
    external: bool,
    dialback: bool,
    dialback_errors: bool,
    bidi: bool,
    sm: bool,
    stanza_octets_max: Option<usize>,
    idle_seconds: Option<u64>,
}

/// One stream. See the module.
#[derive(Debug)]
pub struct S2s {
    config: Arc<DoorConfig>,
    role: Role,
    phase: Phase,
    reader: StreamReader,
    items: u64,
    /// Makes the ids of our headers: secret, and another for each stream.
    seed: [u8; 32],
    headers: u32,
    /// How the peer is spoken to, once it is known who it is.
    server: Option<LocalServer>,
    /// The domains of the header.
    pair: Pair,
    /// The id of the stream: what its receiving end said last.
    id: String,
    direct_tls: bool,
    secured: bool,
    peer_names: Vec<String>,
    offer: Offer,
    /// Whether the peer's header declares dialback's prefix.
    knows_dialback: bool,
    sasl_done: bool,
    sasl_failures: u32,
    bidi: bool,
    ours: BTreeMap<Pair, Asked>,
    /// Domains that the peer speaks for.
    theirs: BTreeSet<String>,
    /// Keys of the peer that are being judged.
    judged: BTreeSet<Pair>,
    /// Keys that wait to be asked about here, and those asked about.
    questions: VecDeque<Question>,
    asked: BTreeMap<(Pair, String), Question>,
    sent: Option<Sent>,
    handled: Option<Handled>,
    strange: usize,
    notices: usize,
    out: BytesMut,
    events: VecDeque<StreamEvent>,
}

impl S2s {
    /// A stream that we open for this pair. `seed` is random and secret.
    pub fn initiating(
        config: Arc<DoorConfig>,
        server: LocalServer,
        pair: Pair,
        direct_tls: bool,
        seed: [u8; 32],
    ) -> Self {
        Self { server: Some(server), pair, ..Self::new(config, Role::Initiating, direct_tls, seed) }
    }

    /// A stream that a server opened. `seed` is random and secret.
    pub fn receiving(config: Arc<DoorConfig>, direct_tls: bool, seed: [u8; 32]) -> Self {
        Self::new(config, Role::Receiving, direct_tls, seed)
    }

    fn new(config: Arc<DoorConfig>, role: Role, direct_tls: bool, seed: [u8; 32]) -> Self {
        Self {
            config,
            role,
            phase: Phase::Opening,
            reader: StreamReader::new(ReaderLimits::UNAUTHENTICATED),
            items: 0,
            seed,
            headers: 0,
            server: None,
            pair: Pair { ours: String::new(), theirs: String::new() },
            id: String::new(),
            direct_tls,
            secured: false,
            peer_names: Vec::new(),
            offer: Offer::default(),
            knows_dialback: false,
            sasl_done: false,
            sasl_failures: 0,
            bidi: false,
            ours: BTreeMap::new(),
            theirs: BTreeSet::new(),
            judged: BTreeSet::new(),
            questions: VecDeque::new(),
            asked: BTreeMap::new(),
            sent: None,
            handled: None,
            strange: 0,
            notices: 0,
            out: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// The connection is open.
    pub fn opened(&mut self) {
        if self.phase != Phase::Opening {
            return;
        }
        if self.direct_tls {
            return self.begin_tls();
        }
        self.step(On::Opened);
        if self.role == Role::Initiating {
            self.write_header();
        }
    }

    /// TLS is established; the names that the peer's certificate proves.
    //= xmpp/STREAM-004
    pub fn secured(&mut self, peer_names: Vec<String>) {
        if !self.step(On::Secured) {
            return;
        }
        self.secured = true;
        self.peer_names = peer_names;
        // What was read in clear must not be believed now.
        self.reader = StreamReader::new(ReaderLimits::UNAUTHENTICATED);
        self.offer = Offer::default();
        if self.role == Role::Initiating {
            self.write_header();
        }
    }

    /// Octets of the peer.
    pub fn read(&mut self, octets: &[u8]) {
        if matches!(self.phase, Phase::Opening | Phase::Securing | Phase::Over) {
            return;
        }
        self.reader.read(octets);
        // A reader is replaced when the stream begins anew; what follows in the same octets is then for the new one.
        while !matches!(self.phase, Phase::Securing | Phase::Over) {
            match self.reader.next() {
                Ok(Some(item)) => {
                    self.items += 1;
                    self.on_item(item);
                }
                Ok(None) => return,
                Err(fault) => self.end(StreamEnd::Broken(fault)),
            }
        }
    }

    /// The connection ended.
    pub fn lost(&mut self, why: StreamEnd) {
        if self.step(On::End) {
            self.events.push_back(StreamEvent::Ended(why));
        }
    }

    /// Ends it from our side.
    pub fn end(&mut self, why: StreamEnd) {
        let error = why.condition().map(error_element);
        self.end_with(why, error.as_ref());
    }

    fn end_with(&mut self, why: StreamEnd, error: Option<&Element>) {
        let (silent, headed) = (matches!(self.phase, Phase::Opening | Phase::Securing), self.headers > 0);
        if !self.step(On::End) {
            return;
        }
        // Inside a TLS handshake nothing can be said.
        if !silent {
            if !headed {
                self.write_header();
            }
            if let Some(error) = error {
                self.write(error);
            }
            self.out.extend_from_slice(STREAM_END);
        }
        self.events.push_back(StreamEvent::Ended(why));
    }

    /// Octets for the peer.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// Which end we are.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The domains of the header.
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Whether it runs inside TLS.
    pub const fn is_secured(&self) -> bool {
        self.secured
    }

    /// Whether it serves both directions.
    pub const fn is_bidi(&self) -> bool {
        self.bidi
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether it may carry stanzas in some direction.
    pub fn is_established(&self) -> bool {
        !self.theirs.is_empty() || self.ours.values().any(|asked| *asked == Asked::Ready)
    }

    /// Whether somebody waits for it: a pair of ours, a key that is judged, a question.
    pub fn is_wanted(&self) -> bool {
        !self.ours.is_empty() || !self.judged.is_empty() || !self.questions.is_empty() || !self.asked.is_empty()
    }

    /// Whether an element has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.reader.is_inside()
    }

    /// Items read so far: who looks now and then sees whether the peer got on.
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// How the two ends know each other.
    pub fn authenticated(&self) -> &'static str {
        match (self.sasl_done, self.is_established()) {
            (true, _) => "external",
            (false, true) => "dialback",
            (false, false) => "none",
        }
    }

    /// Octets of one stanza that the peer takes.
    pub fn stanza_octets_max(&self) -> usize {
        self.offer.stanza_octets_max.unwrap_or(usize::MAX).min(super::limits::LAN_STANZA_OCTETS_MAX)
    }

    /// Seconds after which the peer closes an idle stream, if it says so.
    pub const fn idle_seconds(&self) -> Option<u64> {
        self.offer.idle_seconds
    }

    /// White space, so that the connection is known to be alive.
    pub fn keep_alive(&mut self) {
        if self.phase == Phase::Open {
            self.out.extend_from_slice(b" ");
        }
    }

    fn on_item(&mut self, item: Item) {
        match (item, self.phase) {
            (Item::End, _) => self.end(StreamEnd::PeerClosed),
            (Item::Header(header), Phase::Header) => self.on_header(&header),
            (Item::Element(element), _) if element.is("error", ns::STREAM) => self.end(peer_error(&element)),
            (Item::Element(element), Phase::Features) if element.is("features", ns::STREAM) => {
                self.on_features(&element)
            }
            (Item::Element(element), Phase::Proceed) => self.on_tls_answer(&element),
            (Item::Element(element), Phase::Sasl) if element.has_ns(ns::SASL) => self.on_sasl_answer(&element),
            (Item::Element(element), Phase::Sasl | Phase::Open) => self.on_element(element),
            (Item::Skipped(skipped), Phase::Sasl | Phase::Open) => self.on_skipped(skipped),
            (Item::Skipped(skipped), _) => self.end(StreamEnd::Broken(skipped.fault)),
            (Item::Header(_) | Item::Element(_), _) => {
                self.end(StreamEnd::Refused("bad-format", "an element came before its turn"));
            }
        }
    }

    fn on_header(&mut self, header: &Header) {
        self.knows_dialback = header.prefixes.iter().any(|(_, namespace)| namespace == ns::DIALBACK);
        if header.namespace != ns::SERVER {
            return self.end(StreamEnd::Refused("invalid-namespace", "the stream is none between servers"));
        }
        match self.role {
            Role::Initiating => self.on_header_initiating(header),
            Role::Receiving => self.on_header_receiving(header),
        }
    }

    fn on_element(&mut self, element: Element) {
        let namespace = element.ns();
        match (namespace.as_str(), element.name()) {
            (ns::SERVER, _) => self.on_stanza(element, None),
            (ns::DIALBACK, _) => self.on_dialback(&element),
            (ns::SM, _) => self.on_management(&element),
            (ns::TLS, "starttls") if self.role == Role::Receiving => self.on_starttls(),
            (ns::SASL, "auth" | "response") if self.role == Role::Receiving => self.on_auth(&element),
            //= xmpp/BIDI-004
            (ns::BIDI | ns::BIDI_FEATURE, "bidi") if self.role == Role::Receiving => self.on_bidi(),
            // A peer may tell its features once more, for instance after dialback.
            (ns::STREAM, "features") if self.role == Role::Initiating => {}
            (ns::TLS | ns::SASL, _) => self.end(StreamEnd::Refused("not-authorized", "out of place")),
            _ => self.on_strange(),
        }
    }

    /// A new product may send what we do not know; one that sends much of it speaks another protocol.
    fn on_strange(&mut self) {
        self.strange += 1;
        if self.strange > STRANGE_ELEMENTS_MAX {
            self.end(StreamEnd::Refused("unsupported-stanza-type", "too many unknown elements"));
        }
    }

    fn write_header(&mut self) {
        self.headers += 1;
        if self.role == Role::Receiving {
            let digest = Sha256::new().chain_update(self.seed).chain_update(self.headers.to_be_bytes()).finalize();
            self.id = hex(digest.get(..16).unwrap_or_default());
        }
        let named = |domain: &'_ String| (!domain.is_empty()).then(|| domain.clone());
        let (from, to) = (named(&self.pair.ours), named(&self.pair.theirs));
        let header = StreamHeader {
            namespace: ns::SERVER,
            from: from.as_deref(),
            to: to.as_deref(),
            id: (self.role == Role::Receiving).then_some(self.id.as_str()),
            version: true,
            dialback: true,
        };
        let octets = write_stream_header(&header);
        self.out.extend_from_slice(&octets);
    }

    /// The stream begins anew in the same connection; what was read ahead belongs to it.
    fn restart(&mut self) {
        let limits = if self.theirs.is_empty() { ReaderLimits::UNAUTHENTICATED } else { ReaderLimits::LAN };
        let old = std::mem::replace(&mut self.reader, StreamReader::new(limits));
        self.reader.read(&old.into_rest());
        self.offer = Offer::default();
    }

    //= xmpp/STREAM-004
    fn begin_tls(&mut self) {
        let client = self.role == Role::Initiating;
        if !self.step(On::TlsBegins) {
            return;
        }
        let required = client && self.server.as_ref().is_some_and(|server| server.certificate_required);
        let decides = client && self.must_prove_both_ways();
        self.events.push_back(StreamEvent::Secure(DoorSecure {
            client,
            //= xmpp/SRV-003
            server_name: client.then(|| self.pair.theirs.clone()),
            alpn: vec!["xmpp-server".to_owned()],
            certificate: self.config.certificate.clone(),
            want_peer_certificate: !client || required || decides,
            require_peer_certificate: required,
        }));
    }

    /// Whether the peer's certificate proves a domain.
    fn proves(&self, domain: &str) -> bool {
        self.peer_names.iter().any(|name| name_covers(name, domain))
    }

    fn write(&mut self, element: &Element) {
        self.out.extend_from_slice(&write_element(element, Scope::SERVER));
    }

    /// A peer that gives cause for notices without end is not noticed without end.
    fn notice(&mut self, name: &'static str, alarm: bool, detail: String) {
        self.notices += 1;
        if self.notices <= NOTICES_MAX {
            self.events.push_back(StreamEvent::Notice(name, alarm, detail));
        }
    }

    fn step(&mut self, on: On) -> bool {
        let after = self.phase.after(on);
        self.phase = after.unwrap_or(self.phase);
        after.is_some()
    }
}
