//! The end that opened the stream: what it makes of the other's features.

use minidom::Element;

use super::end::StreamEnd;
use super::limits::{DOMAINS_MAX, PEER_STANZA_OCTETS_MIN};
use super::phase::On;
use super::{Asked, Offer, Pair, Phase, Role, S2s, StreamEvent};
use crate::xmpp::door::config::{LocalServer, ServerAuth};
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::ns;
use crate::xmpp::reader::Header;
use crate::xmpp::sasl;
use crate::xmpp::sm::Sent;

impl S2s {
    /// Stanzas of this pair are to be sent; [`StreamEvent::PairReady`] or [`StreamEvent::PairRefused`] follows, or the end.
    pub fn want(&mut self, pair: Pair) {
        self.ours.entry(pair).or_insert(Asked::Wanted);
        self.proceed();
    }

    /// Nobody wants to send for this pair any more.
    pub fn unwant(&mut self, pair: &Pair) {
        self.ours.remove(pair);
    }

    /// Whether another pair can be had on this stream. More of our domains: by dialback at any time. Another domain of
    /// theirs: only where dialback errors are known, as the peer may not host it, and where the certificate proves it too
    /// if one is demanded.
    //= xmpp/DBK-010
    pub fn can_carry(&self, pair: &Pair) -> bool {
        let spoken = matches!(self.auth(), ServerAuth::Dialback | ServerAuth::Both) && self.takes_dialback();
        let same_target = pair.theirs == self.pair.theirs || self.offer.dialback_errors;
        self.role == Role::Initiating
            && self.phase == Phase::Open
            && spoken
            && same_target
            && self.has_shown_enough(&pair.theirs)
            && self.ours.len() < DOMAINS_MAX
    }

    fn auth(&self) -> ServerAuth {
        self.server.as_ref().map_or(ServerAuth::Dialback, |server| server.auth)
    }

    fn takes_dialback(&self) -> bool {
        self.offer.dialback || self.knows_dialback
    }

    pub(super) fn on_header_initiating(&mut self, header: &Header) {
        self.id = header.id.clone().unwrap_or_default();
        if header.version.as_deref().is_some_and(|version| version.starts_with("1.")) {
            self.step(On::HeaderBeforeFeatures);
            return;
        }
        // A server older than features: no TLS, only dialback.
        if self.config.tls_required || self.must_prove() {
            return self.end(StreamEnd::Impossible("the server offers no TLS"));
        }
        self.step(On::HeaderBeforeAll);
        self.proceed();
    }

    fn must_prove(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.certificate_required)
    }

    /// Whether the peer has shown all that is demanded of a domain before anything is said to it.
    pub(super) fn has_shown_enough(&self, theirs: &str) -> bool {
        self.config.server_of(theirs).is_some_and(|server| !server.certificate_required || self.proves(theirs))
    }

    //= xmpp/STREAM-003
    pub(super) fn on_features(&mut self, features: &Element) {
        self.offer = offer(features);
        if !self.secured && self.offer.starttls {
            self.step(On::TlsAsked);
            return self.write(&Element::bare("starttls", ns::TLS));
        }
        //= xmpp/STREAM-005
        if !self.secured && (self.config.tls_required || self.must_prove()) {
            return self.end(StreamEnd::Impossible("the server offers no TLS"));
        }
        if self.must_prove() && !self.proves(&self.pair.theirs) {
            return self.end(StreamEnd::Impossible("the server's certificate does not prove its domain"));
        }
        self.step(On::Negotiated);
        if self.sasl_done {
            self.enable_management();
            self.pair_is_ready(self.pair.clone());
        }
        self.proceed();
    }

    pub(super) fn on_tls_answer(&mut self, element: &Element) {
        if element.is("proceed", ns::TLS) {
            self.begin_tls();
        } else {
            self.end(StreamEnd::TlsFailed("the server refused".to_owned()));
        }
    }

    /// Does what can be done now for the pairs that are wanted and the questions that wait.
    pub(super) fn proceed(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        let primary_wanted = self.ours.get(&self.pair) == Some(&Asked::Wanted);
        if self.role == Role::Initiating && primary_wanted && self.may_use_external() {
            return self.authenticate();
        }
        self.show_keys();
        self.ask_questions();
    }

    fn may_use_external(&self) -> bool {
        self.offer.external
            && self.secured
            && !self.sasl_done
            && self.sasl_failures == 0
            && self.asked.is_empty()
            && matches!(self.auth(), ServerAuth::External | ServerAuth::Both)
    }

    //= xmpp/EXT-002
    fn authenticate(&mut self) {
        self.request_bidi();
        let authzid = self.server.as_ref().is_none_or(|server| server.authzid);
        let domain = authzid.then(|| self.pair.ours.clone());
        self.ours.insert(self.pair.clone(), Asked::Shown);
        self.step(On::SaslSent);
        self.write(&sasl::auth(domain.as_deref()));
    }

    /// A server that is to be known by its certificate speaks on our stream only with one: that it answers where we called
    /// proves nothing.
    //= xmpp/BIDI-005
    pub(super) fn must_prove_both_ways(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.bidi && server.auth == ServerAuth::External)
    }

    /// Asks to use the stream both ways: before we show who we are, and inside TLS if there will be TLS.
    //= xmpp/BIDI-002
    pub(super) fn request_bidi(&mut self) {
        let wanted = self.server.as_ref().is_some_and(|server| server.bidi);
        let believed = !self.must_prove_both_ways() || self.proves(&self.pair.theirs);
        if wanted && believed && self.offer.bidi && !self.bidi && !self.is_established() {
            self.bidi = true;
            self.write(&Element::bare("bidi", ns::BIDI));
        }
    }

    //= xmpp/EXT-003
    pub(super) fn on_sasl_answer(&mut self, element: &Element) {
        match element.name() {
            "success" => {
                self.step(On::SaslDone);
                self.sasl_done = true;
                self.restart();
                self.reader.set_limits(ReaderLimits::LAN);
                self.write_header();
            }
            // Some servers ask once more for what the first response said.
            "challenge" => {
                let mut response = sasl::auth(Some(&self.pair.ours));
                response = renamed(&response, "response");
                self.write(&response);
            }
            _ => {
                self.step(On::SaslFailed);
                self.sasl_failures += 1;
                self.ours.insert(self.pair.clone(), Asked::Wanted);
                self.notice("chat.external_refused", false, format!("{} refuses our certificate", self.pair.theirs));
                if self.auth() == ServerAuth::External {
                    return self.end(StreamEnd::Impossible("the server does not take our certificate"));
                }
                self.proceed();
            }
        }
    }

    pub(super) fn pair_is_ready(&mut self, pair: Pair) {
        if self.bidi && self.role == Role::Initiating {
            // What comes back on this stream comes from the domain that we spoke to.
            self.theirs.insert(pair.theirs.clone());
        }
        self.reader.set_limits(ReaderLimits::LAN);
        self.ours.insert(pair.clone(), Asked::Ready);
        self.events.push_back(StreamEvent::PairReady(pair));
    }

    //= xmpp/SM-001
    fn enable_management(&mut self) {
        let wanted = self.server.as_ref().is_some_and(|server: &LocalServer| server.sm);
        if wanted && self.offer.sm && self.sent.is_none() {
            self.write(&Element::bare("enable", ns::SM));
            self.sent = Some(Sent::default());
        }
    }
}

fn renamed(element: &Element, name: &str) -> Element {
    let mut other = Element::bare(name, element.ns());
    other.append_text(element.text());
    other
}

fn offer(features: &Element) -> Offer {
    let limits = features.get_child("limits", ns::STREAM_LIMITS);
    let number = |name: &str| {
        let text = limits.and_then(|limits| limits.get_child(name, ns::STREAM_LIMITS)).map(Element::text);
        text.and_then(|text| text.trim().parse::<u64>().ok())
    };
    let dialback = features.get_child("dialback", ns::DIALBACK_FEATURE);
    Offer {
        starttls: features.has_child("starttls", ns::TLS),
        external: sasl::offers_external(features),
        dialback: dialback.is_some(),
        dialback_errors: dialback.is_some_and(|it| it.has_child("errors", ns::DIALBACK_FEATURE)),
        bidi: features.has_child("bidi", ns::BIDI_FEATURE),
        sm: features.has_child("sm", ns::SM),
        //= xmpp/STREAM-010
        stanza_octets_max: number("max-bytes")
            .map(|octets| usize::try_from(octets).unwrap_or(usize::MAX).max(PEER_STANZA_OCTETS_MIN)),
        idle_seconds: number("idle-seconds"),
    }
}
