//! Does what nodes ask for, and lets happen what was arranged.

use std::net::SocketAddr;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Random;
use skywave_protocols::time::Duration;
use skywave_transports::io::{PipeId, PipeInput, PipeOutput, SocketId, SocketInput, SocketOutput};

use super::content::load;
use super::disk::StoreWork;
use super::heap::{Addressee, FarEnd, Happening};
use super::net::Endpoint;
use super::site::Pipe;
use super::{World, errands, local_mta};
use crate::node::seam::{ACCEPTED_PIPE, HandOver, HandOverOutcome, Input, Job, ListenerId, Number, Output, Resolved};
use crate::store::Store;

/// From one end of a pipe to the other, inside a site.
pub(super) const PIPE_DELAY: Duration = Duration::from_micros(300);
/// From one end of the IP network to the other.
const DATAGRAM_DELAY: Duration = Duration::from_millis(40);

impl World {
    /// Does what a node asks for.
    pub(super) fn execute(&mut self, site: usize, output: Output) {
        match output {
            Output::Listen(listener, address) => self.listen(site, listener, address),
            Output::Pipe(pipe, asked) => self.pipe(site, pipe, asked),
            Output::Socket(socket, asked) => self.socket(site, socket, asked),
            Output::Resolve(number, _) => {
                self.tell_node(site, Duration::from_millis(5), Input::Resolved(number, Resolved::Nothing));
            }
            Output::Store(number, batch) => self.store(site, StoreWork::Commit(number, batch)),
            Output::AppendBody(body, octets) => self.store(site, StoreWork::Append(body, octets)),
            Output::AbandonBody(body) => self.store(site, StoreWork::Abandon(body)),
            Output::Fetch(number, query) => self.store(site, StoreWork::Fetch(number, query)),
            Output::LoadBody { load, body, offset, octets } => {
                self.store(site, StoreWork::Load(load, body, offset, octets));
            }
            Output::HandOver(number, hand_over) => self.hand_over(site, number, *hand_over),
            Output::Compute(number, job) => {
                let addressee = self.addressee(site);
                let span = self.sites[site].span(1_000, 20_000);
                self.heap.push(self.at + span, Happening::ComputeEnds(addressee, number, *job));
            }
            Output::Reply(to, reply) => {
                self.sites[site].replies.insert(to, reply);
            }
            Output::Tell(event) => {
                self.checkers.told(site, self.at, &event);
                let at = self.at;
                self.sites[site].note(at, event);
            }
            Output::Capture(packet) => self.sites[site].captured.push(packet),
            Output::Stopped => self.end_life(site),
        }
    }

    /// Lets happen what was arranged.
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToNode(to, input) if self.is_alive(to) => self.feed(to.site, input),
            Happening::StoreWorks(to) if self.is_alive(to) => self.work_store(to),
            Happening::ComputeEnds(to, number, job) if self.is_alive(to) => self.compute(to, number, job),
            Happening::Computed(to, number, answer) if self.is_alive(to) => {
                self.feed(to.site, Input::Computed(number, answer));
            }
            // What had been sent when the node crashed is read all the same.
            Happening::MtaReads(to, number, hand_over) => self.mta_reads(to, number, &hand_over),
            Happening::MtaAnswers(to, number, outcome) if self.is_alive(to) => {
                self.sites[to.site].hand_overs.remove(&number);
                self.feed(to.site, Input::HandedOver(number, outcome));
            }
            Happening::ToFarEnd(far, octets) => self.write_far_end(far, &octets),
            Happening::FarEndCloses(far) => self.far_end_closes(far),
            Happening::ToPipe(to, pipe, octets) if self.is_alive(to) => self.read_pipe(to.site, pipe, octets),
            Happening::PipeEnds(to, pipe, why) if self.is_alive(to) => self.pipe_ends(to.site, pipe, why),
            Happening::ToNode(..)
            | Happening::StoreWorks(_)
            | Happening::ComputeEnds(..)
            | Happening::Computed(..)
            | Happening::MtaAnswers(..)
            | Happening::ToPipe(..)
            | Happening::PipeEnds(..) => {}
            Happening::ClientConnects(errand) => self.client_connects(errand),
            Happening::PeerConnects(from, pipe, target) => self.peer_connects(from, pipe, &target),
            Happening::SiteStarts(site) => self.start(site),
            Happening::Trouble(trouble) => self.befall(trouble),
        }
    }

    /// Gives octets that the radio's nodes have for gateways to their pipes.
    pub(super) fn drain_air(&mut self) {
        while let Some((session, octets)) = self.air.poll_write() {
            let Some((site, pipe)) = self.pipe_of(FarEnd::Radio(session)) else { continue };
            let addressee = self.addressee(site);
            let happening = match octets {
                Some(octets) => Happening::ToPipe(addressee, pipe, octets),
                None => Happening::PipeEnds(addressee, pipe, Some("closed by the node".to_owned())),
            };
            self.heap.push(self.at + PIPE_DELAY, happening);
        }
        self.digest.octets(&self.air.fingerprint().to_le_bytes());
    }

    /// A station closed a session.
    pub(super) fn end_session(&mut self, session: u64) {
        if let Some((site, pipe)) = self.pipe_of(FarEnd::Radio(session)) {
            let ends = Happening::PipeEnds(self.addressee(site), pipe, Some("connection reset".to_owned()));
            self.heap.push(self.at + PIPE_DELAY, ends);
        }
    }

    pub(super) fn tell_node(&mut self, site: usize, after: Duration, input: Input) {
        let addressee = self.addressee(site);
        self.heap.push(self.at + after, Happening::ToNode(addressee, input));
    }

    fn listen(&mut self, site: usize, listener: ListenerId, address: SocketAddr) {
        let port = if address.port() == 0 { 10_000 + listener.0 as u16 } else { address.port() };
        let address = SocketAddr::new(address.ip(), port);
        self.sites[site].listeners.insert(listener, address);
        self.tell_node(site, Duration::from_micros(50), Input::Listening(listener, address));
    }

    fn pipe(&mut self, site: usize, pipe: PipeId, asked: PipeOutput) {
        let far = self.sites[site].pipes.get(&pipe).map(|pipe| pipe.far);
        match (asked, far) {
            (PipeOutput::Open { target, .. }, _) => self.open(site, pipe, &target),
            (PipeOutput::Write(octets), Some(FarEnd::Xmpp(session))) => {
                // That it has left is known only when it arrives: a server that goes away meanwhile has not got it.
                self.heap.push(self.at + PIPE_DELAY, Happening::ToFarEnd(FarEnd::Xmpp(session), octets));
            }
            (PipeOutput::Write(octets), Some(far)) => {
                let at = self.arrives(far);
                self.heap.push(at, Happening::ToFarEnd(far, octets));
                self.has_left(site, pipe);
            }
            (PipeOutput::Close, Some(far)) => {
                self.sites[site].pipes.remove(&pipe);
                let at = self.arrives(far);
                self.heap.push(at, Happening::FarEndCloses(far));
                self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, PipeInput::Closed(None)));
            }
            (PipeOutput::Abandon, Some(far)) => {
                self.sites[site].pipes.remove(&pipe);
                let at = self.arrives(far);
                self.heap.push(at, Happening::FarEndCloses(far));
            }
            (PipeOutput::Pause, Some(_)) => self.pause(site, pipe, true),
            (PipeOutput::Resume, Some(_)) => self.pause(site, pipe, false),
            (PipeOutput::Secure(secure), Some(FarEnd::Xmpp(session))) => {
                self.secure_xmpp(session, |ends| ends.node = Some(secure));
            }
            (PipeOutput::Secure(_), Some(_)) => {
                let failed = PipeInput::SecureFailed("there is no TLS between sites in the world".to_owned());
                self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, failed));
            }
            (PipeOutput::TellDrained, _) => {
                if let Some(pipe) = self.sites[site].pipes.get_mut(&pipe) {
                    pipe.tells_drained = true;
                }
            }
            (PipeOutput::LimitSending(_), _)
            | (PipeOutput::Write(_) | PipeOutput::Close | PipeOutput::Abandon, None)
            | (PipeOutput::Pause | PipeOutput::Resume | PipeOutput::Secure(_), None) => {}
        }
    }

    /// One more write of a pipe has left.
    pub(super) fn has_left(&mut self, site: usize, id: PipeId) {
        let Some(pipe) = self.sites[site].pipes.get_mut(&id) else { return };
        pipe.writes += 1;
        if pipe.tells_drained {
            let writes = pipe.writes;
            self.tell_node(site, PIPE_DELAY, Input::Pipe(id, PipeInput::Drained(writes)));
        }
    }

    fn open(&mut self, site: usize, pipe: PipeId, target: &str) {
        if let Some(session) = self.open_xmpp(site, target) {
            self.add_pipe(site, pipe, FarEnd::Xmpp(session));
            return self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, PipeInput::Opened));
        }
        let is_ours = self.sites[site].config.radios.iter().any(|radio| radio.node == target);
        if !is_ours {
            return self.call(site, pipe, target);
        }
        let session = self.air.open(self.at, site);
        let input = match session {
            Some(session) => {
                self.add_pipe(site, pipe, FarEnd::Radio(session));
                PipeInput::Opened
            }
            None => PipeInput::Refused("connection refused".to_owned()),
        };
        self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, input));
    }

    pub(super) fn add_pipe(&mut self, site: usize, pipe: PipeId, far: FarEnd) {
        let before = self.sites[site].pipes.get(&pipe);
        let opened = Pipe {
            far,
            paused: false,
            unread: std::collections::VecDeque::new(),
            ended: false,
            tells_drained: before.map_or(pipe.0 & ACCEPTED_PIPE == 0, |pipe| pipe.tells_drained),
            writes: before.map_or(0, |pipe| pipe.writes),
        };
        self.sites[site].pipes.insert(pipe, opened);
    }

    pub(super) fn pipe_of(&self, far: FarEnd) -> Option<(usize, PipeId)> {
        let of_site = |(index, site): (usize, &super::site::Site)| {
            site.pipes.iter().find(|(_, pipe)| pipe.far == far).map(|(id, _)| (index, *id))
        };
        self.sites.iter().enumerate().find_map(of_site)
    }

    fn pause(&mut self, site: usize, id: PipeId, paused: bool) {
        let Some(pipe) = self.sites[site].pipes.get_mut(&id) else { return };
        pipe.paused = paused;
        if paused {
            return;
        }
        let (unread, ended) = (std::mem::take(&mut pipe.unread), std::mem::take(&mut pipe.ended));
        let addressee = self.addressee(site);
        for octets in unread {
            self.heap.push(self.at, Happening::ToPipe(addressee, id, octets));
        }
        if ended {
            self.heap.push(self.at, Happening::PipeEnds(addressee, id, None));
        }
    }

    /// Octets arrive in pieces that the network chose.
    pub(super) fn read_pipe(&mut self, site: usize, id: PipeId, mut octets: Bytes) {
        while !octets.is_empty() {
            let Some(pipe) = self.sites[site].pipes.get_mut(&id) else { return };
            if pipe.paused {
                return pipe.unread.push_back(octets);
            }
            let random = &mut self.sites[site].random;
            let whole = random.chance(700_000);
            let length = if whole { octets.len() } else { 1 + random.below(octets.len() as u64) as usize };
            let piece = octets.split_to(length.min(octets.len()).min(65_536));
            self.feed(site, Input::Pipe(id, PipeInput::Read(piece)));
        }
    }

    pub(super) fn pipe_ends(&mut self, site: usize, id: PipeId, why: Option<String>) {
        let Some(pipe) = self.sites[site].pipes.get_mut(&id) else { return };
        if pipe.paused && !pipe.unread.is_empty() {
            pipe.ended = true;
            return;
        }
        self.sites[site].pipes.remove(&id);
        self.feed(site, Input::Pipe(id, PipeInput::Closed(why)));
    }

    fn write_far_end(&mut self, far: FarEnd, octets: &Bytes) {
        match far {
            FarEnd::Radio(session) => self.air.read(self.at, session, octets),
            FarEnd::Client(errand) => {
                if let Some(connection) = self.errands.connection(errand) {
                    connection.client.handle_read(octets);
                }
                self.drain_client(errand);
            }
            FarEnd::Site(to, pipe) if self.is_alive(to) => self.read_pipe(to.site, pipe, octets.clone()),
            FarEnd::Site(..) | FarEnd::Nobody => {}
            FarEnd::Xmpp(session) => self.write_xmpp(session, octets),
        }
    }

    fn far_end_closes(&mut self, far: FarEnd) {
        match far {
            FarEnd::Radio(session) => self.air.close(self.at, session),
            FarEnd::Client(errand) => self.close_client(errand),
            FarEnd::Site(to, pipe) if self.is_alive(to) => self.pipe_ends(to.site, pipe, None),
            FarEnd::Site(..) | FarEnd::Nobody => {}
            FarEnd::Xmpp(session) => self.close_xmpp(session),
        }
    }

    fn socket(&mut self, site: usize, socket: SocketId, asked: SocketOutput) {
        let endpoint = Endpoint { site, socket };
        match asked {
            SocketOutput::Bind(address) => {
                let host = self.sites[site].host;
                let input = match self.net.bind(endpoint, address, host) {
                    Ok(at) => SocketInput::Bound(at),
                    Err(why) => SocketInput::Failed(why),
                };
                self.tell_node(site, Duration::from_micros(50), Input::Socket(socket, input));
            }
            SocketOutput::Join(group) => self.net.member(endpoint, group, true),
            SocketOutput::Leave(group) => self.net.member(endpoint, group, false),
            SocketOutput::Send { destination, octets, .. } => {
                let (heard, source) = self.net.send(endpoint, destination);
                let links = self.sites[site].config.links.len();
                self.checkers.datagram_sent(site, links);
                let Some(source) = source else { return };
                for to in heard {
                    let input = SocketInput::Datagram { source, octets: octets.clone() };
                    self.tell_node(to.site, DATAGRAM_DELAY, Input::Socket(to.socket, input));
                }
            }
        }
    }

    /// A datagram of somebody who is no site, to whoever is bound at an address.
    pub fn datagram(&mut self, source: SocketAddr, destination: SocketAddr, octets: Bytes) {
        for to in self.net.bound_at(destination) {
            let input = SocketInput::Datagram { source, octets: octets.clone() };
            self.tell_node(to.site, DATAGRAM_DELAY, Input::Socket(to.socket, input));
        }
    }

    fn store(&mut self, site: usize, work: StoreWork) {
        self.sites[site].store_work.push_back(work);
        if !self.sites[site].store_busy {
            self.arrange_store(site);
        }
    }

    fn arrange_store(&mut self, site: usize) {
        let addressee = self.addressee(site);
        let site = &mut self.sites[site];
        site.store_busy = !site.store_work.is_empty();
        if let Some(work) = site.store_work.front() {
            let syncs = matches!(work, StoreWork::Commit(..));
            let span = if syncs { site.span(500, 8_000) } else { site.span(20, 400) };
            self.heap.push(self.at + span, Happening::StoreWorks(addressee));
        }
    }

    fn work_store(&mut self, to: Addressee) {
        let mut inputs = Vec::new();
        let Some(work) = self.sites[to.site].store_work.pop_front() else { return };
        let disk = &mut self.sites[to.site].disk;
        match work {
            StoreWork::Commit(number, batch) => {
                let (mut numbers, mut batches) = (vec![number], vec![batch]);
                // Commits group themselves, as in the shell.
                while let Some(StoreWork::Commit(..)) = self.sites[to.site].store_work.front() {
                    if let Some(StoreWork::Commit(number, batch)) = self.sites[to.site].store_work.pop_front() {
                        numbers.push(number);
                        batches.push(batch);
                    }
                }
                let outcome = self.sites[to.site].disk.commit(&batches);
                inputs.extend(numbers.into_iter().map(|number| match &outcome {
                    Ok(()) => Input::Stored(number),
                    Err(fault) => Input::StoreFailed(number, fault.clone()),
                }));
            }
            StoreWork::Append(body, octets) => inputs.push(match disk.append_body(body, &octets) {
                Ok(()) => Input::BodyAppended(body, octets.len()),
                Err(fault) => Input::BodyFailed(body, fault),
            }),
            StoreWork::Abandon(body) => disk.abandon_body(body),
            StoreWork::Fetch(number, query) => inputs.push(Input::Fetched(number, disk.fetch(&query))),
            StoreWork::Load(number, body, offset, octets) => {
                inputs.push(Input::Loaded(number, disk.load_body(body, offset, octets)));
            }
        }
        let damaged = self.sites[to.site].disk.damaged();
        if !damaged.is_empty() {
            inputs.push(Input::Damaged(damaged));
        }
        let site = &mut self.sites[to.site];
        let answered = (self.at + site.span(10, 500)).max(site.store_answers_until);
        site.store_answers_until = answered;
        for input in inputs {
            self.heap.push(answered, Happening::ToNode(to, input));
        }
        self.arrange_store(to.site);
    }

    fn compute(&mut self, to: Addressee, number: Number, job: Job) {
        let answer = super::compute::run(&mut self.sites[to.site].disk, job);
        self.feed(to.site, Input::Computed(number, answer));
    }

    fn hand_over(&mut self, site: usize, number: Number, hand_over: HandOver) {
        let addressee = self.addressee(site);
        let span = self.sites[site].span(5_000, 150_000);
        let site = &mut self.sites[site];
        let id = message_id(&mut site.disk, &hand_over);
        site.hand_overs.insert(number, id);
        self.heap.push(self.at + span, Happening::MtaReads(addressee, number, Box::new(hand_over)));
    }

    fn mta_reads(&mut self, to: Addressee, number: Number, hand_over: &HandOver) {
        let site = &mut self.sites[to.site];
        let lives = site.life == to.life && site.node.is_some();
        // A crash during the dialogue: half of the times the text had not been sent to its end.
        if !lives && site.random.chance(500_000) {
            return;
        }
        let pieces = match &hand_over.content_without_mt_priority {
            Some(pieces) if !site.mta.offers_mt_priority => pieces,
            _ => &hand_over.content,
        };
        let outcome = if site.mta.wants_text(hand_over) {
            match load(&mut site.disk, pieces) {
                Ok(text) => site.mta.take(self.at, hand_over, text),
                Err(fault) => HandOverOutcome::Broken { why: fault.to_string(), in_doubt: false },
            }
        } else {
            site.mta.take(self.at, hand_over, Bytes::new())
        };
        if matches!(outcome, HandOverOutcome::Broken { in_doubt: true, .. }) {
            self.checkers.in_doubt(message_id(&mut site.disk, hand_over));
        }
        let span = site.span(2_000, 60_000);
        self.heap.push(self.at + span, Happening::MtaAnswers(to, number, outcome));
    }

    /// Sends a mail from a client of the world; the errand's number.
    pub fn mail(&mut self, site: usize, order: errands::MailOrder) -> usize {
        let errand = self.errands.add(site, order, self.at);
        self.heap.push(self.at, Happening::ClientConnects(errand));
        errand
    }

    /// All errands of the world's clients.
    pub fn errands(&self) -> &[errands::Errand] {
        self.errands.all()
    }

    fn client_connects(&mut self, errand: usize) {
        let Some(site) = self.errands.all().get(errand).map(|errand| errand.site) else { return };
        let Some((listener, _)) = self.sites[site].listener().filter(|_| self.sites[site].node.is_some()) else {
            let mut random = self.random.fork("patience");
            std::mem::swap(&mut random, &mut self.random);
            let again = self.errands.refused(errand, &mut random);
            self.random = random;
            if let Some(after) = again {
                self.heap.push(self.at + after, Happening::ClientConnects(errand));
            }
            return;
        };
        let pipe = PipeId(ACCEPTED_PIPE | errand as u64);
        self.errands.connect(errand, pipe);
        self.add_pipe(site, pipe, FarEnd::Client(errand));
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000 + (errand % 10_000) as u16));
        self.feed(site, Input::Accepted { listener, pipe, peer });
    }

    /// Carries what a client wrote, decided and answered.
    pub(super) fn drain_client(&mut self, errand: usize) {
        let Some(connection) = self.errands.connection(errand) else { return };
        let (pipe, closing) = (connection.pipe, connection.client.is_closing());
        let written: Vec<Bytes> = std::iter::from_fn(|| connection.client.poll_write()).collect();
        let answers: Vec<_> = std::iter::from_fn(|| connection.client.poll_event()).collect();
        let Some(site) = self.errands.all().get(errand).map(|errand| errand.site) else { return };
        let addressee = self.addressee(site);
        for octets in written {
            self.heap.push(self.at + PIPE_DELAY, Happening::ToPipe(addressee, pipe, octets));
        }
        for answer in answers {
            self.answered(errand, answer);
        }
        if closing {
            self.errands.disconnect(errand);
            self.heap.push(self.at + PIPE_DELAY, Happening::PipeEnds(addressee, pipe, None));
        }
    }

    fn answered(&mut self, errand: usize, answer: super::client::Submission) {
        let mut checkers = std::mem::take(&mut self.checkers);
        if let Some(errand) = self.errands.all().get(errand) {
            checkers.answered(self.at, errand, &answer, &self.sites[errand.site]);
        }
        self.checkers = checkers;
        if let Some((next, after)) = self.errands.answered(errand, answer, self.at, &mut self.random) {
            self.heap.push(self.at + after, Happening::ClientConnects(next));
        }
    }

    /// The node's end of a client's connection is gone.
    pub(super) fn close_client(&mut self, errand: usize) {
        let Some(connection) = self.errands.connection(errand) else { return };
        connection.client.handle_closed();
        self.drain_client(errand);
        self.errands.disconnect(errand);
    }
}

/// The Message-ID of a mail in hand-over.
fn message_id(store: &mut impl Store, hand_over: &HandOver) -> Option<String> {
    let text = load(store, &hand_over.content).ok()?;
    local_mta::header(&text, "message-id")
}
