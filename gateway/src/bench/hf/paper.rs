//! What was published, and the bands in which a model of it must stay.
//!
//! XMPP over STANAG 5066 between two RapidM RM6 modems on a cable, RC66 servers, STANAG 4539, short interleaver: the
//! white paper of the specification's section 1 (`performance-anchors.md`). Times are seconds of a round trip from
//! sending to receiving, payloads octets of hex digits, typing delays seconds.

/// What a figure is held against.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Role {
    /// Constants of the model were chosen for it; the band is a share of the published figure.
    Fitted(f64),
    /// It follows from the constants chosen elsewhere.
    Following(f64),
}

impl Role {
    /// In a word: how a figure stands to the published one.
    pub fn verdict(self, is: f64, published: f64) -> &'static str {
        let within = |band: f64| (is / published - 1.0).abs() <= band;
        match self {
            Self::Fitted(band) if within(band) => "fitted",
            Self::Following(band) if within(band) => "following",
            Self::Fitted(_) | Self::Following(_) => "**missed**",
        }
    }
}

/// A line of the rates' table: bit/s, first round trip, average of the later ones.
pub const BY_RATE: [(u32, f64, f64); 3] = [(75, 125.5, 29.5), (1200, 18.0, 11.7), (9600, 21.1, 13.9)];
/// The rate of the tables by payload, by typing delay and by backlog.
pub const RATE: u32 = 1200;
/// At 1200 bit/s: payload, first, average.
pub const BY_PAYLOAD: [(usize, f64, f64); 8] = [
    (0, 18.0, 11.7),
    (10, 18.8, 13.4),
    (50, 18.2, 12.9),
    (100, 18.2, 12.8),
    (200, 19.7, 14.2),
    (512, 20.8, 13.8),
    (1024, 32.2, 15.7),
    (2048, 52.0, 22.6),
];
/// At 1200 bit/s, no payload: typing delay, first, average with the delay in it.
pub const BY_DELAY: [(u64, f64, f64); 6] =
    [(0, 18.0, 11.7), (1, 18.9, 11.9), (2, 18.1, 10.7), (3, 18.6, 9.7), (5, 41.5, 53.0), (10, 38.4, 47.8)];
/// First round trip and average of the later ones, in seconds.
pub type FirstAndAverage = (f64, f64);
/// At 1200 bit/s under backlog: payload, bit/s of user data as measured, share of the rate as printed.
pub const BY_BACKLOG: [(usize, f64, f64); 4] =
    [(10, 695.0, 0.29), (100, 1070.0, 0.45), (1024, 1720.0, 0.73), (10_240, 1970.0, 0.79)];
/// With 1024 octets of payload under backlog: rate, bit/s measured, share of the rate as printed.
pub const BACKLOG_BY_RATE: [(u32, f64, f64); 3] = [(75, 100.0, 0.68), (1200, 1720.0, 0.73), (9600, 14_800.0, 0.78)];
/// Bits of user data in a second under backlog, where that was published.
pub fn under_backlog(rate: u32, payload: usize) -> Option<f64> {
    let by_rate = BACKLOG_BY_RATE.iter().filter(|_| payload == 1024).find(|row| row.0 == rate).map(|row| row.1);
    let by_payload = BY_BACKLOG.iter().filter(|_| rate == RATE).find(|row| row.0 == payload).map(|row| row.1);
    by_rate.or(by_payload)
}

/// Over TCP/IP on the same radio: rate, XEP-0361 first and average, ordinary S2S first and average.
pub const BY_TCP: [(u32, f64, f64, Option<FirstAndAverage>); 2] =
    [(1200, 39.1, 12.9, Some((330.0, 12.7))), (9600, 41.7, 14.9, None)];
/// With 1024 octets of payload under backlog over TCP/IP on the same radio: rate, share of the rate, and what was said.
pub const BACKLOG_BY_TCP: [(u32, Option<f64>, &str); 3] = [
    (75, None, "no TCP connection possible"),
    (1200, Some(0.66), "reached after about 3 min"),
    (9600, Some(0.11), "after 47 min"),
];
/// What random hex digits compress to there; 50 % is ideal.
pub const HEX_COMPRESSES_TO: f64 = 0.51;
/// Octets of a message without payload, RCOP included.
pub const MESSAGE_OCTETS: usize = 30;

/// The bands that the issue names.
pub const AVERAGE_BAND: f64 = 0.15;
/// Of first round trips at the three rates.
pub const FIRST_BAND: f64 = 0.20;
/// Of typing delays of 5 s and more.
pub const LONG_DELAY_BAND: f64 = 0.25;

/// A FLASH of 500 octets on air behind 1 MB of routine: rate, whole-message FIFO in seconds, the floor in seconds.
pub const FLASH: [(u32, f64, f64); 3] =
    [(75, 29.6 * 3600.0, 53.0), (1200, 1.85 * 3600.0, 3.3), (9600, 13.9 * 60.0, 0.4)];

/// EMCON broadcast of 64 segments, all receivers complete with 0.999: loss, receivers, plain repeats, ideal code.
pub const EMCON: [(f64, u32, u32, f64); 15] = [
    (0.01, 1, 3, 1.06),
    (0.01, 10, 3, 1.08),
    (0.01, 50, 4, 1.09),
    (0.05, 1, 4, 1.17),
    (0.05, 10, 5, 1.19),
    (0.05, 50, 5, 1.22),
    (0.10, 1, 5, 1.27),
    (0.10, 10, 6, 1.31),
    (0.10, 50, 7, 1.34),
    (0.20, 1, 7, 1.50),
    (0.20, 10, 9, 1.56),
    (0.20, 50, 10, 1.59),
    (0.30, 1, 10, 1.77),
    (0.30, 10, 12, 1.86),
    (0.30, 50, 13, 1.91),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        for (role, is, verdict) in [
            (Role::Fitted(0.15), 11.4, "fitted"),
            (Role::Fitted(0.15), 11.6, "**missed**"),
            (Role::Following(0.15), 8.6, "following"),
            (Role::Following(0.15), 8.4, "**missed**"),
        ] {
            assert_eq!(role.verdict(is, 10.0), verdict, "{role:?} {is}");
        }
    }

    #[test]
    fn the_paper_agrees_with_itself() {
        // User data is hex that compresses: the rate on the line is the share printed, but for the last cell.
        for (payload, measured, share) in &BY_BACKLOG[..3] {
            assert!((measured * HEX_COMPRESSES_TO / 1200.0 - share).abs() < 0.006, "{payload}");
        }
        let (_, measured, printed) = BY_BACKLOG[3];
        assert!(measured * HEX_COMPRESSES_TO / 1200.0 - printed > 0.04, "1970 bit/s are 84 %, 79 % are printed");
        assert_eq!((BY_RATE[1].1, BY_RATE[1].2), (BY_PAYLOAD[0].1, BY_PAYLOAD[0].2));
        assert_eq!(BY_PAYLOAD[0].2, BY_DELAY[0].2);
        for (rate, payload, expected) in
            [(1200, 10, Some(695.0)), (1200, 1024, Some(1720.0)), (75, 1024, Some(100.0)), (75, 10, None)]
        {
            assert_eq!(under_backlog(rate, payload), expected, "{rate} {payload}");
        }
    }
}
