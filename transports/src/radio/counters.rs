//! What a radio counts, and how its sessions look to people.

use serde::Serialize;

use super::session::Session;

/// What was counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RadioCounters {
    /// PDUs handed to the node.
    pub handed: u64,
    /// PDUs refused here: too large, unknown port, no room.
    pub refused: u64,
    /// U_PDUs that arrived for a link.
    pub arrived: u64,
    /// U_PDUs that are for no link.
    pub unclaimed: u64,
    /// U_PDUs that are too short or came with errors.
    pub damaged: u64,
    /// Hard links offered by others; refused, as no client here may be taken for one peer alone.
    pub hard_links_refused: u64,
}

/// A session for the console.
pub(super) fn describe_session(session: &Session) -> serde_json::Value {
    let (status, reason) = session.client.availability();
    let (waiting, outstanding) = session.client.depth();
    serde_json::json!({
        "sap": session.sap,
        "state": session.client.state(),
        "mtu": session.client.mtu(),
        "flowing": session.client.is_flowing(),
        "availability": status.to_string(),
        "availability_reason": reason.to_string(),
        "waiting": waiting,
        "outstanding": outstanding,
        "ended": session.ended,
        "counters": session.client.counters(),
    })
}
