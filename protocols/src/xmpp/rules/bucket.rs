//! Token buckets: whether more come than a rule expects.

use std::collections::BTreeMap;

use super::super::stanza::Stanza;
use super::config::{RateConfig, RatePer};
use super::limits::BUCKETS_MAX;
use crate::time::Instant;

/// Parts of a token: a microsecond of refilling gives `count` of them, a stanza takes `seconds * 1,000,000`.
#[derive(Debug)]
struct Bucket {
    parts: u128,
    at: Instant,
}

/// The buckets of one rule.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: RateConfig,
    buckets: BTreeMap<String, Bucket>,
}

impl Buckets {
    pub(crate) const fn new(rate: RateConfig) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// Takes a token for the stanza; true when there was none: more than `count` came in `seconds`.
    pub(crate) fn exceeded(&mut self, now: Instant, stanza: &Stanza) -> bool {
        let key = match self.rate.per {
            RatePer::From => stanza.from().to_bare().to_string(),
            RatePer::FromTo => format!("{}\0{}", stanza.from().to_bare(), stanza.to().to_bare()),
            RatePer::Rule => String::new(),
        };
        let price = u128::from(self.rate.seconds) * 1_000_000;
        let full = price * u128::from(self.rate.count);
        if !self.buckets.contains_key(&key) {
            self.make_room();
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { parts: full, at: now });
        let gained = now.since(bucket.at).as_micros().saturating_mul(u128::from(self.rate.count));
        bucket.parts = bucket.parts.saturating_add(gained).min(full);
        bucket.at = now;
        match bucket.parts.checked_sub(price) {
            Some(left) => {
                bucket.parts = left;
                false
            }
            None => true,
        }
    }

    fn make_room(&mut self) {
        if self.buckets.len() < BUCKETS_MAX {
            return;
        }
        let oldest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.buckets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn stanza(from: &str, to: &str) -> Stanza {
        Stanza::parse(format!("<message to='{to}' from='{from}'/>").as_bytes()).unwrap()
    }

    #[test]
    fn so_many_in_such_a_time_and_then_one_by_one() {
        let mut buckets = Buckets::new(RateConfig { per: RatePer::From, count: 3, seconds: 60 });
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let (ann, bob) = (stanza("ann@hq.test/a", "x@f.test"), stanza("bob@hq.test/a", "x@f.test"));
        let seen: Vec<bool> = (0..5).map(|_| buckets.exceeded(at(0), &ann)).collect();
        assert_eq!(seen, [false, false, false, true, true]);
        assert!(!buckets.exceeded(at(0), &bob), "another sender has a bucket of its own");
        assert!(buckets.exceeded(at(19), &ann));
        assert!(!buckets.exceeded(at(20), &ann), "a third of the time gives one of three");
        assert!(buckets.exceeded(at(20), &ann));
        let much_later: Vec<bool> = (0..4).map(|_| buckets.exceeded(at(100_000), &ann)).collect();
        assert_eq!(much_later, [false, false, false, true], "never more than full");
    }

    #[test]
    fn what_is_counted_together() {
        for (per, expected) in [(RatePer::From, true), (RatePer::FromTo, false), (RatePer::Rule, true)] {
            let mut buckets = Buckets::new(RateConfig { per, count: 1, seconds: 60 });
            assert!(!buckets.exceeded(Instant::ZERO, &stanza("ann@hq.test/a", "x@f.test")));
            assert_eq!(buckets.exceeded(Instant::ZERO, &stanza("ann@hq.test/b", "y@f.test")), expected, "{per:?}");
        }
        let mut none = Buckets::new(RateConfig { per: RatePer::Rule, count: 0, seconds: 60 });
        assert!(none.exceeded(Instant::ZERO, &stanza("ann@hq.test/a", "x@f.test")));
    }

    #[test]
    fn a_flood_of_senders_takes_no_more_room() {
        let mut buckets = Buckets::new(RateConfig { per: RatePer::From, count: 1, seconds: 60 });
        for number in 0..3 * BUCKETS_MAX {
            let _ = buckets
                .exceeded(Instant::from_micros(number as u64), &stanza(&format!("u{number}@hq.test"), "x@f.test"));
        }
        assert_eq!(buckets.buckets.len(), BUCKETS_MAX);
    }
}
