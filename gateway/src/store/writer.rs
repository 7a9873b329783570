//! A store on threads of its own: one that writes, and one that reads beside it.
//!
//! The writer takes over all that waits and makes it durable in one transaction (group commit): under load a commit
//! serves many; without load only batches for which nobody waits stand by for company, a few milliseconds (see
//! `docs/adr/0021-what-nobody-waits-for-shares-the-next-sync.md`).
//! Promises: answers of batches come in the order of the requests, except that an urgent batch overtakes others it has
//! nothing in common with; a batch at fault does not fail its group; a fetch or load sees every batch whose commit was asked for before it, unless that failed. So what is read while
//! nothing is being written, and every body, comes from the reader at once; a fetch behind a commit waits for it.
//! Refuses: nothing; the node bounds what it asks for (`BodyAppended` lets it read on). Limits: [`super::limits`].

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Row, Space};

use super::limits::{
    COMPANY_MILLISECONDS, COMPANY_REQUESTS_MAX, DRAIN_REQUESTS_MAX, GROUP_BATCHES_MAX, GROUP_OCTETS_MAX,
    IDLE_MILLISECONDS,
};
use super::{Batch, BodyId, Query, Reader, Store, StoreFault};

/// What is asked of the store. Numbers are the asker's and come back with the answer.
#[derive(Clone, PartialEq, Debug)]
pub enum StoreRequest {
    /// Append to a body; answered by `Appended` or `BodyFailed`. When the commit that keeps the body came right behind it,
    /// `Appended` is left out: the answer to the commit says all.
    Append(BodyId, Bytes),
    /// Forget a body that no batch was asked to keep; not answered.
    Abandon(BodyId),
    /// Make a batch durable; answered by `Stored` or `StoreFailed`.
    Commit(u64, Batch),
    /// Fetch rows; answered by `Fetched`.
    Fetch(u64, Query),
    /// Load a range of a body; answered by `Loaded`.
    Load {
        /// The number of this load.
        load: u64,
        /// Which body.
        body: BodyId,
        /// First octet.
        offset: u64,
        /// At most so many octets.
        octets: usize,
    },
    /// Do what was asked before, then close the store; answered by `Stopped`.
    Stop,
}

/// What the store answers.
#[derive(Clone, PartialEq, Debug)]
pub enum StoreAnswer {
    /// So many octets of a body were taken over.
    Appended(BodyId, usize),
    /// A body could not be appended to; it is useless.
    BodyFailed(BodyId, StoreFault),
    /// A batch is durable.
    Stored(u64),
    /// A batch is not stored.
    StoreFailed(u64, StoreFault),
    /// Rows.
    Fetched(u64, Result<Vec<Row>, StoreFault>),
    /// Octets of a body.
    Loaded(u64, Result<Bytes, StoreFault>),
    /// Records were set aside as damaged.
    Damaged(Vec<String>),
    /// The store is closed.
    Stopped,
}

/// Called with each answer, on the thread that made it; must not block.
pub type Answer = Arc<dyn Fn(StoreAnswer) + Send + Sync>;

/// Where requests are handed in. When the last handle is gone the threads end as if told to stop.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    writer: Sender<StoreRequest>,
    reader: Option<Sender<StoreRequest>>,
    /// Batches asked for and not yet answered.
    under_way: Arc<AtomicU64>,
}

impl StoreHandle {
    /// Hands a request in; false when the store has stopped and no answer will come.
    pub fn send(&self, request: StoreRequest) -> bool {
        let Some(reader) = &self.reader else { return self.send_to_writer(request) };
        match &request {
            StoreRequest::Load { .. } | StoreRequest::Stop => reader.send(request).is_ok(),
            // The reader would not see what is still on its way; the writer does, once it is through with it.
            StoreRequest::Fetch(..) if self.under_way.load(Ordering::Acquire) == 0 => reader.send(request).is_ok(),
            StoreRequest::Fetch(..) => self.send_to_writer(request),
            StoreRequest::Append(..) | StoreRequest::Abandon(_) | StoreRequest::Commit(..) => {
                self.send_to_writer(request)
            }
        }
    }

    fn send_to_writer(&self, request: StoreRequest) -> bool {
        if matches!(request, StoreRequest::Commit(..)) {
            self.under_way.fetch_add(1, Ordering::AcqRel);
        }
        self.writer.send(request).is_ok()
    }
}

/// The threads, for whoever wants to wait for their end.
#[derive(Debug)]
pub struct StoreThreads {
    writer: JoinHandle<()>,
    reader: Option<JoinHandle<()>>,
}

impl StoreThreads {
    /// Waits until both have ended; false when one of them panicked.
    pub fn join(self) -> bool {
        let reader = self.reader.is_none_or(|reader| reader.join().is_ok());
        self.writer.join().is_ok() && reader
    }
}

/// Puts a store on its threads. Without a reader the writer reads between commits.
///
/// # Errors
/// When a thread cannot be started.
pub fn spawn(
    store: Box<dyn Store>,
    reader: Option<Box<dyn Reader>>,
    answer: Answer,
) -> io::Result<(StoreHandle, StoreThreads)> {
    let (to_writer, requests) = channel();
    let under_way = Arc::new(AtomicU64::new(0));
    let mut handle = StoreHandle { writer: to_writer.clone(), reader: None, under_way: Arc::clone(&under_way) };
    let mut reader_thread = None;
    if let Some(reader) = reader {
        let (to_reader, requests) = channel();
        handle.reader = Some(to_reader);
        let answer = Arc::clone(&answer);
        let run = move || read(reader, &requests, &to_writer, &answer);
        reader_thread = Some(Builder::new().name("store-reader".into()).spawn(run)?);
    }
    let writer = Writer { store, answer, queue: VecDeque::new(), appended: Vec::new(), under_way };
    let run = move || writer.run(&requests);
    let writer = Builder::new().name("store-writer".into()).spawn(run)?;
    Ok((handle, StoreThreads { writer, reader: reader_thread }))
}

/// Answers reads until told to stop; what is damaged or not here yet, and the stop itself, goes on to the writer.
fn read(
    mut reader: Box<dyn Reader>,
    requests: &Receiver<StoreRequest>,
    writer: &Sender<StoreRequest>,
    answer: &Answer,
) {
    while let Ok(request) = requests.recv() {
        let answered = match &request {
            StoreRequest::Fetch(number, query) => match reader.fetch(query) {
                Err(StoreFault::Damaged(_)) => None,
                result => Some(StoreAnswer::Fetched(*number, result)),
            },
            StoreRequest::Load { load, body, offset, octets } => match reader.load_body(*body, *offset, *octets) {
                Err(StoreFault::Damaged(_) | StoreFault::NoBody(_)) => None,
                result => Some(StoreAnswer::Loaded(*load, result)),
            },
            StoreRequest::Stop => break,
            StoreRequest::Append(..) | StoreRequest::Abandon(_) | StoreRequest::Commit(..) => None,
        };
        match answered {
            Some(answered) => answer(answered),
            // The writer sets aside what is damaged, has what is still on its way, and answers with the rest.
            None => drop(writer.send(request)),
        }
    }
    // The reader's connection is closed before the writer's, whose closing tidies the log up.
    drop(reader);
    let _ = writer.send(StoreRequest::Stop);
}

struct Writer {
    store: Box<dyn Store>,
    answer: Answer,
    queue: VecDeque<(u64, Batch)>,
    /// What was appended and is not answered.
    appended: Vec<(BodyId, usize)>,
    under_way: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, requests: &Receiver<StoreRequest>) {
        let mut may_tend = true;
        let mut stopping = false;
        self.tell_damage();
        while !stopping {
            match next(requests, may_tend) {
                Next::Request(request) => {
                    stopping = !self.take(request);
                    // What came while the last group was on its way to the disk makes the next one.
                    while !stopping && !self.queue.is_empty() {
                        stopping = !self.drain(requests) || !self.stand_by(requests);
                        self.tell_appended();
                        self.commit_group();
                    }
                    self.tell_appended();
                    may_tend = true;
                }
                Next::Idle => {
                    may_tend = self.store.tend();
                    self.tell_damage();
                }
                Next::Gone => stopping = true,
            }
        }
        self.commit_all();
        self.store.tend();
        drop(self.store);
        (self.answer)(StoreAnswer::Stopped);
    }

    /// Takes over what waits, within limits; false when told to stop.
    fn drain(&mut self, requests: &Receiver<StoreRequest>) -> bool {
        let waiting = requests.try_iter().take(DRAIN_REQUESTS_MAX);
        for request in waiting {
            if !self.take(request) {
                return false;
            }
        }
        true
    }

    /// Lets batches for which nobody waits share the sync of one that somebody waits for; false when told to stop. The
    /// end of one mail so goes with the acceptance of the next: one sync for a mail instead of two.
    fn stand_by(&mut self, requests: &Receiver<StoreRequest>) -> bool {
        for _ in 0..COMPANY_REQUESTS_MAX {
            if self.queue.is_empty() || self.queue.iter().any(|(_, batch)| !batch.patient) {
                break;
            }
            match requests.recv_timeout(Duration::from_millis(COMPANY_MILLISECONDS)) {
                Ok(request) => {
                    if !self.take(request) {
                        return false;
                    }
                    self.tell_appended();
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        true
    }

    /// Does what need not wait for the disk, and puts batches in line; false when told to stop.
    fn take(&mut self, request: StoreRequest) -> bool {
        match request {
            StoreRequest::Append(body, octets) => {
                let count = octets.len();
                match self.store.append_body(body, &octets) {
                    Ok(()) => self.appended.push((body, count)),
                    Err(fault) => self.answer(StoreAnswer::BodyFailed(body, fault)),
                }
            }
            StoreRequest::Abandon(body) => self.store.abandon_body(body),
            StoreRequest::Commit(number, batch) => self.queue.push_back((number, batch)),
            StoreRequest::Fetch(number, query) => {
                self.commit_all();
                let result = self.store.fetch(&query);
                self.tell_damage();
                self.answer(StoreAnswer::Fetched(number, result));
            }
            StoreRequest::Load { load, body, offset, octets } => {
                self.commit_all();
                let result = self.store.load_body(body, offset, octets);
                self.tell_damage();
                self.answer(StoreAnswer::Loaded(load, result));
            }
            StoreRequest::Stop => return false,
        }
        true
    }

    fn commit_all(&mut self) {
        while !self.queue.is_empty() {
            self.commit_group();
        }
    }

    fn commit_group(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let (numbers, batches): (Vec<u64>, Vec<Batch>) = group(&mut self.queue).into_iter().unzip();
        match self.store.commit(&batches) {
            Ok(()) => numbers.into_iter().for_each(|number| self.tell(number, Ok(()))),
            // One asks for too much, or for what is not there: each is tried for itself.
            Err(StoreFault::Full(_) | StoreFault::NoBody(_) | StoreFault::Damaged(_)) if batches.len() > 1 => {
                for (number, batch) in numbers.into_iter().zip(batches) {
                    let result = self.store.commit(&[batch]);
                    self.tell(number, result);
                }
            }
            Err(fault) => numbers.into_iter().for_each(|number| self.tell(number, Err(fault.clone()))),
        }
        self.store.after_commit();
    }

    fn tell(&self, number: u64, result: Result<(), StoreFault>) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.answer(match result {
            Ok(()) => StoreAnswer::Stored(number),
            Err(fault) => StoreAnswer::StoreFailed(number, fault),
        });
    }

    /// Answers what was appended, but for bodies whose commit is at hand: nobody waits for room in those.
    fn tell_appended(&mut self) {
        for (body, octets) in std::mem::take(&mut self.appended) {
            if !self.queue.iter().any(|(_, batch)| batch.keep.contains(&body)) {
                self.answer(StoreAnswer::Appended(body, octets));
            }
        }
    }

    fn tell_damage(&mut self) {
        let names = self.store.damaged();
        if !names.is_empty() {
            self.answer(StoreAnswer::Damaged(names));
        }
    }

    fn answer(&self, answer: StoreAnswer) {
        (self.answer)(answer);
    }
}

enum Next {
    Request(StoreRequest),
    Idle,
    Gone,
}

fn next(requests: &Receiver<StoreRequest>, may_tend: bool) -> Next {
    if !may_tend {
        return requests.recv().map_or(Next::Gone, Next::Request);
    }
    match requests.recv_timeout(Duration::from_millis(IDLE_MILLISECONDS)) {
        Ok(request) => Next::Request(request),
        Err(RecvTimeoutError::Timeout) => Next::Idle,
        Err(RecvTimeoutError::Disconnected) => Next::Gone,
    }
}

/// Takes from the line what makes one transaction: from its front, urgent ones before all others.
fn group(queue: &mut VecDeque<(u64, Batch)>) -> Vec<(u64, Batch)> {
    if fitting(queue) < queue.len() {
        urgent_first(queue);
    }
    let count = fitting(queue);
    queue.drain(..count).collect()
}

/// How many from the front fit into one transaction; at least one.
fn fitting(queue: &VecDeque<(u64, Batch)>) -> usize {
    let mut octets = 0;
    let fits = |(_, batch): &&(u64, Batch)| {
        octets += batch.writes.iter().map(|w| w.key.len() + w.value.as_ref().map_or(0, Bytes::len)).sum::<usize>();
        octets <= GROUP_OCTETS_MAX
    };
    queue.iter().take(GROUP_BATCHES_MAX).take_while(fits).count().clamp(1, queue.len().max(1)).min(queue.len())
}

/// What a batch changes: two batches with nothing in common may change places.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    Row(Space, Vec<u8>),
    Body(BodyId),
}

fn touches(batch: &Batch) -> impl Iterator<Item = Touch> {
    let rows = batch.writes.iter().map(|write| Touch::Row(write.space, write.key.clone()));
    rows.chain(batch.keep.iter().chain(&batch.drop).map(|body| Touch::Body(*body)))
}

fn urgent_first(queue: &mut VecDeque<(u64, Batch)>) {
    let mut passed = BTreeSet::new();
    let (mut first, mut later) = (VecDeque::new(), VecDeque::new());
    for (number, batch) in queue.drain(..) {
        if batch.urgent && touches(&batch).all(|touch| !passed.contains(&touch)) {
            first.push_back((number, batch));
        } else {
            passed.extend(touches(&batch));
            later.push_back((number, batch));
        }
    }
    first.append(&mut later);
    *queue = first;
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use skywave_protocols::bytes::Bytes;

    use super::*;
    use crate::store::conformance_tests::{append, batch, keys, octets, put, range};
    use crate::store::model::{ModelStore, Trouble};
    use crate::store::sqlite::SqliteStore;

    const WAIT: Duration = Duration::from_secs(20);

    fn answers() -> (Answer, Receiver<StoreAnswer>) {
        let (sender, receiver) = channel();
        (Arc::new(move |answer| drop(sender.send(answer))), receiver)
    }

    fn mail(key: &[u8]) -> Batch {
        batch(vec![put(Space::Mail, key, b"v")])
    }

    /// A model whose commits wait at a gate and tell what they are given.
    struct Gated {
        model: ModelStore,
        seen: Sender<Vec<Batch>>,
        gate: Receiver<()>,
    }

    impl Store for Gated {
        fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
            self.model.append_body(body, octets)
        }
        fn abandon_body(&mut self, body: BodyId) {
            self.model.abandon_body(body);
        }
        fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
            self.seen.send(batches.to_vec()).unwrap();
            self.gate.recv().unwrap();
            self.model.commit(batches)
        }
        fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
            self.model.fetch(query)
        }
        fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
            self.model.load_body(body, offset, octets)
        }
        fn damaged(&mut self) -> Vec<String> {
            self.model.damaged()
        }
    }

    struct Bed {
        handle: StoreHandle,
        threads: StoreThreads,
        answers: Receiver<StoreAnswer>,
        seen: Receiver<Vec<Batch>>,
        gate: SyncSender<()>,
    }

    fn bed(model: ModelStore) -> Bed {
        let (answer, answers) = answers();
        let ((seen_by, seen), (gate, gate_of)) = (channel(), sync_channel(1000));
        let (handle, threads) = spawn(Box::new(Gated { model, seen: seen_by, gate: gate_of }), None, answer).unwrap();
        Bed { handle, threads, answers, seen, gate }
    }

    impl Bed {
        fn commit(&self, number: u64, batch: Batch) {
            assert!(self.handle.send(StoreRequest::Commit(number, batch)));
        }

        fn answer(&self) -> StoreAnswer {
            self.answers.recv_timeout(WAIT).unwrap()
        }

        fn seen(&self) -> Vec<Batch> {
            self.seen.recv_timeout(WAIT).unwrap()
        }

        fn open(&self) {
            self.gate.send(()).unwrap();
        }
    }

    #[test]
    fn what_nobody_waits_for_goes_with_the_next() {
        let patient = |key: &[u8]| Batch { patient: true, ..mail(key) };
        let commit = |number, batch| StoreRequest::Commit(number, batch);
        let append = || StoreRequest::Append(BodyId(1), Bytes::from_static(b"text"));
        for (begun, coming, expected) in [
            (patient(b"end"), vec![append(), commit(1, mail(b"next")), commit(2, mail(b"later"))], vec![0, 1]),
            (patient(b"end"), vec![commit(1, patient(b"another end"))], vec![0, 1]),
            (patient(b"alone"), vec![], vec![0]),
            (mail(b"somebody waits"), vec![commit(1, mail(b"next"))], vec![0]),
        ] {
            let (sender, requests) = channel();
            coming.into_iter().for_each(|request| sender.send(request).unwrap());
            let queue = VecDeque::from([(0, begun)]);
            let store = Box::new(ModelStore::new());
            let (answer, appended, under_way) = (answers().0, Vec::new(), Arc::default());
            let mut writer = Writer { store, answer, queue, appended, under_way };
            assert!(writer.stand_by(&requests));
            assert_eq!(writer.queue.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_waits_is_committed_together() {
        let bed = bed(ModelStore::new());
        bed.commit(0, mail(b"first"));
        assert_eq!(bed.seen().len(), 1, "the first does not wait for company");
        for number in 1..=100 {
            bed.commit(number, mail(&number.to_be_bytes()));
        }
        bed.open();
        assert_eq!(bed.answer(), StoreAnswer::Stored(0));
        assert_eq!(bed.seen().len(), 100);
        bed.open();
        (1..=100).for_each(|number| assert_eq!(bed.answer(), StoreAnswer::Stored(number)));
        bed.handle.send(StoreRequest::Stop);
        assert_eq!(bed.answer(), StoreAnswer::Stopped);
        assert!(bed.threads.join());
        assert!(!bed.handle.send(StoreRequest::Stop), "nobody is left to answer");
    }

    #[test]
    fn groups_are_bounded_and_an_urgent_batch_overtakes_strangers() {
        let bed = bed(ModelStore::new());
        bed.commit(1000, mail(b"first"));
        bed.seen();
        let most = GROUP_BATCHES_MAX as u64;
        (0..2 * most).for_each(|number| bed.commit(number, mail(&number.to_be_bytes())));
        bed.commit(2000, Batch { urgent: true, ..mail(b"flash") });
        bed.commit(2001, Batch { urgent: true, ..mail(&(2 * most - 1).to_be_bytes()) });
        (0..9).for_each(|_| bed.open());
        let second = bed.seen();
        assert_eq!((second.len() as u64, second[0].urgent, second[1].urgent), (most, true, false));
        let order: Vec<StoreAnswer> = (0..2 * most + 3).map(|_| bed.answer()).collect();
        let at = |number| order.iter().position(|answer| *answer == StoreAnswer::Stored(number)).unwrap();
        assert_eq!((at(1000), at(2000)), (0, 1));
        assert!(at(2001) > at(2 * most - 1), "one that changes the same row stays behind it");
        assert!((1..2 * most).all(|number| at(number) > at(number - 1)));
    }

    #[test]
    fn a_batch_at_fault_fails_alone() {
        let bed = bed(ModelStore::new());
        bed.commit(0, mail(b"first"));
        bed.seen();
        bed.commit(1, mail(b"a"));
        bed.commit(2, Batch { keep: vec![BodyId(77)], ..mail(b"b") });
        bed.commit(3, mail(b"c"));
        (0..9).for_each(|_| bed.open());
        let order: Vec<StoreAnswer> = (0..4).map(|_| bed.answer()).collect();
        assert_eq!(
            order[1..],
            [StoreAnswer::Stored(1), StoreAnswer::StoreFailed(2, StoreFault::NoBody(77)), StoreAnswer::Stored(3)]
        );
    }

    #[test]
    fn faults_are_answered_and_later_commits_succeed() {
        let mut model = ModelStore::new();
        model.plan(0..1, Trouble::CommitsFail);
        let bed = bed(model);
        (0..9).for_each(|_| bed.open());
        bed.commit(0, mail(b"a"));
        assert!(matches!(bed.answer(), StoreAnswer::StoreFailed(0, StoreFault::Failed(_))));
        bed.commit(1, mail(b"a"));
        assert_eq!(bed.answer(), StoreAnswer::Stored(1));
    }

    #[test]
    fn the_threads_end_with_the_last_handle() {
        let bed = bed(ModelStore::new());
        (0..9).for_each(|_| bed.open());
        bed.commit(1, mail(b"a"));
        let Bed { handle, threads, answers, .. } = bed;
        drop(handle);
        assert!(threads.join());
        assert_eq!(answers.iter().collect::<Vec<_>>(), [StoreAnswer::Stored(1), StoreAnswer::Stopped]);
    }

    fn append_and_load_at_once(handle: &StoreHandle) {
        handle.send(StoreRequest::Append(BodyId(5), Bytes::from_static(b"abc")));
        handle.send(StoreRequest::Commit(9, Batch { keep: vec![BodyId(5)], ..Batch::default() }));
        handle.send(StoreRequest::Load { load: 9, body: BodyId(5), offset: 1, octets: 1 });
    }

    #[test]
    fn reads_beside_the_writer_see_what_was_committed_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path()).unwrap();
        append(&mut store, BodyId(1), 100_000);
        store.commit(&[Batch { keep: vec![BodyId(1)], ..Batch::default() }]).unwrap();
        let reader = store.reader().unwrap();
        let (answer, answers) = answers();
        let (handle, threads) = spawn(Box::new(store), Some(Box::new(reader)), answer).unwrap();
        let ask = |request| {
            handle.send(request);
            answers.recv_timeout(WAIT).unwrap()
        };
        handle.send(StoreRequest::Commit(0, mail(&[0])));
        handle.send(StoreRequest::Fetch(7, range(Space::Mail, b"", b"")));
        append_and_load_at_once(&handle);
        let mut first: Vec<StoreAnswer> = (0..5).map(|_| answers.recv_timeout(WAIT).unwrap()).collect();
        first.retain(|answer| !matches!(answer, StoreAnswer::Stored(_) | StoreAnswer::Appended(..)));
        let rows = vec![Row { key: vec![0], value: Bytes::from_static(b"v") }];
        assert_eq!(first, [StoreAnswer::Fetched(7, Ok(rows)), StoreAnswer::Loaded(9, Ok(Bytes::from_static(b"b")))]);
        for number in 1..20 {
            assert_eq!(ask(StoreRequest::Commit(number, mail(&[number as u8]))), StoreAnswer::Stored(number));
            let StoreAnswer::Fetched(7, Ok(rows)) = ask(StoreRequest::Fetch(7, range(Space::Mail, b"", b""))) else {
                panic!("no rows")
            };
            assert_eq!(rows.len() as u64, number + 1);
        }
        let load = StoreRequest::Load { load: 8, body: BodyId(1), offset: 70_000, octets: 5 };
        let part = Bytes::copy_from_slice(&octets(BodyId(1), 100_000)[70_000..70_005]);
        assert_eq!(ask(load.clone()), StoreAnswer::Loaded(8, Ok(part)));
        std::fs::write(folder.path().join("body/01/0000000000000001"), b"short").unwrap();
        assert!(matches!(ask(load.clone()), StoreAnswer::Damaged(_)));
        assert!(matches!(answers.recv_timeout(WAIT).unwrap(), StoreAnswer::Loaded(8, Err(StoreFault::Damaged(_)))));
        assert_eq!(ask(load), StoreAnswer::Loaded(8, Err(StoreFault::NoBody(1))));
        assert_eq!(
            ask(StoreRequest::Append(BodyId(2), Bytes::from_static(b"xy"))),
            StoreAnswer::Appended(BodyId(2), 2)
        );
        assert_eq!(ask(StoreRequest::Stop), StoreAnswer::Stopped);
        assert!(threads.join());
        assert!(!folder.path().join("skywave.db-wal").exists(), "closing in good order leaves no log");
        let mut store = SqliteStore::open(folder.path()).unwrap();
        assert_eq!(keys(&store.fetch(&range(Space::Mail, b"", b"")).unwrap()).len(), 20);
    }
}
