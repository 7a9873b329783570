//! Makes a mail fit for a server that lacks 8BITMIME, BINARYMIME or SMTPUTF8, where nothing breaks.
//!
//! Leaf parts are encoded anew (text as quoted-printable, the rest as base64), their Content-Transfer-Encoding follows;
//! display names and unstructured fields become encoded words (RFC 2047). Everything else stays to the octet. Promises:
//! the outcome is looked at again before it is given out, so what the next server cannot take is never sent. Refuses:
//! to touch what is signed (multipart/signed, and any mail with a DKIM-Signature: 5.6.3), what is not well-formed
//! enough to be found again (5.6.3), and addresses outside ASCII (5.6.7). An opaque application/pkcs7-mime part may be
//! encoded: its signature is inside. Limits: those of the mail; the outcome is at most about three times as large.

mod body;
mod encoding;
mod header;

use std::borrow::Cow;
use std::ops::Range;

use crate::fault::{Blame, Fault, Next};
use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, Envelope};

use super::grammar::Extensions;
use super::headers::Header;
use super::limits::LINE_OCTETS_MAX;

/// Why a mail cannot be made fit. The enhanced code is for the report.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConvertFault {
    /// Encoding would break a signature.
    #[error("the next server needs an encoding that would break a signature")]
    Signed,
    /// The parts cannot be told apart safely.
    #[error("the next server needs an encoding, and the structure of the mail is not clear")]
    Structure,
    /// An envelope address outside ASCII.
    #[error("the next server does not support SMTPUTF8, and an address needs it")]
    Address,
    /// A header field outside ASCII that encoded words cannot express.
    #[error("the next server does not support SMTPUTF8, and field {0} needs it")]
    Field(String),
}

impl ConvertFault {
    /// The enhanced status code of the report: 5.6.3 or 5.6.7.
    pub const fn status(&self) -> (u16, u16, u16) {
        match self {
            Self::Signed | Self::Structure => (5, 6, 3),
            Self::Address | Self::Field(_) => (5, 6, 7),
        }
    }
}

impl Fault for ConvertFault {
    fn blame(&self) -> Blame {
        Blame::Sender
    }

    fn next(&self) -> Next {
        Next::GiveUp
    }
}

/// A mail that the next server can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Converted<'a> {
    /// Its octets; borrowed when nothing had to change.
    pub octets: Cow<'a, [u8]>,
    /// What BODY must say; absent for 7 bit.
    pub body: Option<BodyType>,
    /// Whether SMTPUTF8 must be said.
    pub smtputf8: bool,
}

/// What a stretch of octets needs from a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// There are octets above 127.
    pub eight_bit: bool,
    /// There are NULs, bare CRs or LFs, or lines too long for text: longer than our own server takes with DATA. Lines
    /// between 998 octets and that go on as they came, as encoding them would break more than it mends.
    pub binary: bool,
}

impl Needs {
    /// Looks at every octet.
    pub fn of(octets: &[u8]) -> Self {
        let mut needs = Self { eight_bit: !octets.is_ascii(), binary: false };
        let (mut start, mut at) = (0, 0);
        while let Some(found) = octets.get(at..).and_then(|rest| memchr::memchr3(b'\r', b'\n', 0, rest)) {
            let end = at + found;
            if !octets[end..].starts_with(b"\r\n") || end - start > LINE_OCTETS_MAX {
                needs.binary = true;
                return needs;
            }
            at = end + 2;
            start = at;
        }
        needs.binary = octets.len() - start > LINE_OCTETS_MAX;
        needs
    }

    /// Whether a server takes that.
    const fn met_by(self, target: &Extensions) -> bool {
        let binary = target.binary_mime && target.chunking;
        (!self.binary || binary) && (!self.eight_bit || target.eight_bit_mime || binary)
    }
}

/// The mail of `envelope` with the text `octets`, fit for a server with the extensions `target`.
///
/// # Errors
/// [`ConvertFault`], for a report to the sender.
pub fn convert<'a>(octets: &'a [u8], envelope: &Envelope, target: &Extensions) -> Result<Converted<'a>, ConvertFault> {
    //= smtp/CONV-003
    let mut addresses = envelope.sender.iter().chain(envelope.recipients.iter().map(|recipient| &recipient.to));
    if !target.smtputf8 && !addresses.all(Mailbox::is_ascii) {
        return Err(ConvertFault::Address);
    }
    let header = Header::scan(octets);
    // A header with bare line ends or endless lines cannot be mended.
    let fields = Needs { eight_bit: false, ..Needs::of(&octets[..header.end]) };
    if !fields.met_by(target) {
        return Err(ConvertFault::Structure);
    }
    let utf8_fields = !octets[..header.end].is_ascii();
    // Eight bits in a header without SMTPUTF8 are an old abuse; a server with 8BITMIME gets them as they came.
    let fields_fit = !utf8_fields || target.smtputf8 || (target.eight_bit_mime && !envelope.mail.smtputf8);
    let body_fits = Needs::of(&octets[header.end..]).met_by(target);
    let smtputf8 = envelope.mail.smtputf8 && target.smtputf8;
    if fields_fit && body_fits {
        return Ok(Converted { octets: octets.into(), body: body_type(&octets[header.end..]), smtputf8 });
    }
    if header.named(octets, "DKIM-Signature").next().is_some() {
        //= smtp/CONV-002
        return Err(if body_fits { ConvertFault::Field("DKIM-Signature".to_owned()) } else { ConvertFault::Signed });
    }
    let mut edits = Vec::new();
    if !fields_fit {
        header::edits(octets, &header, &mut edits)?;
    }
    if !body_fits {
        body::edits(octets, target, &mut edits)?;
    }
    let octets = applied(octets, edits)?;
    //= smtp/CONV-001
    let end = Header::scan(&octets).end;
    let fits = fields_fit || octets[..end].is_ascii();
    if !fits || !Needs::of(&octets[end..]).met_by(target) {
        return Err(ConvertFault::Structure);
    }
    let body = body_type(&octets[end..]);
    Ok(Converted { octets: octets.into(), body, smtputf8 })
}

fn body_type(body: &[u8]) -> Option<BodyType> {
    match Needs::of(body) {
        Needs { binary: true, .. } => Some(BodyType::BinaryMime),
        Needs { eight_bit: true, .. } => Some(BodyType::EightBitMime),
        Needs { .. } => None,
    }
}

/// One replacement.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Edit {
    at: Range<usize>,
    with: Vec<u8>,
}

/// The octets with all edits done; edits that meet are a sign of a structure not understood.
fn applied(octets: &[u8], mut edits: Vec<Edit>) -> Result<Vec<u8>, ConvertFault> {
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut done = Vec::with_capacity(octets.len() + octets.len() / 2);
    let mut at = 0;
    for Edit { at: range, with } in edits {
        done.extend_from_slice(octets.get(at..range.start).ok_or(ConvertFault::Structure)?);
        done.extend_from_slice(&with);
        at = range.end;
    }
    done.extend_from_slice(octets.get(at..).ok_or(ConvertFault::Structure)?);
    Ok(done)
}

#[cfg(test)]
mod tests;
