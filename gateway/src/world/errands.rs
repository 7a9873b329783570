//! The clients of a world: who wants to send what, tries until it is taken or refused for good, and remembers.

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::{Duration, Instant};
use skywave_transports::io::PipeId;

use super::client::{Client, Draft, Submission};
use super::limits::CLIENT_TRIES_MAX;

/// How long a client waits before it tries again.
const RETRY: Duration = Duration::from_secs(60);

/// What somebody wants to send.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MailOrder {
    /// Reverse path without brackets.
    pub from: String,
    /// Forward paths without brackets.
    pub to: Vec<String>,
    /// Parameters of MAIL FROM as written.
    pub mail_parameters: String,
    /// Parameters of each RCPT TO as written.
    pub rcpt_parameters: String,
    /// The subject.
    pub subject: String,
    /// Header lines besides the usual ones, each with its CRLF.
    pub headers: String,
    /// The text below the header.
    pub body: Bytes,
    /// Whether the client sends commands in groups.
    pub pipelining: bool,
}

/// A mail order on its way into a site.
#[derive(Clone, Debug)]
pub struct Errand {
    /// What.
    pub order: MailOrder,
    /// At which site.
    pub site: usize,
    /// Which try this is, from 1.
    pub tries: u32,
    /// The Message-ID of this try: each try has its own, so that what became of it can be told apart.
    pub message_id: String,
    /// When it was tried.
    pub at: Instant,
    /// The last answer; `None` while it is under way.
    pub answer: Option<Submission>,
}

/// A connection of a client.
#[derive(Debug)]
pub struct Connection {
    /// Its machine.
    pub client: Client,
    /// The pipe at the node.
    pub pipe: PipeId,
}

/// All clients. See the module's page.
#[derive(Debug, Default)]
pub struct Errands {
    all: Vec<Errand>,
    connections: BTreeMap<usize, Connection>,
    waiting: VecDeque<usize>,
    number: u64,
}

impl Errands {
    /// Adds an order; the errand's number.
    pub fn add(&mut self, site: usize, order: MailOrder, at: Instant) -> usize {
        self.again(site, order, at, 1)
    }

    fn again(&mut self, site: usize, order: MailOrder, at: Instant, tries: u32) -> usize {
        self.number += 1;
        let message_id = format!("<{}.{tries}@world.test>", self.number);
        self.all.push(Errand { order, site, tries, message_id, at, answer: None });
        self.waiting.push_back(self.all.len() - 1);
        self.all.len() - 1
    }

    /// All errands, the oldest first.
    pub fn all(&self) -> &[Errand] {
        &self.all
    }

    /// Whether some errand has no answer yet.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.connections.is_empty()
    }

    /// An errand connects.
    pub fn connect(&mut self, number: usize, pipe: PipeId) {
        self.waiting.retain(|&waiting| waiting != number);
        let Some(errand) = self.all.get(number) else { return };
        let client = Client::new(vec![draft(errand)], errand.order.pipelining);
        self.connections.insert(number, Connection { client, pipe });
    }

    /// A connection.
    pub fn connection(&mut self, errand: usize) -> Option<&mut Connection> {
        self.connections.get_mut(&errand)
    }

    /// Connections that a site's crash ends.
    pub fn of_site(&self, site: usize) -> Vec<usize> {
        self.connections.keys().copied().filter(|&number| self.all[number].site == site).collect()
    }

    /// Forgets a closed connection.
    pub fn disconnect(&mut self, errand: usize) {
        self.connections.remove(&errand);
    }

    /// Notes an answer; the number of the errand that tries again, and after which time.
    pub fn answered(
        &mut self,
        number: usize,
        answer: Submission,
        at: Instant,
        random: &mut Seeded,
    ) -> Option<(usize, Duration)> {
        let errand = self.all.get_mut(number)?;
        errand.answer = Some(answer.clone());
        let again = to_retry(errand, &answer);
        if again.is_empty() || errand.tries >= CLIENT_TRIES_MAX {
            return None;
        }
        let (site, tries) = (errand.site, errand.tries + 1);
        let order = MailOrder { to: again, ..errand.order.clone() };
        let next = self.again(site, order, at, tries);
        Some((next, RETRY + Duration::from_millis(random.below(5_000))))
    }

    /// The client could not connect; after which time it tries again.
    pub fn refused(&mut self, number: usize, random: &mut Seeded) -> Option<Duration> {
        let errand = self.all.get_mut(number)?;
        errand.tries += 1;
        (errand.tries <= CLIENT_TRIES_MAX)
            .then(|| Duration::from_millis(1_000 * u64::from(errand.tries.min(30)) + random.below(1_000)))
    }
}

/// The recipients that deserve another try.
fn to_retry(errand: &Errand, answer: &Submission) -> Vec<String> {
    let for_now = |code: u16| code / 100 == 4;
    match &answer.end {
        None => errand.order.to.clone(),
        Some(reply) if for_now(reply.code) => errand.order.to.clone(),
        Some(_) => answer.refused.iter().filter(|(_, reply)| for_now(reply.code)).map(|(to, _)| to.clone()).collect(),
    }
}

fn draft(errand: &Errand) -> Draft {
    let MailOrder { from, to, mail_parameters, rcpt_parameters, subject, headers, body, .. } = &errand.order;
    let mut text = format!(
        "Message-ID: {}\r\nFrom: <{from}>\r\nTo: <{}>\r\nSubject: {subject}\r\n\
         Date: Sat, 17 Mar 2030 17:46:40 +0000\r\n{headers}\r\n",
        errand.message_id,
        to.join(">,\r\n <"),
    )
    .into_bytes();
    text.extend_from_slice(body);
    Draft {
        from: from.clone(),
        to: to.clone(),
        mail_parameters: mail_parameters.clone(),
        rcpt_parameters: rcpt_parameters.clone(),
        message_id: errand.message_id.clone(),
        text: Bytes::from(text),
    }
}
