//! The stand-in as a server among servers: streams made and taken, dialback in all its roles, certificates.
//!
//! It is the door's own machine with the roles turned: what the gateway fronts is far for it, what it serves is its own.
//! So it shows how a site fares when connections, servers and gateways break, not whether the gateway speaks as others
//! do: that is shown with real servers. TLS is played by the world.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Instant, Now, Wakeup};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::door::{ConnId, ConnInput, Door, DoorConfig, DoorEvent, DoorOutput, Found, LocalServer};

use super::seam::{SERVER_PORT, ServerOutput};
use crate::chat::config::ChatConfig;
use crate::world::plan::WORLD_BEGINS;

/// Accepted connections have this bit, those that the door opens have not.
const ACCEPTED: u64 = 1 << 63;

/// What the door's machine asks for, or brings.
pub(super) enum Brought {
    /// For the world.
    Output(ServerOutput),
    /// A stanza of the gateway.
    Stanza(Stanza),
}

/// The streams. See the module.
#[derive(Debug)]
pub(super) struct Streams {
    config: DoorConfig,
    random: Seeded,
    lives: u64,
    door: Door,
    sessions: BTreeMap<u64, ConnId>,
    tokens: u64,
    /// Writes of each connection so far.
    writes: BTreeMap<ConnId, u64>,
}

impl Streams {
    /// The server that a site's configuration expects at the other end of its streams; none if it is all components.
    pub(super) fn of(chat: &ChatConfig, random: Seeded) -> Option<Self> {
        let own = chat.door.locals.first()?;
        let target = chat.listen.first()?.to_string();
        let config = DoorConfig {
            fronted: own.domains.clone(),
            locals: vec![LocalServer {
                bidi: own.bidi,
                auth: own.auth,
                ..LocalServer::at(chat.door.fronted.clone(), target)
            }],
            dialback_secret: format!("of the server of {}", chat.domain),
            certificate: chat.door.certificate.as_ref().map(|_| "server".to_owned()),
            tls_required: chat.door.tls_required,
            ..DoorConfig::default()
        };
        let door = Door::new(config.clone(), Box::new(random.fork("life 0")));
        Some(Self { config, random, lives: 0, door, sessions: BTreeMap::new(), tokens: 0, writes: BTreeMap::new() })
    }

    /// Where servers find it.
    pub(super) fn target(domain: &str) -> String {
        format!("xmpp.{domain}:{SERVER_PORT}")
    }

    /// What its certificate proves.
    pub(super) fn names(&self) -> &[String] {
        &self.config.fronted
    }

    /// It forgets all and begins a new life; the sessions that break.
    pub(super) fn begin_anew(&mut self) -> Vec<u64> {
        self.lives += 1;
        self.door = Door::new(self.config.clone(), Box::new(self.random.fork(&format!("life {}", self.lives))));
        std::mem::take(&mut self.sessions).into_keys().collect()
    }

    pub(super) fn is_open(&self, session: u64) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Its open sessions.
    pub(super) fn sessions(&self) -> Vec<u64> {
        self.sessions.keys().copied().collect()
    }

    /// The gateway connected.
    pub(super) fn accept(&mut self, at: Instant, session: u64) {
        let conn = ConnId(ACCEPTED | session);
        self.sessions.insert(session, conn);
        self.door.accepted(now(at), conn, false, SocketAddr::from(([127, 0, 0, 1], 40_000)));
    }

    /// A connection that it opened has a session; or could not be made.
    pub(super) fn opened(&mut self, at: Instant, conn: u64, session: Option<u64>) {
        let input = match session {
            Some(session) => {
                self.sessions.insert(session, ConnId(conn));
                ConnInput::Opened
            }
            None => ConnInput::Refused("connection refused".to_owned()),
        };
        self.door.handle(now(at), ConnId(conn), input);
    }

    /// Of a session.
    pub(super) fn handle(&mut self, at: Instant, session: u64, input: ConnInput) {
        let ends = matches!(input, ConnInput::Closed(_));
        let conn = if ends { self.sessions.remove(&session) } else { self.sessions.get(&session).copied() };
        if let Some(conn) = conn {
            self.door.handle(now(at), conn, input);
        }
    }

    /// A stanza of somebody here for the gateway.
    pub(super) fn deliver(&mut self, at: Instant, stanza: Stanza) {
        self.tokens += 1;
        self.door.deliver(now(at), self.tokens, stanza);
    }

    pub(super) fn handle_wakeup(&mut self, at: Instant) {
        self.door.handle_wakeup(now(at));
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        self.door.next_wakeup()
    }

    /// The next thing of interest outside.
    pub(super) fn poll(&mut self, at: Instant) -> Option<Brought> {
        loop {
            let brought = match self.door.poll()? {
                DoorOutput::Open(conn, target) => Some(ServerOutput::Open(conn.0, target)),
                DoorOutput::Write(conn, octets) => {
                    // Its socket takes everything at once.
                    let writes = self.writes.entry(conn).or_default();
                    *writes += 1;
                    self.door.handle(now(at), conn, ConnInput::Drained(*writes));
                    self.session(conn).map(|session| ServerOutput::Write(session, octets))
                }
                DoorOutput::Close(conn) => {
                    self.writes.remove(&conn);
                    let session = self.session(conn);
                    if let Some(session) = session {
                        self.sessions.remove(&session);
                    }
                    session.map(ServerOutput::Close)
                }
                DoorOutput::Secure(conn, secure) => {
                    self.session(conn).map(|session| ServerOutput::Secure(session, secure))
                }
                DoorOutput::Resolve(number, _) => {
                    self.door.resolved(now(at), number, Found::Nothing);
                    None
                }
                DoorOutput::Event(DoorEvent::Arrived { arrival, stanza }) => {
                    self.door.taken(now(at), arrival);
                    return Some(Brought::Stanza(stanza));
                }
                // It takes what comes; what it cannot hand over its users lose, as with most servers.
                DoorOutput::Pause(_) | DoorOutput::Resume(_) | DoorOutput::Event(_) => None,
            };
            if let Some(output) = brought {
                return Some(Brought::Output(output));
            }
        }
    }

    fn session(&self, conn: ConnId) -> Option<u64> {
        self.sessions.iter().find(|(_, of)| **of == conn).map(|(&session, _)| session)
    }
}

fn now(at: Instant) -> Now {
    Now { mono: at, wall: WORLD_BEGINS + at.since(Instant::ZERO) }
}
