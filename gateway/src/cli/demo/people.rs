//! The XMPP servers of the demonstration's sites and the people there: a stand-in in this process, or Prosody with a
//! client for each person. The gateways connect to both as components.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream as BlockingStream};
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::bench::xmpp::{Authority, Client, Prosody, ProsodyPlan};
use crate::shell::clock::Clock;
use crate::world::xmpp_server::{COMPONENT_SECRET, ServerOutput, XmppServer};

/// The password of everybody, and the secret of the components of Prosody.
pub const PASSWORD: &str = "skywave";
/// The resource of the people who speak by themselves.
const RESOURCE: &str = "demo";
/// How long a person listens for the next line.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);
const OCTETS: usize = 4096;

/// What happens among the people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// A line was said; its number and the id of its stanza.
    Said(usize, String),
    /// Somebody heard a text.
    Heard {
        /// The bare address.
        to: String,
        /// The text.
        text: String,
    },
}

/// A line that somebody is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToSay {
    /// Its number.
    pub number: usize,
    /// The part of the speaker's address before the `@`.
    pub user: String,
    /// To whom.
    pub to: String,
    /// What.
    pub text: String,
}

/// What a Prosody is to be.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it lies; it has the folder for itself.
    pub folder: PathBuf,
    /// Its domain.
    pub domain: String,
    /// Who speaks there.
    pub user: String,
    /// The domains for which a gateway connects to it.
    pub far: Vec<String>,
    /// What the user is to hear, in this order.
    pub expected: Vec<String>,
}

/// The server of one site, with its people.
pub struct People {
    /// Where components connect.
    pub for_components: SocketAddr,
    /// With which secret.
    pub secret: &'static str,
    /// Where clients connect, if they can.
    pub for_clients: Option<SocketAddr>,
    orders: mpsc::Sender<ToSay>,
    _prosody: Option<Prosody>,
}

impl People {
    /// Has somebody say a line.
    pub async fn say(&self, line: ToSay) {
        // A server that has gone away says nothing any more; the demonstration then ends by its patience.
        let _ = self.orders.send(line).await;
    }

    /// A stand-in for the server of `domain`.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn stand_in(domain: &str, clock: Clock, happenings: mpsc::Sender<Happening>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let for_components = listener.local_addr()?;
        let (orders, received) = mpsc::channel(16);
        let server = XmppServer::new(domain);
        let stand_in = StandIn { server, clock, happenings, writers: BTreeMap::new(), told: 0, sessions: 0 };
        tokio::spawn(stand_in.run(listener, received));
        Ok(Self { for_components, secret: COMPONENT_SECRET, for_clients: None, orders, _prosody: None })
    }

    /// A Prosody with somebody who speaks and hears. Blocks until it is there.
    ///
    /// # Errors
    /// It does not start, in words.
    pub fn prosody(place: &Place, clock: Clock, happenings: mpsc::Sender<Happening>) -> Result<Self, String> {
        let Place { folder, domain, user, far, expected } = place.clone();
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let words = |fault: crate::bench::BenchFault| fault.to_string();
        let mut plan = ProsodyPlan::new(&domain, IpAddr::from([127, 0, 0, 1])).map_err(words)?;
        plan.rooms = Some(format!("chat.{domain}"));
        plan.users = vec![(user.clone(), PASSWORD.to_owned())];
        plan.components = far.iter().map(|name| (name.clone(), PASSWORD.to_owned())).collect();
        plan.identity = Some(Authority::new(&folder).and_then(|authority| authority.issue(&[&domain])).map_err(words)?);
        let prosody = Prosody::start(&folder.join("prosody"), plan).map_err(words)?;
        let (for_clients, for_components) = (prosody.plan.for_clients, prosody.plan.for_components);
        let mut client = Client::login(clock, for_clients, [&user, &domain, RESOURCE], PASSWORD).map_err(words)?;
        client.say("<presence/>").map_err(words)?;
        let speaking = client.speaker().map_err(words)?;
        let (orders, received) = mpsc::channel(16);
        let telling = happenings.clone();
        std::thread::spawn(move || speak(speaking, received, &telling));
        let to = format!("{user}@{domain}");
        std::thread::spawn(move || {
            for text in expected {
                if client.wait(&escaped(&text), PATIENCE).is_none() {
                    return;
                }
                let heard = Happening::Heard { to: to.clone(), text };
                if happenings.blocking_send(heard).is_err() {
                    return;
                }
            }
            // The account stays in use as long as the demonstration.
            client.wait("</stream:stream>", PATIENCE);
        });
        Ok(Self { for_components, secret: PASSWORD, for_clients: Some(for_clients), orders, _prosody: Some(prosody) })
    }
}

/// Says lines through Prosody until nobody gives any more.
fn speak(mut stream: BlockingStream, mut orders: mpsc::Receiver<ToSay>, happenings: &mpsc::Sender<Happening>) {
    while let Some(ToSay { number, to, text, .. }) = orders.blocking_recv() {
        let (id, body) = (format!("demo-{number}"), escaped(&text));
        let said = write!(stream, "<message to='{to}' id='{id}' type='chat'><body>{body}</body></message>");
        if said.is_err() || happenings.blocking_send(Happening::Said(number, id)).is_err() {
            return;
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The stand-in's loop around the world's server.
struct StandIn {
    server: XmppServer,
    clock: Clock,
    happenings: mpsc::Sender<Happening>,
    writers: BTreeMap<u64, OwnedWriteHalf>,
    /// Stanzas that people here got and that were told.
    told: usize,
    sessions: u64,
}

/// What came on a connection; nothing when it closed.
type Came = (u64, Option<Vec<u8>>);

impl StandIn {
    async fn run(mut self, listener: TcpListener, mut orders: mpsc::Receiver<ToSay>) {
        let (inbox, mut came) = mpsc::channel(64);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.accepted(stream, inbox.clone()),
                    Err(_) => return,
                },
                Some((session, octets)) = came.recv() => match octets {
                    Some(octets) => self.server.read(self.clock.now().mono, session, &octets),
                    None => {
                        self.writers.remove(&session);
                        self.server.close(self.clock.now().mono, session);
                    }
                },
                order = orders.recv() => match order {
                    Some(ToSay { number, user, to, text }) => {
                        let id = self.server.say(self.clock.now().mono, &user, &to, &text);
                        let _ = self.happenings.send(Happening::Said(number, id)).await;
                    }
                    None => return,
                },
            }
            self.drain().await;
        }
    }

    fn accepted(&mut self, stream: TcpStream, inbox: mpsc::Sender<Came>) {
        self.sessions += 1;
        let session = self.sessions;
        let (mut reader, writer) = stream.into_split();
        self.writers.insert(session, writer);
        self.server.open(session);
        tokio::spawn(async move {
            let mut octets = vec![0; OCTETS];
            loop {
                let count = reader.read(&mut octets).await.unwrap_or(0);
                let came = (count > 0).then(|| octets[..count].to_vec());
                if inbox.send((session, came)).await.is_err() || count == 0 {
                    return;
                }
            }
        });
    }

    async fn drain(&mut self) {
        while let Some(output) = self.server.poll() {
            match output {
                ServerOutput::Write(session, octets) => {
                    if let Some(writer) = self.writers.get_mut(&session) {
                        // A connection that broke is noticed where it is read.
                        let _ = writer.write_all(&octets).await;
                    }
                }
                ServerOutput::Close(session) => {
                    self.writers.remove(&session);
                }
                // It meets components only.
                ServerOutput::Open(..) | ServerOutput::Secure(..) => {}
            }
        }
        for got in self.server.got().iter().skip(self.told) {
            if let Some(text) = got.body() {
                let to = got.stanza.to().to_bare().to_string();
                let _ = self.happenings.send(Happening::Heard { to, text }).await;
            }
        }
        self.told = self.server.got().len();
    }
}
