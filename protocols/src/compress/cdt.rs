//! CompressedData (CDT) of STANAG 4406 Annex E and RFC 8494 section 3.2: a zlib stream in BER.
//!
//! Promises: sends implicit tags and definite, minimal lengths; reads implicit and explicit tags, indefinite lengths and
//! constructed octet strings (`acp142.md` section 5). Refuses: an algorithm other than zlib, octets behind the value,
//! deep nesting (by rasn), more than [`CDT_OCTETS_MAX`].

use rasn::prelude::*;

use super::{CompressFault, deflate, inflate};
use crate::fault::{Blame, Fault, Next};

/// The largest value read: one message of the largest size a site may configure.
pub const CDT_OCTETS_MAX: usize = 256 << 20;

/// What the compressed octets are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContentType {
    /// 0: nobody says.
    Unidentified,
    /// 1: a BER value that identifies itself.
    External,
    /// 2: an X.411 P1 transfer.
    P1,
    /// 3: P3.
    P3,
    /// 4: P7.
    P7,
    /// 25: a MULE payload (RFC 8494).
    Mule,
    /// Another number.
    Number(u32),
    /// An object identifier.
    Oid(Vec<u32>),
}

impl ContentType {
    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Unidentified,
            1 => Self::External,
            2 => Self::P1,
            3 => Self::P3,
            4 => Self::P7,
            //= cdt/CDT-004
            25 => Self::Mule,
            number => Self::Number(number),
        }
    }
}

/// Why a value is no CompressedData that can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CdtFault {
    /// Beyond [`CDT_OCTETS_MAX`].
    #[error("{0} octets are more than a CompressedData may have")]
    TooLarge(usize),
    /// Not this ASN.1 type.
    #[error("no CompressedData: {0}")]
    Syntax(String),
    /// Octets behind the value.
    #[error("{0} octets follow the CompressedData")]
    Trailing(usize),
    /// A compression algorithm other than zlib.
    #[error("compression algorithm {0} is not known")]
    Algorithm(String),
    /// The content does not inflate.
    #[error(transparent)]
    Content(#[from] CompressFault),
}

impl Fault for CdtFault {
    fn blame(&self) -> Blame {
        Blame::Peer
    }

    fn next(&self) -> Next {
        Next::Ignore
    }
}

/// Deflates `plain` and wraps it.
///
/// # Errors
/// [`CdtFault::Syntax`] when the encoder refuses, which it has no reason to.
pub fn wrap(content_type: &ContentType, plain: &[u8]) -> Result<Vec<u8>, CdtFault> {
    encode(content_type, deflate(plain))
}

/// Unwraps and inflates to at most `cap` octets.
///
/// # Errors
/// [`CdtFault`].
pub fn unwrap(octets: &[u8], cap: usize) -> Result<(ContentType, Vec<u8>), CdtFault> {
    let (content_type, stream) = decode(octets)?;
    Ok((content_type, inflate(&stream, cap)?))
}

/// Wraps a zlib stream.
///
/// # Errors
/// [`CdtFault::Syntax`] when the encoder refuses, which it has no reason to.
pub fn encode(content_type: &ContentType, stream: Vec<u8>) -> Result<Vec<u8>, CdtFault> {
    let content_type = match content_type {
        ContentType::Unidentified => Form::Short(0),
        ContentType::External => Form::Short(1),
        ContentType::P1 => Form::Short(2),
        ContentType::P3 => Form::Short(3),
        ContentType::P7 => Form::Short(4),
        ContentType::Mule => Form::Short(25),
        ContentType::Number(number) => Form::Short(*number),
        ContentType::Oid(arcs) => Form::Oid(ObjectIdentifier::new(arcs.clone()).ok_or_else(|| oid_fault(arcs))?),
    };
    //= cdt/CDT-001
    let value = Sent { algorithm: Form::Short(0), info: SentInfo { content_type, content: OctetString::from(stream) } };
    rasn::ber::encode(&value).map_err(|error| CdtFault::Syntax(error.to_string()))
}

/// Unwraps to the content type and the zlib stream.
///
/// # Errors
/// [`CdtFault`].
pub fn decode(octets: &[u8]) -> Result<(ContentType, OctetString), CdtFault> {
    if octets.len() > CDT_OCTETS_MAX {
        return Err(CdtFault::TooLarge(octets.len()));
    }
    //= cdt/CDT-003
    let (value, rest) = rasn::ber::decode_with_remainder::<Met>(octets).map_err(syntax)?;
    //= cdt/CDT-007
    if !rest.is_empty() {
        return Err(CdtFault::Trailing(rest.len()));
    }
    //= cdt/CDT-005
    match form(&value.algorithm)? {
        Form::Short(0) => {}
        Form::Short(number) => return Err(CdtFault::Algorithm(number.to_string())),
        Form::Oid(oid) => return Err(CdtFault::Algorithm(format!("{oid:?}"))),
    }
    let content_type = match form(&value.info.content_type)? {
        Form::Short(number) => ContentType::from_number(number),
        Form::Oid(oid) => ContentType::Oid(oid.to_vec()),
    };
    Ok((content_type, value.info.content))
}

/// A number or an object identifier, with the implicit tags that are sent.
#[derive(AsnType, Encode, Decode, Debug)]
#[rasn(choice)]
enum Form {
    #[rasn(tag(context, 0))]
    Short(u32),
    #[rasn(tag(context, 1))]
    Oid(ObjectIdentifier),
}

/// The same with explicit tags, as the module text of RFC 8494 means by the letter.
#[derive(AsnType, Encode, Decode, Debug)]
#[rasn(choice)]
enum ExplicitForm {
    #[rasn(tag(explicit(context, 0)))]
    Short(u32),
    #[rasn(tag(explicit(context, 1)))]
    Oid(ObjectIdentifier),
}

#[derive(AsnType, Encode, Debug)]
struct Sent {
    algorithm: Form,
    info: SentInfo,
}

#[derive(AsnType, Encode, Debug)]
struct SentInfo {
    content_type: Form,
    #[rasn(tag(explicit(context, 0)))]
    content: OctetString,
}

/// What is met: the forms are looked at one by one, as peers mix the tags.
#[derive(AsnType, Decode, Debug)]
struct Met {
    algorithm: Any,
    info: MetInfo,
}

#[derive(AsnType, Decode, Debug)]
struct MetInfo {
    content_type: Any,
    #[rasn(tag(explicit(context, 0)))]
    content: OctetString,
}

//= cdt/CDT-002
fn form(any: &Any) -> Result<Form, CdtFault> {
    const CONSTRUCTED: u8 = 0x20;
    if any.as_bytes().first().is_some_and(|tag| tag & CONSTRUCTED == 0) {
        return rasn::ber::decode(any.as_bytes()).map_err(syntax);
    }
    Ok(match rasn::ber::decode(any.as_bytes()).map_err(syntax)? {
        ExplicitForm::Short(number) => Form::Short(number),
        ExplicitForm::Oid(oid) => Form::Oid(oid),
    })
}

fn syntax(error: rasn::error::DecodeError) -> CdtFault {
    CdtFault::Syntax(error.to_string().chars().take(200).collect())
}

fn oid_fault(arcs: &[u32]) -> CdtFault {
    CdtFault::Syntax(format!("{arcs:?} is no object identifier"))
}

#[cfg(test)]
pub(crate) mod tests;
