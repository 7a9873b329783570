//! What a D_PDU means for whose turn is next: does it ask for an answer, is it one.

use skywave_protocols::s5066::node::cpdu::{CPdu, LinkMessage};
use skywave_protocols::s5066::node::dpdu::{Body, DPdu};
use skywave_protocols::s5066::node::mark::Mark;

/// Kinds of answers; whoever asks for several may get one and not the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    /// Acknowledgements of ARQ data.
    const ARQ: Self = Self(1);
    /// Acknowledgements of expedited data.
    const EXPEDITED: Self = Self(2);
    /// Answers to resets, management and what is not known.
    const CONTROL: Self = Self(4);
    /// Answers to messages about links.
    const LINK: Self = Self(8);

    /// Whether it is any at all.
    pub(super) const fn any(self) -> bool {
        self.0 != 0
    }

    /// These and others.
    pub(super) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    pub(super) const fn holds(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What its destination is to answer at once.
//= s5066/NODE-016
pub(super) fn asks(pdu: &DPdu) -> Kinds {
    match &pdu.body {
        Body::Data(_) | Body::DataAck(..) => Kinds::ARQ,
        Body::ExpeditedData(_) => Kinds::EXPEDITED,
        Body::Reset(part) if !part.ack => Kinds::CONTROL,
        Body::Management(part) if part.valid => Kinds::CONTROL,
        // Of a type that nobody defined; it is to be warned.
        Body::Unknown { .. } if !pdu.destination.is_group() => Kinds::CONTROL,
        Body::ExpeditedNonArq(_) => match link_message(pdu) {
            Some(LinkMessage::Request { .. } | LinkMessage::Break(_)) => Kinds::LINK,
            Some(LinkMessage::Accepted { .. } | LinkMessage::Rejected(_) | LinkMessage::BreakConfirm) | None => {
                Kinds::NONE
            }
        },
        Body::Reset(_) | Body::Management(_) | Body::Unknown { .. } => Kinds::NONE,
        Body::Ack(_) | Body::ExpeditedAck(_) | Body::NonArq(_) | Body::Warning { .. } => Kinds::NONE,
    }
}

/// What it answers of what its destination asked.
pub(super) fn answers(pdu: &DPdu) -> Kinds {
    let link = match Mark::of(pdu.eow) {
        Some(Mark::Answers(_)) if is_of_arq(pdu) => Kinds::LINK,
        Some(Mark::Answers(_) | Mark::Asks(_)) | None => Kinds::NONE,
    };
    link.and(answers_by_body(pdu))
}

fn answers_by_body(pdu: &DPdu) -> Kinds {
    match &pdu.body {
        Body::Ack(_) | Body::DataAck(..) => Kinds::ARQ,
        Body::ExpeditedAck(_) => Kinds::EXPEDITED,
        Body::Reset(part) if part.ack || part.rx_window_command => Kinds::CONTROL,
        Body::Management(part) if part.ack => Kinds::CONTROL,
        Body::Warning { .. } => Kinds::CONTROL,
        Body::ExpeditedNonArq(_) => match link_message(pdu) {
            Some(LinkMessage::Accepted { .. } | LinkMessage::Rejected(_) | LinkMessage::BreakConfirm) => Kinds::LINK,
            Some(LinkMessage::Request { .. } | LinkMessage::Break(_)) | None => Kinds::NONE,
        },
        Body::Reset(_) | Body::Management(_) | Body::Unknown { .. } => Kinds::NONE,
        Body::Data(_) | Body::ExpeditedData(_) | Body::NonArq(_) => Kinds::NONE,
    }
}

/// Whether it belongs to a link.
pub(super) const fn is_of_arq(pdu: &DPdu) -> bool {
    pdu.body.kind() <= 5
}

/// Whether it is of a link and answers, or is about resets: what a node says to one that sent it something.
pub(super) const fn answers_arq(pdu: &DPdu) -> bool {
    matches!(pdu.body, Body::Ack(_) | Body::DataAck(..) | Body::Reset(_) | Body::ExpeditedAck(_))
}

/// Whether it carries something for clients, and not just a message about a link.
pub(super) fn is_data(pdu: &DPdu) -> bool {
    pdu.body.segment().is_some_and(|segment| !segment.is_empty()) && link_message(pdu).is_none()
}

/// The link that it asks for in the standard's way, with the number that data behind it says.
pub(super) fn rides(pdu: &DPdu) -> Option<LinkMessage> {
    let Some(Mark::Asks(number)) = Mark::of(pdu.eow) else { return None };
    let plain = LinkMessage::Request { exclusive: false, number: 0 };
    link_message(pdu).filter(|message| *message == plain).map(|_| LinkMessage::Request { exclusive: false, number })
}

/// The message about a link that it carries.
fn link_message(pdu: &DPdu) -> Option<LinkMessage> {
    let Body::ExpeditedNonArq(part) = &pdu.body else { return None };
    let all = usize::from(part.c_pdu_size) == part.segment.len();
    let whole = part.offset == 0 && all && !pdu.destination.is_group();
    match CPdu::decode(&part.segment) {
        Ok(CPdu::Link(message)) if whole => Some(message),
        Ok(CPdu::Link(_) | CPdu::Data(_)) | Err(_) => None,
    }
}
