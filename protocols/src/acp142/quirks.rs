//! Ways in which peers differ, per peer. What costs nothing is accepted from everybody; these are what must be known.

use serde::{Deserialize, Serialize};

/// The quirks of one peer; the default is a peer without any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// The peer does not read ranges in missing lists: every number is listed.
    pub no_ranges: bool,
    /// The peer expects the acknowledging node's id in an Ack_Info_Entry where the message's sender belongs.
    pub acker_id_in_entry: bool,
    /// The peer repeats with a Total_Number_of_PDUs that counts only what is repeated; a fragment beyond the total
    /// then raises the total instead of being dropped.
    pub shrinking_totals: bool,
}

impl Quirks {
    /// The Java library of 2013 (libjpmul), as it was observed.
    pub const LIBJPMUL: Self = Self { no_ranges: true, acker_id_in_entry: true, shrinking_totals: true };

    /// A profile by its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::default()),
            "libjpmul" => Some(Self::LIBJPMUL),
            _ => None,
        }
    }
}
