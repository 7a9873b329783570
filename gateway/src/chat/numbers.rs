//! Numbers of stanzas, never used twice at this site, whatever clocks and crashes do.
//!
//! Sessions name stanzas by these numbers in records that outlive a crash, also those stanzas that are not kept on
//! disk. So a range is reserved on disk before it is used up; the next run begins behind it.

use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Space, Write};

use super::limits::NUMBERS_RESERVED;

/// Key of the reservation in [`Space::Site`].
pub const KEY: &[u8] = b"chat/numbers";

/// The numbers of one run.
#[derive(Debug, Default)]
pub struct Numbers {
    next: u64,
    reserved: u64,
}

impl Numbers {
    /// Begins behind what earlier runs have reserved.
    pub fn restore(&mut self, value: &[u8]) {
        let reserved = value.try_into().map_or(0, u64::from_be_bytes);
        self.next = self.next.max(reserved);
        self.reserved = self.reserved.max(reserved);
    }

    /// A fresh number.
    pub const fn take(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The reservation to be written now, if half of the last is used up.
    pub fn reserve(&mut self) -> Option<Write> {
        if self.next + NUMBERS_RESERVED / 2 < self.reserved {
            return None;
        }
        self.reserved = self.next + NUMBERS_RESERVED;
        let value = Bytes::copy_from_slice(&self.reserved.to_be_bytes());
        Some(Write { space: Space::Site, key: KEY.to_vec(), value: Some(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_behind_the_last() {
        let mut first = Numbers::default();
        let written = first.reserve().unwrap();
        assert!((0..1000).map(|_| first.take()).is_sorted_by(|a, b| a < b));
        assert_eq!(first.reserve(), None, "half is left");
        let mut second = Numbers::default();
        second.restore(&written.value.unwrap());
        assert!(second.take() > first.take());
    }

    #[test]
    fn the_next_range_is_reserved_before_the_last_is_used_up() {
        let mut numbers = Numbers::default();
        let mut reserved = 0;
        for _ in 0..3 * NUMBERS_RESERVED {
            if let Some(write) = numbers.reserve() {
                reserved = u64::from_be_bytes(write.value.unwrap().as_ref().try_into().unwrap());
            }
            assert!(numbers.take() <= reserved);
        }
    }
}
