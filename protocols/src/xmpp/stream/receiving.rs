//! The end that was connected to: header, features, TLS and EXTERNAL of the peer.

use minidom::Element;

use super::end::StreamEnd;
use super::limits::SASL_ATTEMPTS_MAX;
use super::phase::On;
use super::{Pair, S2s, StreamEvent};
use crate::xmpp::dialback::prepared;
use crate::xmpp::door::config::ServerAuth;
use crate::xmpp::limits::{LAN_STANZA_OCTETS_MAX, ReaderLimits};
use crate::xmpp::ns;
use crate::xmpp::reader::Header;
use crate::xmpp::sasl::{self, Identity};

impl S2s {
    //= xmpp/STREAM-002
    pub(super) fn on_header_receiving(&mut self, header: &Header) {
        let to = header.to.as_deref().and_then(prepared);
        let from = header.from.as_deref().map(prepared);
        let Some(ours) = to else {
            return self.end(StreamEnd::Refused("improper-addressing", "the header names no domain of ours"));
        };
        let theirs = match from {
            None => String::new(),
            Some(Some(theirs)) => theirs,
            Some(None) => return self.end(StreamEnd::Refused("improper-addressing", "the header is from no domain")),
        };
        if !self.config.fronts(&ours) {
            self.notice("chat.host_unknown", false, format!("{theirs} asks for {ours}, which is not fronted"));
            return self.end(StreamEnd::Refused("host-unknown", "the header asks for a domain that is not fronted"));
        }
        let pair = Pair { ours, theirs };
        let other = |known: &str, now: &str| !known.is_empty() && known != now;
        if other(&self.pair.ours, &pair.ours) || other(&self.pair.theirs, &pair.theirs) {
            return self.end(StreamEnd::Refused("improper-addressing", "the header names other domains than before"));
        }
        self.server = self.config.server_of(&pair.theirs).cloned();
        self.pair = pair;
        self.write_header();
        self.step(On::HeaderBeforeAll);
        if header.version.as_deref().is_some_and(|version| version.starts_with("1.")) {
            let features = self.features();
            self.write(&features);
        }
        if self.sasl_done {
            self.speaks_for(self.pair.theirs.clone(), self.pair.ours.clone());
        }
    }

    //= xmpp/STREAM-003
    fn features(&self) -> Element {
        let mut features = Element::bare("features", ns::STREAM);
        let server = self.server.as_ref();
        if !self.secured && self.config.certificate.is_some() {
            let mut starttls = Element::bare("starttls", ns::TLS);
            if self.config.tls_required {
                starttls.append_child(Element::bare("required", ns::TLS));
            }
            features.append_child(starttls);
        }
        //= xmpp/STREAM-005
        if !self.secured && self.config.tls_required {
            return features;
        }
        //= xmpp/EXT-001
        let external = server.is_some_and(|server| server.auth != ServerAuth::Dialback);
        if self.secured && !self.sasl_done && external && self.proves(&self.pair.theirs) {
            features.append_child(sasl::mechanisms());
        }
        //= xmpp/BIDI-001
        if server.is_some_and(|server| server.bidi) && !self.bidi && !self.sasl_done {
            features.append_child(Element::bare("bidi", ns::BIDI_FEATURE));
        }
        if server.is_none_or(|server| server.auth != ServerAuth::External) {
            let mut dialback = Element::bare("dialback", ns::DIALBACK_FEATURE);
            dialback.append_child(Element::bare("errors", ns::DIALBACK_FEATURE));
            features.append_child(dialback);
        }
        features.append_child(limits());
        if self.sasl_done && server.is_some_and(|server| server.sm) {
            features.append_child(Element::bare("sm", ns::SM));
        }
        features
    }

    //= xmpp/STREAM-004
    pub(super) fn on_starttls(&mut self) {
        if self.secured || self.is_established() || self.config.certificate.is_none() {
            self.write(&Element::bare("failure", ns::TLS));
            return self.end(StreamEnd::TlsFailed("asked for where it was not offered".to_owned()));
        }
        self.write(&Element::bare("proceed", ns::TLS));
        self.begin_tls();
    }

    //= xmpp/EXT-003
    pub(super) fn on_auth(&mut self, element: &Element) {
        if self.sasl_done {
            return self.end(StreamEnd::Refused("not-authorized", "authenticated twice"));
        }
        let first = element.name() == "auth";
        if first && element.attr("mechanism") != Some(sasl::EXTERNAL) {
            return self.refuse_auth("invalid-mechanism");
        }
        let theirs = match sasl::identity(&element.text()) {
            Identity::Absent if first => return self.write(&sasl::answer("challenge", None)),
            Identity::Absent | Identity::Empty => self.pair.theirs.clone(),
            Identity::Domain(domain) => domain,
            Identity::Bad => return self.refuse_auth("incorrect-encoding"),
        };
        let server = self.config.server_of(&theirs);
        let allowed = server.is_some_and(|server| server.auth != ServerAuth::Dialback) && !self.config.fronts(&theirs);
        let named = self.pair.theirs.is_empty() || self.pair.theirs == theirs;
        //= xmpp/EXT-001
        if !self.secured || !named || !allowed || !self.proves(&theirs) {
            return self.refuse_auth("not-authorized");
        }
        self.pair.theirs = theirs;
        self.sasl_done = true;
        self.write(&sasl::answer("success", None));
        self.step(On::SaslDone);
        self.restart();
        self.reader.set_limits(ReaderLimits::LAN);
    }

    /// The peer may go on with dialback.
    fn refuse_auth(&mut self, condition: &'static str) {
        self.sasl_failures += 1;
        self.write(&sasl::answer("failure", Some(condition)));
        self.notice(
            "chat.external_failed",
            false,
            format!("{} could not show who it is: {condition}", self.pair.theirs),
        );
        if self.sasl_failures >= SASL_ATTEMPTS_MAX {
            self.end(StreamEnd::Refused("policy-violation", "too many attempts to authenticate"));
        }
    }

    //= xmpp/BIDI-004
    pub(super) fn on_bidi(&mut self) {
        let wanted = self.server.as_ref().is_some_and(|server| server.bidi);
        // Before TLS it would say nothing about who is at the other end.
        if wanted && !self.is_established() && (self.secured || !self.config.tls_required) {
            self.bidi = true;
        }
    }

    /// The peer has shown that it speaks for `theirs`, on a stream or with a key for `ours`.
    //= xmpp/BIDI-003
    pub(super) fn speaks_for(&mut self, theirs: String, ours: String) {
        self.reader.set_limits(ReaderLimits::LAN);
        self.theirs.insert(theirs.clone());
        self.events.push_back(StreamEvent::Authenticated { theirs: theirs.clone() });
        // A key can be relayed by whoever sits between: it lets the domain speak, and is no reason to say anything here.
        if self.bidi && self.has_shown_enough(&theirs) {
            self.pair_is_ready(Pair { ours, theirs });
        }
    }
}

/// What the peer should know before it sends a stanza that would cost its stream (XEP-0478). Nothing is said of idle time:
/// a stream is not closed for it.
//= xmpp/STREAM-011
fn limits() -> Element {
    let mut octets = Element::bare("max-bytes", ns::STREAM_LIMITS);
    octets.append_text(LAN_STANZA_OCTETS_MAX.to_string());
    let mut limits = Element::bare("limits", ns::STREAM_LIMITS);
    limits.append_child(octets);
    limits
}
