//! The octets of a mail's pieces, read from a site's store.

use skywave_protocols::bytes::Bytes;

use crate::node::seam::Piece;
use crate::store::{BodyId, Store, StoreFault};

/// The octets of pieces.
///
/// # Errors
/// A body is missing or the disk fails.
pub fn load<S: Store + ?Sized>(store: &mut S, pieces: &[Piece]) -> Result<Bytes, StoreFault> {
    let mut text = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Octets(octets) => text.extend_from_slice(octets),
            Piece::Body { body, from, to } => load_range(store, *body, *from, *to, &mut text)?,
        }
    }
    Ok(Bytes::from(text))
}

fn load_range<S: Store + ?Sized>(
    store: &mut S,
    body: BodyId,
    from: u64,
    to: u64,
    text: &mut Vec<u8>,
) -> Result<(), StoreFault> {
    let mut offset = from;
    while offset < to {
        let octets = store.load_body(body, offset, usize::try_from(to - offset).unwrap_or(usize::MAX))?;
        if octets.is_empty() {
            return Err(StoreFault::NoBody(body.0));
        }
        offset += octets.len() as u64;
        text.extend_from_slice(&octets);
    }
    Ok(())
}
