//! The way to the store's threads: answers to the node go to the inbox, loads of the shell's own to whoever waits.
//!
//! A text that a computation converted is kept here until the node abandons it: it is never stored, as it can be
//! converted again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use skywave_protocols::bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::inbox::{Happened, Inbox};
use super::recent::Recent;
use crate::node::Input;
use crate::node::seam::Number;
use crate::store::writer::{self, StoreAnswer, StoreHandle, StoreRequest, StoreThreads};
use crate::store::{Batch, BodyId, Query, Reader, Store, StoreFault};

/// Numbers of the shell's own loads have this bit set; the node's have not.
const OWN_LOAD: u64 = 1 << 63;

type Loaded = Result<Bytes, StoreFault>;

/// The way to the store.
#[derive(Clone)]
pub(super) struct Disk {
    store: StoreHandle,
    own: Arc<Mutex<Own>>,
}

/// What is the shell's own business.
#[derive(Default)]
struct Own {
    last: u64,
    loads: HashMap<u64, oneshot::Sender<Loaded>>,
    converted: HashMap<BodyId, BytesMut>,
    recent: Recent,
}

impl Disk {
    /// Puts the store on its threads; they end when the last `Disk` is gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        store: Box<dyn Store>,
        reader: Option<Box<dyn Reader>>,
        inbox: Inbox,
    ) -> std::io::Result<(Self, StoreThreads)> {
        let own = Arc::new(Mutex::new(Own::default()));
        let waiting = Arc::clone(&own);
        let answer = Arc::new(move |answer: StoreAnswer| {
            if let Some(input) = input_of(answer, &waiting) {
                // The event loop always takes: this waits for its turn, never for ever.
                let _ = inbox.blocking_send(Happened::Input(input));
            }
        });
        let (store, threads) = writer::spawn(store, reader, answer)?;
        Ok((Self { store, own }, threads))
    }

    fn ask(&self, request: StoreRequest) {
        // After its end nobody waits for answers any more.
        let _ = self.store.send(request);
    }

    pub(super) fn append(&self, body: BodyId, octets: Bytes) {
        lock(&self.own).recent.append(body, &octets);
        self.ask(StoreRequest::Append(body, octets));
    }

    pub(super) fn abandon(&self, body: BodyId) {
        let mut own = lock(&self.own);
        own.recent.forget(body);
        if own.converted.remove(&body).is_none() {
            drop(own);
            self.ask(StoreRequest::Abandon(body));
        }
    }

    pub(super) fn store(&self, number: Number, batch: Batch) {
        let mut own = lock(&self.own);
        batch.keep.iter().for_each(|body| own.recent.keep(*body));
        batch.drop.iter().for_each(|body| own.recent.forget(*body));
        drop(own);
        self.ask(StoreRequest::Commit(number, batch));
    }

    pub(super) fn fetch(&self, number: Number, query: Query) {
        self.ask(StoreRequest::Fetch(number, query));
    }

    pub(super) fn load_for_node(&self, load: Number, body: BodyId, offset: u64, octets: usize) {
        self.ask(StoreRequest::Load { load, body, offset, octets });
    }

    /// Loads for the shell itself.
    pub(super) async fn load(&self, body: BodyId, offset: u64, octets: u64) -> Loaded {
        match self.begin_load(body, offset, usize::try_from(octets).unwrap_or(usize::MAX)) {
            Ok(loaded) => Ok(loaded),
            Err(waiting) => waiting.await.unwrap_or_else(|_| Err(gone())),
        }
    }

    /// Loads for a computation, which may block.
    pub(super) fn load_blocking(&self, body: BodyId, offset: u64, octets: usize) -> Loaded {
        match self.begin_load(body, offset, octets) {
            Ok(loaded) => Ok(loaded),
            Err(waiting) => waiting.blocking_recv().unwrap_or_else(|_| Err(gone())),
        }
    }

    /// The octets of a converted or a recent text at once, or where they will come.
    fn begin_load(&self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, oneshot::Receiver<Loaded>> {
        let mut own = lock(&self.own);
        if let Some(text) = own.converted.get(&body) {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
            let to = from.saturating_add(octets).min(text.len());
            return Ok(Bytes::copy_from_slice(&text[from..to]));
        }
        if let Some(text) = own.recent.load(body, offset, octets) {
            return Ok(text);
        }
        let (reply, waiting) = oneshot::channel();
        own.last += 1;
        let load = own.last | OWN_LOAD;
        own.loads.insert(load, reply);
        drop(own);
        self.ask(StoreRequest::Load { load, body, offset, octets });
        Err(waiting)
    }

    /// Keeps the text of a computation.
    pub(super) fn keep_converted(&self, body: BodyId, octets: &[u8]) {
        lock(&self.own).converted.entry(body).or_default().extend_from_slice(octets);
    }

    /// Asks the store to do what was asked before and to close.
    pub(super) fn close(&self) {
        self.ask(StoreRequest::Stop);
    }
}

fn lock(own: &Mutex<Own>) -> std::sync::MutexGuard<'_, Own> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> StoreFault {
    StoreFault::Failed("the store has ended".to_owned())
}

fn input_of(answer: StoreAnswer, own: &Mutex<Own>) -> Option<Input> {
    Some(match answer {
        StoreAnswer::Appended(body, octets) => Input::BodyAppended(body, octets),
        StoreAnswer::BodyFailed(body, fault) => Input::BodyFailed(body, fault),
        StoreAnswer::Stored(number) => Input::Stored(number),
        StoreAnswer::StoreFailed(number, fault) => Input::StoreFailed(number, fault),
        StoreAnswer::Fetched(number, rows) => Input::Fetched(number, rows),
        StoreAnswer::Loaded(number, loaded) if number & OWN_LOAD != 0 => {
            let waiting = lock(own).loads.remove(&number)?;
            let _ = waiting.send(loaded);
            return None;
        }
        StoreAnswer::Loaded(number, loaded) => Input::Loaded(number, loaded),
        StoreAnswer::Damaged(records) => Input::Damaged(records),
        StoreAnswer::Stopped => return None,
    })
}
