//! Every limit of this module, unit last.

/// Octets of a Data_PDU before its fragment.
pub const DATA_HEADER_OCTETS: usize = 16;
/// Octets of an Address_PDU without entries.
pub const ADDRESS_HEADER_OCTETS: usize = 24;
/// Octets of one Destination_Entry as we send it.
pub const DESTINATION_OCTETS: usize = 8;
/// Octets of an Ack_PDU without entries.
pub const ACK_HEADER_OCTETS: usize = 14;
/// Octets of an Ack_Info_Entry without numbers.
pub const ACK_ENTRY_OCTETS: usize = 10;
/// Smallest value of the largest PDU sent: an Address_PDU with one entry and an Ack_PDU with a range must fit.
pub const PDU_OCTETS_MIN: usize = 64;
/// Largest PDU: Length_of_PDU has 16 bits.
pub const PDU_OCTETS_MAX: usize = 65_535;
/// Largest sequence number of a Data_PDU.
pub const DATA_PDUS_MAX: usize = 65_535;
/// Destinations of one message we send.
pub const DESTINATIONS_MAX: usize = 1_024;
/// Messages being sent at once; more are refused.
pub const TRANSMISSIONS_MAX: usize = 256;
/// Messages whose end is remembered by the sender, so that late acknowledgements and re-submissions are recognised.
pub const FINISHED_MESSAGES_MAX: usize = 4_096;
/// Complete messages remembered by the receiver (the dedupe window).
pub const DONE_MESSAGES_MAX: usize = 16_384;
/// Half messages held, of all senders.
pub const RECEPTIONS_MAX: usize = 1_024;
/// Half messages held of one sender.
pub const RECEPTIONS_PER_SENDER_MAX: usize = 128;
/// What one stored fragment costs besides its octets, in the accounts below.
pub const FRAGMENT_OVERHEAD_OCTETS: usize = 64;
/// Fragments held, of all senders.
pub const RECEPTION_OCTETS_MAX: usize = 96 << 20;
/// Fragments held of one sender.
pub const RECEPTION_OCTETS_PER_SENDER_MAX: usize = 48 << 20;
/// Fragments held without an Address_PDU, of all senders.
pub const ORPHAN_OCTETS_MAX: usize = 4 << 20;
/// Split Address_PDU sets being watched for our id in unknown messages.
pub const ADDRESS_SETS_MAX: usize = 64;
/// Answers (Discard, updated Address_PDU for finished messages) waiting to be sent.
pub const ANSWERS_WAITING_MAX: usize = 64;
/// Acknowledgements in the hands of the lower layer that are planned again when they come back.
pub const ACKS_BELOW_MAX: usize = 256;
/// Receivers' silence plans held.
pub const SILENCE_PLANS_MAX: usize = 4_096;
/// Dynamic groups held at once, own and learnt.
pub const DYNAMIC_GROUPS_MAX: usize = 64;
/// Addresses asked for on behalf of one message.
pub const DYNAMIC_GROUP_ATTEMPTS_MAX: u32 = 16;
/// Data_PDUs of a message to several up to which the first acknowledgement may go without ARQ (`docs/adr/0060`).
pub const FREE_ACK_PDUS_MAX: u16 = 2;
