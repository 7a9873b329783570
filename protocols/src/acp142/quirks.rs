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

    /// Names in the configuration: profiles, and quirks one by one.
    pub const NAMES: [&str; 6] = ["none", "standard", "libjpmul", "no_ranges", "acker_id_in_entry", "shrinking_totals"];

    /// A profile or a single quirk by its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" | "standard" => Self::default(),
            "libjpmul" => Self::LIBJPMUL,
            "no_ranges" => Self { no_ranges: true, ..Self::default() },
            "acker_id_in_entry" => Self { acker_id_in_entry: true, ..Self::default() },
            "shrinking_totals" => Self { shrinking_totals: true, ..Self::default() },
            _ => return None,
        })
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            no_ranges: self.no_ranges || other.no_ranges,
            acker_id_in_entry: self.acker_id_in_entry || other.acker_id_in_entry,
            shrinking_totals: self.shrinking_totals || other.shrinking_totals,
        }
    }
}
