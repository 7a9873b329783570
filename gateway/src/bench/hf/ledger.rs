//! Octets on the air by what they were for, so that they add up to what the radios count.
//!
//! It hears every D_PDU that went on the air whole and asks nobody: a segment counts as sent again when the same octets
//! went before under the same number between the same nodes. What a transmission lost by being cut off, and what else
//! the radios counted, is told apart.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cpdu::CPdu;
use skywave_protocols::s5066::node::dpdu::{AckPart, Body, DPdu, decode};
use skywave_protocols::time::Duration;
use skywave_transports::modem::channel::{OnAir, StationId};

/// Octets on the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Octets {
    /// Segments of C_PDUs with S_PDUs in them, when they went first.
    pub data: u64,
    /// What their D_PDUs have around them: headers, addresses, checksums.
    pub headers: u64,
    /// D_PDUs with a segment that had gone before.
    pub repeats: u64,
    /// Acknowledgements: D_PDUs of their own, and the parts that ride with data.
    pub acknowledgements: u64,
    /// Requests for links, their answers, their ends; resets of windows.
    pub links: u64,
    /// Warnings, management.
    pub other: u64,
}

impl Octets {
    /// All of them.
    pub const fn sum(self) -> u64 {
        self.data + self.headers + self.repeats + self.acknowledgements + self.links + self.other
    }
}

/// Type, destination, source, and where the segment belongs: frame number, or C_PDU and offset.
type Place = (u8, NodeAddress, NodeAddress, u16, u16);

/// What is known of the air so far.
#[derive(Debug, Default)]
pub struct Ledger {
    octets: Octets,
    segments: BTreeMap<Place, Bytes>,
}

impl Ledger {
    /// Everything that went on the air, by kind.
    pub fn of(air: &[OnAir]) -> Octets {
        let mut ledger = Self::default();
        air.iter().for_each(|frame| ledger.hear(&frame.octets));
        ledger.octets
    }

    /// What a station's data took: segments that went first, with what their D_PDUs have around them.
    pub fn data_of(air: &[OnAir], station: StationId) -> u64 {
        let own: Vec<OnAir> = air.iter().filter(|frame| frame.station == station).cloned().collect();
        let octets = Self::of(&own);
        octets.data + octets.headers
    }

    /// From the first octet on the air to the first of the first D_PDU with data.
    pub fn until_data(air: &[OnAir]) -> Option<Duration> {
        let has_data = |frame: &&OnAir| Self::of(std::slice::from_ref(*frame)).data > 0;
        Some(air.iter().find(has_data)?.at.since(air.first()?.at))
    }

    fn hear(&mut self, frame: &Bytes) {
        let mut rest = frame.clone();
        while let Ok(received) = decode(&rest) {
            let octets = received.octets.clamp(1, rest.len());
            self.count(&received.pdu, octets as u64);
            rest = rest.slice(octets..);
        }
        self.octets.other += rest.len() as u64;
    }

    fn count(&mut self, pdu: &DPdu, octets: u64) {
        let kind = pdu.body.kind();
        let place = |kind, number, offset| (kind, pdu.destination, pdu.source, number, offset);
        match &pdu.body {
            // With an acknowledgement or without one: the segment is the same.
            Body::Data(part) => self.segment(&part.segment, place(0, part.fsn.into(), 0), octets),
            Body::DataAck(part, ack) => {
                let rides = acknowledgement(ack);
                self.octets.acknowledgements += rides;
                self.segment(&part.segment, place(0, part.fsn.into(), 0), octets - rides);
            }
            Body::ExpeditedData(part) => {
                self.segment(&part.segment, place(kind, part.c_pdu_id.into(), part.fsn.into()), octets);
            }
            Body::NonArq(part) | Body::ExpeditedNonArq(part) => {
                let whole = usize::from(part.c_pdu_size) == part.segment.len();
                if whole && matches!(CPdu::decode(&part.segment), Ok(CPdu::Link(_))) {
                    self.octets.links += octets;
                } else {
                    self.segment(&part.segment, place(kind, part.c_pdu_id, part.offset), octets);
                }
            }
            Body::Ack(_) | Body::ExpeditedAck(_) => self.octets.acknowledgements += octets,
            Body::Reset(_) => self.octets.links += octets,
            Body::Management(_) | Body::Warning { .. } | Body::Unknown { .. } => self.octets.other += octets,
        }
    }

    fn segment(&mut self, segment: &Bytes, place: Place, octets: u64) {
        let own = segment.len() as u64;
        if self.segments.insert(place, segment.clone()).is_some_and(|before| before == *segment) {
            self.octets.repeats += octets;
        } else {
            self.octets.data += own;
            self.octets.headers += octets - own;
        }
    }
}

/// Octets of an acknowledgement that rides with data.
fn acknowledgement(ack: &AckPart) -> u64 {
    1 + ack.selective.len() as u64
}

#[cfg(test)]
mod tests {
    use skywave_protocols::s5066::node::cpdu::LinkMessage;
    use skywave_protocols::s5066::node::dpdu::{DataPart, Eow, NonArqPart, ResetPart};

    use super::*;

    fn d_pdu(body: Body) -> Bytes {
        let (destination, source) = (NodeAddress::individual(1), NodeAddress::individual(2));
        DPdu { eow: Eow::default(), eot: 0, destination, source, body }.encode()
    }

    fn data(fsn: u8, octets: &'static [u8]) -> DataPart {
        DataPart {
            start: true,
            end: true,
            in_order: false,
            drop: false,
            uwe: false,
            lwe: false,
            fsn,
            segment: Bytes::from_static(octets),
        }
    }

    #[test]
    fn octets_are_counted_once_and_by_kind() {
        let request = CPdu::Link(LinkMessage::Request { exclusive: false, number: 0 }).encode();
        let link = NonArqPart {
            in_order: false,
            c_pdu_id: 1,
            c_pdu_size: request.len() as u16,
            offset: 0,
            window: 9,
            segment: request,
        };
        let ack = AckPart::new(3, [1, 2]);
        let frames = [
            d_pdu(Body::ExpeditedNonArq(link)),
            d_pdu(Body::Data(data(0, b"hello"))),
            d_pdu(Body::DataAck(data(0, b"hello"), ack.clone())),
            // The same number a window later.
            d_pdu(Body::Data(data(0, b"other"))),
            d_pdu(Body::Ack(ack)),
            d_pdu(Body::Reset(ResetPart::default())),
            d_pdu(Body::Warning { received: 9, reason: 0 }),
        ];
        let mut ledger = Ledger::default();
        frames.iter().for_each(|frame| ledger.hear(frame));
        let len = |index: usize| frames[index].len() as u64;
        let expected = Octets {
            data: 10,
            headers: len(1) + len(3) - 10,
            repeats: len(2) - 2,
            acknowledgements: len(4) + 2,
            links: len(0) + len(5),
            other: len(6),
        };
        assert_eq!(ledger.octets, expected);
        assert_eq!(expected.sum(), frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
    }

    #[test]
    fn several_d_pdus_in_a_frame_and_rubbish_are_counted_too() {
        let mut frame = d_pdu(Body::Data(data(0, b"hello"))).to_vec();
        frame.extend(d_pdu(Body::Data(data(1, b"hello"))).to_vec());
        frame.extend(b"rubbish");
        let mut ledger = Ledger::default();
        ledger.hear(&Bytes::from(frame.clone()));
        assert_eq!((ledger.octets.data, ledger.octets.other), (10, 7));
        assert_eq!(ledger.octets.sum(), frame.len() as u64);
    }
}
