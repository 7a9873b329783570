//! Hand-over of mails to local MTAs: connections kept per target and class, each with a task of its own.
//!
//! Decides nothing: which mail goes when, on which class and how many at once is the node's; what each reply means too.
//! A connection that was kept open and turns out to be closed before anything was accepted is replaced silently once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dialogue::{Connection, Failure};
use super::disk::Disk;
use super::inbox::{Happened, Inbox};
use super::resolve::Names;
use skywave_protocols::bytes::Bytes;

use crate::node::seam::{ConnectionClass, HandOver, HandOverOutcome, Number, Piece};
use crate::store::StoreFault;

/// Octets loaded from the store at once.
const LOAD_OCTETS: u64 = 4 << 20;

/// Connections of different targets, classes and names are kept apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct PoolKey {
    target: String,
    class: ConnectionClass,
}

/// A connection's task that waits for work.
pub(super) struct Idle {
    orders: mpsc::Sender<(Number, HandOver)>,
}

/// Whether hand-over uses STARTTLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOverTls {
    /// Never: the local MTA is on this machine or a trusted wire.
    Never,
    /// Where it is offered, without proof of the name; not to loopback addresses.
    #[default]
    Offered,
    /// Always, with a certificate that the system's roots prove.
    Required,
}

/// What all connections share.
#[derive(Clone)]
pub(super) struct HandOverContext {
    pub(super) inbox: Inbox,
    pub(super) disk: Disk,
    pub(super) names: Arc<Names>,
    pub(super) tls: HandOverTls,
}

/// The idle connections.
pub(super) struct HandOvers {
    context: HandOverContext,
    idle: HashMap<PoolKey, Vec<Idle>>,
}

impl HandOvers {
    pub(super) fn new(context: HandOverContext) -> Self {
        Self { context, idle: HashMap::new() }
    }

    /// Gives a mail to an idle connection, or to a new one.
    pub(super) fn start(&mut self, number: Number, hand_over: HandOver) {
        let key = PoolKey { target: hand_over.target.clone(), class: hand_over.class };
        let mut order = (number, hand_over);
        while let Some(idle) = self.idle.get_mut(&key).and_then(Vec::pop) {
            match idle.orders.try_send(order) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Closed(back) | mpsc::error::TrySendError::Full(back)) => order = back,
            }
        }
        let context = self.context.clone();
        tokio::spawn(async move { work(context, key, order).await });
    }

    /// Takes a connection back that has nothing to do.
    pub(super) fn rest(&mut self, key: PoolKey, idle: Idle) {
        let waiting = self.idle.entry(key).or_default();
        waiting.retain(|other| !other.orders.is_closed());
        waiting.push(idle);
    }
}

/// The task of one connection: mail after mail until it breaks or nobody needs it any more.
async fn work(context: HandOverContext, key: PoolKey, mut order: (Number, HandOver)) {
    let (orders, mut received) = mpsc::channel(1);
    let mut connection = None;
    loop {
        let (number, hand_over) = order;
        let outcome = deliver(&context, &mut connection, &hand_over).await;
        let idle = connection.is_some().then(|| (key.clone(), Idle { orders: orders.clone() }));
        let ends = idle.is_none();
        if context.inbox.send(Happened::HandedOver(number, outcome, idle)).await.is_err() || ends {
            return;
        }
        match wait(&mut received, hand_over.keep_open_seconds).await {
            Some(next) => order = next,
            None => break,
        }
    }
    received.close();
    // An order given in the moment of closing is still carried out.
    if let Ok((number, hand_over)) = received.try_recv() {
        let outcome = deliver(&context, &mut connection, &hand_over).await;
        let _ = context.inbox.send(Happened::HandedOver(number, outcome, None)).await;
    }
    if let Some(connection) = connection {
        connection.quit().await;
    }
}

async fn wait(
    orders: &mut mpsc::Receiver<(Number, HandOver)>,
    keep_open_seconds: Option<u32>,
) -> Option<(Number, HandOver)> {
    match keep_open_seconds {
        None => orders.recv().await,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds.into()), orders.recv()).await.ok().flatten(),
    }
}

/// One mail on the kept connection or a new one; leaves the connection behind if it can be used again.
async fn deliver(context: &HandOverContext, kept: &mut Option<Connection>, hand_over: &HandOver) -> HandOverOutcome {
    if let Some(connection) = kept.take() {
        match mail(context, connection, hand_over, kept).await {
            // The server had closed it meanwhile, before it took anything.
            Err(Failure { started: false, .. }) => {}
            Err(failure) => return failure.outcome(),
            Ok(outcome) => return outcome,
        }
    }
    let connection = match Connection::open(&context.names, context.tls, &hand_over.target, &hand_over.hello).await {
        Ok(connection) => connection,
        Err(why) => return HandOverOutcome::Broken { why, in_doubt: false },
    };
    match mail(context, connection, hand_over, kept).await {
        Ok(outcome) => outcome,
        Err(failure) => failure.outcome(),
    }
}

async fn mail(
    context: &HandOverContext,
    mut connection: Connection,
    hand_over: &HandOver,
    kept: &mut Option<Connection>,
) -> Result<HandOverOutcome, Failure> {
    let outcome = if connection.lacks_deliver_by(hand_over) {
        HandOverOutcome::LacksDeliverBy
    } else if let Some(lacks) = connection.lacks(hand_over.needs) {
        HandOverOutcome::Lacks(lacks)
    } else {
        match load(&context.disk, connection.content(hand_over)).await {
            Ok(text) => connection.mail(hand_over, text).await?,
            // The server was not asked anything: the connection is as good as before.
            Err(fault) => HandOverOutcome::Broken { why: fault.to_string(), in_doubt: false },
        }
    };
    *kept = Some(connection);
    Ok(outcome)
}

async fn load(disk: &Disk, pieces: &[Piece]) -> Result<Vec<Bytes>, StoreFault> {
    let mut text = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Octets(octets) => text.push(octets.clone()),
            Piece::Body { body, from, to } => {
                let mut offset = *from;
                while offset < *to {
                    let octets = disk.load(*body, offset, (to - offset).min(LOAD_OCTETS)).await?;
                    if octets.is_empty() {
                        return Err(StoreFault::Damaged(format!("body {} ends at {offset}, not at {to}", body.0)));
                    }
                    offset += octets.len() as u64;
                    text.push(octets);
                }
            }
        }
    }
    Ok(text)
}
