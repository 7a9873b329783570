//! What is counted at a station beside what its layers count.

/// What a station counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct LinkCounters {
    /// Frames that were no D_PDU, or whose header was damaged.
    pub frames_bad: u64,
    /// D_PDUs that claimed our own address as source.
    pub frames_forged: u64,
    /// D_PDUs for others.
    pub frames_overheard: u64,
    /// Answers asked for that did not come.
    pub answers_missing: u64,
    /// U_PDUs whose deadline passed.
    pub expired: u64,
    /// Transmissions that ended before the end that they had announced.
    pub ends_early: u64,
    /// Announced ends that were not waited for, since too many had been that nobody heard.
    pub ends_disbelieved: u64,
}
