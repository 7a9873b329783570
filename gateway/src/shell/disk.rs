//! The store on a thread of its own: requests in order, commits that come together are made together.

use std::sync::mpsc as blocking;

use skywave_protocols::bytes::Bytes;
use tokio::sync::oneshot;

use super::inbox::{Happened, Inbox};
use crate::node::Input;
use crate::node::seam::Number;
use crate::store::{Batch, BodyId, Query, Store, StoreFault};

/// Requests taken together; their batches become one commit.
const GROUP_MAX: usize = 1024;

type Loaded = Result<Bytes, StoreFault>;

/// What the store is asked.
enum Request {
    Append(BodyId, Bytes),
    AppendFor(BodyId, Bytes, oneshot::Sender<Result<(), StoreFault>>),
    Abandon(BodyId),
    Store(Number, Batch),
    Fetch(Number, Query),
    Load(Number, BodyId, u64, usize),
    LoadFor(BodyId, u64, usize, oneshot::Sender<Loaded>),
}

/// The way to the store.
#[derive(Clone)]
pub(super) struct Disk {
    requests: blocking::Sender<Request>,
}

impl Disk {
    /// Starts the store's thread; it ends when the last `Disk` is gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(store: Box<dyn Store>, inbox: Inbox) -> std::io::Result<Self> {
        let (requests, received) = blocking::channel();
        let work = move || Keeper { store, inbox, waiting: Vec::new() }.run(&received);
        std::thread::Builder::new().name("store".to_owned()).spawn(work)?;
        Ok(Self { requests })
    }

    fn ask(&self, request: Request) {
        // The thread outlives every sender.
        let _ = self.requests.send(request);
    }

    pub(super) fn append(&self, body: BodyId, octets: Bytes) {
        self.ask(Request::Append(body, octets));
    }

    pub(super) fn abandon(&self, body: BodyId) {
        self.ask(Request::Abandon(body));
    }

    pub(super) fn store(&self, number: Number, batch: Batch) {
        self.ask(Request::Store(number, batch));
    }

    pub(super) fn fetch(&self, number: Number, query: Query) {
        self.ask(Request::Fetch(number, query));
    }

    pub(super) fn load_for_node(&self, number: Number, body: BodyId, offset: u64, octets: usize) {
        self.ask(Request::Load(number, body, offset, octets));
    }

    /// Loads for the shell itself.
    pub(super) async fn load(&self, body: BodyId, offset: u64, octets: u64) -> Loaded {
        let (reply, loaded) = oneshot::channel();
        self.ask(Request::LoadFor(body, offset, usize::try_from(octets).unwrap_or(usize::MAX), reply));
        loaded.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Loads for a computation, which may block.
    pub(super) fn load_blocking(&self, body: BodyId, offset: u64, octets: usize) -> Loaded {
        let (reply, loaded) = oneshot::channel();
        self.ask(Request::LoadFor(body, offset, octets, reply));
        loaded.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Appends for a computation, which may block.
    pub(super) fn append_blocking(&self, body: BodyId, octets: Bytes) -> Result<(), StoreFault> {
        let (reply, appended) = oneshot::channel();
        self.ask(Request::AppendFor(body, octets, reply));
        appended.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> StoreFault {
    StoreFault::Failed("the store has ended".to_owned())
}

struct Keeper {
    store: Box<dyn Store>,
    inbox: Inbox,
    waiting: Vec<(Number, Batch)>,
}

impl Keeper {
    fn run(mut self, requests: &blocking::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            for request in std::iter::once(first).chain(requests.try_iter().take(GROUP_MAX)) {
                self.take(request);
            }
            self.commit();
            let damaged = self.store.damaged();
            if !damaged.is_empty() {
                self.tell(Input::Damaged(damaged));
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Append(body, octets) => {
                let input = match self.store.append_body(body, &octets) {
                    Ok(()) => Input::BodyAppended(body, octets.len()),
                    Err(fault) => Input::BodyFailed(body, fault),
                };
                self.tell(input);
            }
            Request::AppendFor(body, octets, reply) => drop(reply.send(self.store.append_body(body, &octets))),
            Request::Abandon(body) => self.store.abandon_body(body),
            Request::Store(number, batch) => self.waiting.push((number, batch)),
            // What was stored before is seen by what is fetched after.
            Request::Fetch(number, query) => {
                self.commit();
                let rows = self.store.fetch(&query);
                self.tell(Input::Fetched(number, rows));
            }
            Request::Load(number, body, offset, octets) => {
                self.commit();
                let loaded = self.store.load_body(body, offset, octets);
                self.tell(Input::Loaded(number, loaded));
            }
            Request::LoadFor(body, offset, octets, reply) => {
                self.commit();
                let _ = reply.send(self.store.load_body(body, offset, octets));
            }
        }
    }

    fn commit(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (numbers, batches): (Vec<Number>, Vec<Batch>) = std::mem::take(&mut self.waiting).into_iter().unzip();
        let result = self.store.commit(&batches);
        if result.is_err() && batches.len() > 1 {
            // One batch too large for the disk must not fail the others.
            for (number, batch) in numbers.into_iter().zip(&batches) {
                let result = self.store.commit(std::slice::from_ref(batch));
                self.committed(number, result);
            }
            return;
        }
        for number in numbers {
            self.committed(number, result.clone());
        }
    }

    fn committed(&self, number: Number, result: Result<(), StoreFault>) {
        self.tell(match result {
            Ok(()) => Input::Stored(number),
            Err(fault) => Input::StoreFailed(number, fault),
        });
    }

    fn tell(&self, input: Input) {
        let _ = self.inbox.blocking_send(Happened::Input(input));
    }
}
