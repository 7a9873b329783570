//! Decoded PDUs as trees, with the field names of the fact sheets in snake_case, and back.
//!
//! Octets are lower-case hex, addresses and ids their dotted form, codes without a name numbers.

mod acp142;
mod cdt;
mod cpdu;
mod dpdu;
mod fields;
mod mule;
mod sis;
mod slow;
mod spdu;
mod xmpp;
mod zlib;

use serde_json::Value;

use crate::subject::Refusal;

/// How octets of a protocol become a tree and back.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// The protocol's name in vectors.
    pub protocol: &'static str,
    /// What octets mean.
    pub decode: fn(&[u8]) -> Result<Value, Refusal>,
    /// The octets of a meaning.
    pub encode: fn(&Value) -> Result<Vec<u8>, Refusal>,
}

/// All protocols that our code speaks.
pub const CODECS: &[Codec] = &[
    Codec { protocol: "sis", decode: sis::decode, encode: sis::encode },
    Codec { protocol: "spdu", decode: spdu::decode, encode: spdu::encode },
    Codec { protocol: "cpdu", decode: cpdu::decode, encode: cpdu::encode },
    Codec { protocol: "dpdu", decode: dpdu::decode, encode: dpdu::encode },
    Codec { protocol: "acp142", decode: acp142::decode, encode: acp142::encode },
    Codec { protocol: "cdt", decode: cdt::decode, encode: cdt::encode },
    Codec { protocol: "mule", decode: mule::decode, encode: mule::encode },
    Codec { protocol: "xmpp", decode: xmpp::decode, encode: xmpp::encode },
    Codec { protocol: "slow", decode: slow::decode, encode: slow::encode },
    Codec { protocol: "zlib", decode: zlib::decode, encode: zlib::encode },
];

/// The codec of `protocol`.
pub fn of(protocol: &str) -> Option<&'static Codec> {
    CODECS.iter().find(|codec| codec.protocol == protocol)
}
