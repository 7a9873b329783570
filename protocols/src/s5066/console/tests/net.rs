//! Two nodes that carry a U_PDU in two seconds and confirm it one second later, and the pipes to them.

use std::collections::BTreeMap;

use super::super::note::Note;
use super::super::{Tool, ToolOutput};
use super::FAR;
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::fields::{Confirmation, SapId, TransmissionMode};
use crate::s5066::sis::frame::FrameReader;
use crate::s5066::sis::pdu::Primitive;
use crate::s5066::sis::reason::{Availability, AvailabilityReason, BindRejection, DataRejection};
use crate::s5066::sis::unidata::{Quirks, Returned, UnidataIndication, UnidataRequest};
use crate::time::{Duration, Instant, Now};

const NEAR: NodeAddress = NodeAddress::individual(0x0102_0304);
const ONE_WAY: Duration = Duration::from_secs(2);
const CONFIRMED: Duration = Duration::from_secs(3);
const END: Duration = Duration::from_secs(3600);

/// The nodes and what they do wrong. U_PDUs from the near end are numbered from 0.
pub(super) struct Net {
    /// SAPs of the near node with another client.
    pub(super) taken: Vec<u8>,
    pub(super) nobody_listens: bool,
    pub(super) rejects: bool,
    /// U_PDUs lost, delivered twice, delivered later.
    pub(super) lose_octets_with: Vec<u32>,
    pub(super) repeat: Vec<u32>,
    pub(super) delay_by: Vec<(u32, Duration)>,
    /// What the nodes say after a bind.
    pub(super) availability: Option<Primitive>,
    pub(super) stop_after: Option<Duration>,
    pub(super) unbinds: u32,
    now: Now,
    ends: [End; 2],
    due: BTreeMap<(Instant, u64), (usize, Deed)>,
    last: u64,
    carried: u32,
}

#[derive(Default)]
struct End {
    reader: FrameReader,
    sap: Option<SapId>,
    wakeup: Option<Instant>,
}

enum Deed {
    Opened,
    Closed(Option<String>),
    Say(Primitive),
}

impl Net {
    pub(super) fn new() -> Self {
        Self {
            taken: Vec::new(),
            nobody_listens: false,
            rejects: false,
            lose_octets_with: Vec::new(),
            repeat: Vec::new(),
            delay_by: Vec::new(),
            availability: None,
            stop_after: None,
            unbinds: 0,
            now: Now::default().after(Duration::from_secs(1000)),
            ends: [End::default(), End::default()],
            due: BTreeMap::new(),
            last: 0,
            carried: 0,
        }
    }

    /// Runs the near tool to its end; the notes of the near one.
    pub(super) fn run<A: Tool, B: Tool>(&mut self, near: &mut A, far: Option<&mut B>) -> Vec<Note> {
        match far {
            Some(far) => self.play(near, Some(far)).0,
            None => self.play(near, None::<&mut B>).0,
        }
    }

    /// Runs both to their ends; the notes of the one chosen.
    pub(super) fn run_both<A: Tool, B: Tool>(&mut self, near: &mut A, far: &mut B, of_far: bool) -> Vec<Note> {
        let (near_notes, far_notes) = self.play(near, Some(far));
        if of_far { far_notes } else { near_notes }
    }

    fn play<A: Tool, B: Tool>(&mut self, near: &mut A, mut far: Option<&mut B>) -> (Vec<Note>, Vec<Note>) {
        let (mut notes, end) = ((Vec::new(), Vec::new()), self.now.mono + END);
        // The far end first: it is there when it is asked.
        if let Some(far) = &mut far {
            far.start(self.now);
            self.drain(1, *far, &mut notes.1);
        }
        near.start(self.now);
        self.drain(0, near, &mut notes.0);
        let stop_at = self.stop_after.map(|span| self.now.mono + span);
        let mut stopped = false;
        while let Some(at) = self.next(stop_at.filter(|_| !stopped)).filter(|&at| at < end) {
            self.now = self.now.after(at.since(self.now.mono));
            if stop_at.is_some_and(|stop| stop <= at) && !stopped {
                stopped = true;
                near.stop(self.now);
                self.drain(0, near, &mut notes.0);
            }
            while let Some((&key, _)) = self.due.first_key_value().filter(|((due, _), _)| *due <= at) {
                let Some((who, deed)) = self.due.remove(&key) else { break };
                match (who, &mut far) {
                    (0, _) => self.tell(0, near, deed, &mut notes.0),
                    (_, Some(far)) => self.tell(1, *far, deed, &mut notes.1),
                    (_, None) => {}
                }
            }
            if self.ends[0].wakeup.is_some_and(|wakeup| wakeup <= at) {
                near.handle_wakeup(self.now);
                self.drain(0, near, &mut notes.0);
            }
            if let Some(far) = &mut far
                && self.ends[1].wakeup.is_some_and(|wakeup| wakeup <= at)
            {
                far.handle_wakeup(self.now);
                self.drain(1, *far, &mut notes.1);
            }
            if near.over().is_some() && far.as_ref().is_none_or(|far| far.own_wakeup().is_none()) {
                break;
            }
        }
        notes
    }

    fn next(&self, stop: Option<Instant>) -> Option<Instant> {
        let due = self.due.keys().next().map(|(at, _)| *at);
        [due, self.ends[0].wakeup, self.ends[1].wakeup, stop].into_iter().flatten().min()
    }

    fn tell(&mut self, who: usize, tool: &mut impl Tool, deed: Deed, notes: &mut Vec<Note>) {
        match deed {
            Deed::Opened => tool.opened(self.now),
            Deed::Closed(why) => tool.closed(self.now, why),
            Deed::Say(primitive) => tool.handle_read(self.now, &primitive.encode().unwrap()),
        }
        self.drain(who, tool, notes);
    }

    fn drain(&mut self, who: usize, tool: &mut impl Tool, notes: &mut Vec<Note>) {
        while let Some(output) = tool.poll() {
            match output {
                ToolOutput::Open => {
                    self.ends[who] = End::default();
                    let refused = Deed::Closed(Some("refused".to_owned()));
                    self.later(Duration::ZERO, who, if self.nobody_listens { refused } else { Deed::Opened });
                }
                ToolOutput::Close => self.ends[who].sap = None,
                ToolOutput::Write(octets) => self.written(who, &octets),
                ToolOutput::Note(note) => notes.push(note),
            }
        }
        self.ends[who].wakeup = tool.next_wakeup().map(|wakeup| wakeup.at);
    }

    fn written(&mut self, who: usize, octets: &Bytes) {
        self.ends[who].reader.push(octets);
        while let Some(frame) = self.ends[who].reader.next_frame() {
            match Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap() {
                Primitive::BindRequest { sap, .. } => self.bind(who, sap),
                Primitive::UnidataRequest(request) => self.carry(who, request),
                Primitive::UnbindRequest => self.unbinds += 1,
                Primitive::KeepAlive => self.later(Duration::ZERO, who, Deed::Say(Primitive::KeepAlive)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn bind(&mut self, who: usize, sap: SapId) {
        if who == 0 && self.taken.contains(&sap.number()) {
            return self.later(Duration::ZERO, who, Deed::Say(Primitive::BindRejected(BindRejection::SapAllocated)));
        }
        self.ends[who].sap = Some(sap);
        self.later(Duration::ZERO, who, Deed::Say(Primitive::BindAccepted { sap, mtu: 2048 }));
        let half = Primitive::SubnetAvailability(Availability::HalfDuplex, AvailabilityReason::Unspecified);
        let says = self.availability.clone().unwrap_or(half);
        self.later(Duration::ZERO, who, Deed::Say(says));
    }

    fn carry(&mut self, who: usize, request: UnidataRequest) {
        let returned =
            Returned { sap: request.sap, destination: request.destination, leading: request.u_pdu.slice(..20) };
        if self.rejects {
            let rejected = Primitive::UnidataRequestRejected(DataRejection::NotResponding, returned);
            return self.later(CONFIRMED, who, Deed::Say(rejected));
        }
        if request.mode.confirmation != Confirmation::None {
            self.later(CONFIRMED, who, Deed::Say(Primitive::UnidataRequestConfirm(returned)));
        }
        let number = self.carried;
        self.carried += u32::from(who == 0);
        let (source, destination) = if who == 0 { (NEAR, FAR) } else { (FAR, NEAR) };
        let indication = UnidataIndication {
            priority: request.priority,
            sap: request.sap,
            destination,
            transmission: match request.mode.transmission {
                TransmissionMode::Default => TransmissionMode::Arq,
                mode => mode,
            },
            source_sap: self.ends[who].sap.unwrap(),
            source,
            errored: Vec::new(),
            missing: Vec::new(),
            u_pdu: request.u_pdu,
        };
        let hit = |list: &[u32]| who == 0 && list.contains(&number);
        if hit(&self.lose_octets_with) || self.ends[1 - who].sap != Some(indication.sap) {
            return;
        }
        let more = self.delay_by.iter().find(|(late, _)| who == 0 && *late == number).map_or(Duration::ZERO, |d| d.1);
        for _ in 0..=u32::from(hit(&self.repeat)) {
            let said = Deed::Say(Primitive::UnidataIndication(indication.clone()));
            self.later(ONE_WAY + more, 1 - who, said);
        }
    }

    fn later(&mut self, span: Duration, who: usize, deed: Deed) {
        self.last += 1;
        self.due.insert((self.now.mono + span, self.last), (who, deed));
    }
}
