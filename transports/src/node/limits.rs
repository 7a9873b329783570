//! What bounds a station, and the times of its channel access, which is our own.

use skywave_protocols::time::Duration;

/// Turns that two stations may take in a row before all others get a chance.
pub const TURNS_MAX: u8 = 6;
/// How often one transmission is put together anew or gets another end while it is in the air: of each time it is kept
/// what was taken out. What is urgent and comes after that goes with the next transmission.
pub const REPLACEMENTS_MAX: usize = 64;
/// But for so long they may: at high rates turns are short against what contention costs.
pub const TURNS_FOR: Duration = Duration::from_secs(20);
/// So many times as long as it takes to open the channel they may where no third station was heard lately: it costs them
/// one part in forty.
pub const OPENINGS_ALONE: u32 = 40;
/// What an opening takes besides two turns and the answer delay: keying and slots, about.
pub const OPENING_SLOTS: Duration = Duration::from_secs(1);
/// A station that was heard within this time is one that others leave a chance to.
pub const OTHERS_FOR: Duration = Duration::from_secs(900);
/// Longest transmission of who takes the free channel while others have data too: two may begin at the same time.
pub const OPENING_MAX: Duration = Duration::from_secs(8);
/// Segments of a transmission that is longer than others would wait for, while it is not known what gets through.
pub const SEGMENTS_UNKNOWN_MAX: usize = 4;
/// Announced ends that were not heard keep a station silent for so long in sum, two transmissions of the longest kind,
pub const UNHEARD_SILENCE_MAX: Duration = Duration::from_secs(255);
/// within this time: who forges announcements leaves more than half of it.
pub const UNHEARD_SILENCE_SPAN: Duration = Duration::from_secs(600);
/// Octets of one client that may wait in a node, whatever the rate: what two transmissions carry, but no more than this.
pub const QUEUE_OCTETS_MAX: usize = 2 << 20;
/// Stations of which is kept when they were heard and whether they have data to send.
pub const HEARD_MAX: usize = 64;
/// A transmission with no more octets of data brings an answer of a layer above, as that of RCOP's client or of ACP 142: its
/// sender is not taken to have more.
pub const ANSWER_OCTETS_MAX: usize = 32;
/// For how long a station that had data to send is taken to have more.
pub const TALKS_FOR: Duration = Duration::from_secs(90);
/// An answer may be so much later than turnaround and key-up before it counts as missing.
pub const ANSWER_GUARD: Duration = Duration::from_millis(500);
/// Others wait so much longer than turnaround and key-up before they contend, unless the radio has another guard time.
pub const CONTENTION_GUARD: Duration = Duration::from_millis(100);
/// A slot is key-up and this: whoever draws a later slot hears the carrier of an earlier one.
pub const SLOT_GUARD: Duration = Duration::from_millis(30);
/// Slots from which what is urgent draws.
pub const SLOTS_URGENT: u64 = 3;
/// Slots from which routine draws.
pub const SLOTS_ROUTINE: u64 = 6;
/// Slots that routine leaves to what is urgent, and that the last user of the channel leaves to others.
pub const SLOTS_POLITE: u64 = 2;
/// Slots that who ended the turns of two stations leaves to its partner besides: all that the partner may draw.
pub const SLOTS_CLOSER: u64 = SLOTS_ROUTINE + SLOTS_POLITE;
/// A channel that was free for so many slots is one on which nobody waits: all that anybody draws who met nobody.
pub const SLOTS_QUIET: u32 = 2 * (SLOTS_ROUTINE + 2 * SLOTS_POLITE + SLOTS_CLOSER) as u32;
/// How often the number of slots is doubled at most.
pub const DOUBLINGS_MAX: u32 = 3;
/// First pause before a link is asked for again that was refused; doubled each time.
pub const LINK_RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest such pause.
pub const LINK_RETRY_MAX: Duration = Duration::from_secs(300);
/// Octets of a D_PDU with a message about a link, the largest addresses assumed.
pub const LINK_PDU_OCTETS: usize = 31;
/// How long a message about a link waits for the air before it is worth nothing.
pub const LINK_MESSAGE_LIFE: Duration = Duration::from_secs(300);
/// How long what is said about a U_PDU of a peer is worth saying.
pub const REPLY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Peers to which something is to be said about U_PDUs of theirs once there is a link again,
pub const REPLY_PEERS_MAX: usize = 64;
/// and how many such words for each.
pub const REPLIES_MAX: usize = 256;
/// How wrong the clocks of two nodes may be before a U_PDU is taken for dead too early.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// Wishes of clients that manage the node, of one read; the others are told to ask again.
pub const ORDERS_MAX: usize = 16;
/// Rounds in which the stations of one radio do what is due at one instant; each hands others something to do a few times
/// at most.
pub const ROUNDS_MAX: usize = 1_000;
