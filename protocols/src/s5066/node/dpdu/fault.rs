//! Why octets are no D_PDU.

use crate::bytes::WireError;
use crate::fault::{Blame, Fault, Next};

/// Why octets are no D_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DPduFault {
    /// They do not begin with 90 EB.
    #[error("no sync octets")]
    NoSync,
    /// They end inside the header.
    #[error("{0}")]
    Cut(#[from] WireError),
    /// The sizes of addresses and header are impossible.
    #[error("addresses of {addresses} octets and a header of {header}: impossible")]
    Sizes {
        /// m: 0 to 7.
        addresses: u8,
        /// h: 0 to 31.
        header: u8,
    },
    /// The CRC of the header is wrong.
    #[error("the CRC of the header is wrong")]
    HeaderCrc,
}

impl Fault for DPduFault {
    fn blame(&self) -> Blame {
        // A broken header may come from anybody; the air is the likeliest.
        Blame::Link
    }

    fn next(&self) -> Next {
        Next::Ignore
    }
}
