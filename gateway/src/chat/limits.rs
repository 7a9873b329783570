//! What chat may grow to.

use skywave_protocols::time::Duration;

/// How long a stanza for a fast stream waits for others whose rows are written with its own.
pub const GATHER_WAIT: Duration = Duration::from_micros(500);
/// So many wait for no more.
pub const GATHERED_MAX: usize = 64;
/// Far sites of one gateway.
pub const PEERS_MAX: usize = 1_000;
/// Stanzas that wait for one link unless the configuration says otherwise.
pub const QUEUE_STANZAS: usize = 2_000;
/// Octets that wait for one link unless the configuration says otherwise.
pub const QUEUE_OCTETS: usize = 4 << 20;
/// Most stanzas that a configuration can let wait for one far site: what the session of one link takes.
pub const QUEUE_STANZAS_MAX: usize = skywave_protocols::xmpp::slow::limits::WAITING_STANZAS_MAX;
/// Of what may wait, this part is for Immediate and above.
pub const RESERVED_SHARE: usize = 20;
/// Further links for a stream of one far site.
pub const ALTERNATES_MAX: usize = 4;
/// Stanzas that came by links and wait for local servers, of all peers.
pub const LOCAL_STANZAS_MAX: usize = 20_000;
/// Of these, so many for one local domain unless the configuration says fewer: a server that is down does not take the
/// places of the others.
pub const LANE_STANZAS_MAX: usize = LOCAL_STANZAS_MAX / 2;
/// Their octets.
pub const LOCAL_OCTETS_MAX: usize = 32 << 20;
/// What the batch of one far site may bring on top of these: a batch is taken whole, or not.
pub const BATCH_STANZAS_MAX: usize = skywave_protocols::xmpp::slow::limits::ARRIVED_STANZAS_MAX
    + skywave_protocols::xmpp::slow::limits::BLOCK_STANZAS_MAX;
/// Its octets.
pub const BATCH_OCTETS_MAX: usize = BATCH_STANZAS_MAX * skywave_protocols::xmpp::slow::limits::STANZA_OCTETS_MAX;
/// Stanzas that one local server has been given and has not confirmed.
pub const GIVEN_MAX: usize = 64;
/// First wait before a local server whose connection broke gets its stanzas again; doubles up to the longest.
pub const GIVE_AGAIN_FIRST: Duration = Duration::from_secs(2);
/// Longest such wait.
pub const GIVE_AGAIN_LONGEST: Duration = Duration::from_secs(60);
/// Local servers of which is remembered whether they can be reached; others are told of again and again.
pub const SERVERS_REMEMBERED_MAX: usize = 1_024;
/// Numbers of stanzas that are reserved on disk at once.
pub const NUMBERS_RESERVED: u64 = 1 << 20;
/// Addresses told of because their letters are of different scripts; more are only counted.
pub const CONFUSABLES_TOLD_MAX: usize = 256;
/// For so long after somebody said that a far site keeps silence, what arrives from it may have been sent before.
pub const HEARD_AFTER: Duration = Duration::from_secs(300);
/// Stanzas of one listing.
pub const LISTED_MAX: usize = 1_000;
/// Stanzas whose lives are remembered for `track`, those that are gone included.
pub const RECENT_STANZAS_MAX: usize = 1_000;
/// Things that are remembered of one of them.
pub const RECENT_EVENTS_MAX: usize = 12;
/// Units that were handed to a link and are not settled.
pub const UNITS_MAX: usize = 4_096;
/// Shortest time between two looks at what waits, whether it has to say so.
pub const MARK_WAIT: Duration = Duration::from_secs(30);
/// How long a unit may take beyond its airtime before the medium is taken to be out.
pub const UNIT_PATIENCE: Duration = Duration::from_secs(45);
/// How long a far site may owe a sign of life beyond that airtime before its link counts as down: for rules, presence and
/// local answers. Longer than the longest transmissions of others that a unit waits for.
pub const OUTAGE_PATIENCE: Duration = Duration::from_secs(300);
/// Octets that may be on the air before it.
pub const UNIT_BEFORE_OCTETS: u64 = 2_048;
/// Octets that are added to a stanza on its way: the mark of a delay, with the longest name of a gateway.
pub const ADDED_OCTETS_MAX: usize = 512;
