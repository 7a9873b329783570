//! One node with its store and nothing else: everything it asks of the disk is answered at once; what it writes,
//! hands over, replies and tells is kept. Time passes when a test says so.

use std::collections::{BTreeMap, VecDeque};

use skywave::node::command::{Command, Reply};
use skywave::node::config::SiteConfig;
use skywave::node::seam::{
    ACCEPTED_PIPE, Answer, HandOver, HandOverOutcome, Job, ListenerId, Number, Piece, ReplyTo, SmtpReply,
};
use skywave::node::{Input, Node, Output};
use skywave::pump::pump;
use skywave::store::model::ModelStore;
use skywave::store::{Store as _, StoreFault};
use skywave::telemetry::Event;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup, WallTime};
use skywave_transports::io::{PipeId, PipeInput, PipeOutput};

pub const BEGIN: u64 = 1_900_000_000;

/// See the module.
pub struct Lone {
    pub node: Node,
    pub store: ModelStore,
    pub now: Now,
    /// What was written to each pipe.
    pub written: BTreeMap<PipeId, Vec<u8>>,
    /// Pipes that it asked for.
    pub opened: Vec<PipeId>,
    pub closed: Vec<PipeId>,
    pub paused: Vec<PipeId>,
    /// Hand-overs that wait for their end.
    pub hand_overs: VecDeque<(Number, HandOver)>,
    pub told: Vec<Event>,
    pub replies: Vec<Reply>,
    pub stopped: bool,
    /// Answers of the store and of computations are kept back.
    pub withheld: Option<Vec<Input>>,
    /// The other ends keep what the node closes.
    pub lingers: bool,
    wakeup: Option<Wakeup>,
    inputs: VecDeque<Input>,
}

impl Lone {
    pub fn new(config: SiteConfig) -> Self {
        Self::over(config, ModelStore::new(), BEGIN)
    }

    /// Starts over what is on a disk, at a date in seconds.
    pub fn over(config: SiteConfig, store: ModelStore, wall: u64) -> Self {
        let now = Now { mono: Instant::from_micros(7_000_000), wall: WallTime::from_unix_seconds(wall) };
        let mut lone = Self {
            node: Node::new(config, Box::new(Seeded::new(5))),
            store,
            now,
            written: BTreeMap::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            paused: Vec::new(),
            hand_overs: VecDeque::new(),
            told: Vec::new(),
            replies: Vec::new(),
            stopped: false,
            withheld: None,
            lingers: false,
            wakeup: None,
            inputs: VecDeque::new(),
        };
        lone.feed(Input::Started);
        lone
    }

    pub fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut outputs = Vec::new();
            self.wakeup = pump(&mut self.node, self.now, input, |output| outputs.push(output));
            outputs.into_iter().for_each(|output| self.execute(output));
        }
    }

    /// Lets time pass, waking the node whenever it wants; says how often that was.
    pub fn pass(&mut self, span: Duration) -> usize {
        let until = self.now.mono + span;
        let mut woken = 0;
        while let Some(wakeup) = self.wakeup.filter(|wakeup| wakeup.at <= until) {
            self.to(wakeup.at.max(self.now.mono));
            self.feed(Input::Woken);
            woken += 1;
            assert!(woken < 1_000_000, "it turns on the spot: {}", wakeup.why);
        }
        self.to(until);
        woken
    }

    fn to(&mut self, at: Instant) {
        let passed = at.since(self.now.mono);
        self.now = Now { mono: at, wall: self.now.wall + passed };
    }

    pub fn connect(&mut self, number: u64) -> PipeId {
        let pipe = PipeId(ACCEPTED_PIPE | number);
        let peer = ([127, 0, 0, 1], 50_000).into();
        self.feed(Input::Accepted { listener: ListenerId(0), pipe, peer });
        pipe
    }

    pub fn say(&mut self, pipe: PipeId, octets: &[u8]) {
        self.feed(Input::Pipe(pipe, PipeInput::Read(Bytes::copy_from_slice(octets))));
    }

    /// What was written to a pipe since it was last asked.
    pub fn heard(&mut self, pipe: PipeId) -> String {
        String::from_utf8(self.written.remove(&pipe).unwrap_or_default()).unwrap()
    }

    /// A whole mail on a connection of its own; the reply to its end.
    pub fn mail(&mut self, number: u64, parameters: &str, to: &[&str], text: &str) -> String {
        let pipe = self.connect(number);
        self.say(pipe, b"EHLO client.test\r\n");
        self.say(pipe, format!("MAIL FROM:<a@hq.test>{parameters}\r\n").as_bytes());
        to.iter().for_each(|to| self.say(pipe, format!("RCPT TO:<{to}>\r\n").as_bytes()));
        self.say(pipe, b"DATA\r\n");
        self.heard(pipe);
        self.say(pipe, format!("{text}\r\n.\r\n").as_bytes());
        let reply = self.heard(pipe);
        self.feed(Input::Pipe(pipe, PipeInput::Closed(None)));
        reply
    }

    pub fn ask(&mut self, command: Command) -> Option<Reply> {
        let before = self.replies.len();
        self.feed(Input::Command(ReplyTo(before as u64 + 1), command));
        self.replies.get(before).cloned()
    }

    /// What `skywave status` shows.
    pub fn status(&mut self) -> serde_json::Value {
        match self.ask(Command::Status) {
            Some(Reply::Ok(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Ends the oldest open hand-over with a code for every recipient.
    pub fn answer(&mut self, code: u16) -> HandOver {
        let (number, hand_over) = self.hand_overs.pop_front().expect("a hand-over");
        let reply = SmtpReply { code, enhanced: None, text: "said".to_owned() };
        let replies = vec![reply; hand_over.envelope.recipients.len()];
        self.feed(Input::HandedOver(
            number,
            HandOverOutcome::Replies { server: "mta".into(), dsn: true, deliver_by: true, replies },
        ));
        hand_over
    }

    /// The text of a hand-over as the server without MT-PRIORITY gets it.
    pub fn text(&mut self, pieces: &[Piece]) -> String {
        let text: Vec<u8> = pieces.iter().flat_map(|piece| self.load(piece).unwrap().to_vec()).collect();
        String::from_utf8(text).unwrap()
    }

    fn load(&mut self, piece: &Piece) -> Result<Bytes, StoreFault> {
        match piece {
            Piece::Octets(octets) => Ok(octets.clone()),
            Piece::Body { body, from, to } => {
                let mut octets = Vec::new();
                while from + (octets.len() as u64) < *to {
                    let left = (to - from) as usize - octets.len();
                    let more = self.store.load_body(*body, from + octets.len() as u64, left)?;
                    assert!(!more.is_empty(), "the body ends early");
                    octets.extend_from_slice(&more);
                }
                Ok(octets.into())
            }
        }
    }

    fn come(&mut self, input: Input) {
        match &mut self.withheld {
            Some(withheld) => withheld.push(input),
            None => self.inputs.push_back(input),
        }
    }

    /// What was kept back is answered now.
    pub fn release(&mut self) {
        for input in self.withheld.take().unwrap_or_default() {
            self.feed(input);
        }
    }

    fn execute(&mut self, output: Output) {
        match output {
            Output::Store(number, batch) => {
                let input = match self.store.commit(&[batch]) {
                    Ok(()) => Input::Stored(number),
                    Err(fault) => Input::StoreFailed(number, fault),
                };
                self.come(input);
            }
            Output::AppendBody(body, octets) => {
                let input = match self.store.append_body(body, &octets) {
                    Ok(()) => Input::BodyAppended(body, octets.len()),
                    Err(fault) => Input::BodyFailed(body, fault),
                };
                self.come(input);
            }
            Output::AbandonBody(body) => self.store.abandon_body(body),
            Output::Fetch(number, query) => {
                let rows = self.store.fetch(&query);
                self.come(Input::Fetched(number, rows));
            }
            Output::LoadBody { load, body, offset, octets } => {
                let loaded = self.store.load_body(body, offset, octets);
                self.come(Input::Loaded(load, loaded));
            }
            Output::Compute(number, job) => {
                let answer = self.compute(*job);
                self.come(Input::Computed(number, answer));
            }
            Output::Pipe(pipe, asked) => self.pipe(pipe, asked),
            Output::HandOver(number, hand_over) => self.hand_overs.push_back((number, *hand_over)),
            Output::Reply(_, reply) => self.replies.push(reply),
            Output::Tell(event) => self.told.push(event),
            Output::Stopped => self.stopped = true,
            Output::Listen(..) | Output::Socket(..) | Output::Resolve(..) | Output::Capture(_) => {}
        }
    }

    fn pipe(&mut self, pipe: PipeId, asked: PipeOutput) {
        match asked {
            PipeOutput::Write(octets) => self.written.entry(pipe).or_default().extend_from_slice(&octets),
            PipeOutput::Close => {
                self.closed.push(pipe);
                if !self.lingers {
                    self.inputs.push_back(Input::Pipe(pipe, PipeInput::Closed(None)));
                }
            }
            PipeOutput::Abandon => self.closed.push(pipe),
            PipeOutput::Pause => self.paused.push(pipe),
            PipeOutput::Resume => self.paused.retain(|paused| *paused != pipe),
            PipeOutput::Open { .. } => self.opened.push(pipe),
            PipeOutput::Secure(_) | PipeOutput::TellDrained | PipeOutput::LimitSending(_) => {}
        }
    }

    fn compute(&mut self, job: Job) -> Answer {
        use skywave::shell::compute::{Means, run};
        let store = std::cell::RefCell::new(&mut self.store);
        let load = |piece: &Piece| match piece {
            Piece::Octets(octets) => Ok(octets.clone()),
            Piece::Body { body, from, to } => store.borrow_mut().load_body(*body, *from, (to - from) as usize),
        };
        let append = |body, octets: Bytes| store.borrow_mut().append_body(body, &octets);
        run(job, &mut Means { load: &mut { load }, append: &mut { append }, passwords: "" })
    }
}
