//! Windows of time in rules: a plan of silence, a night.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::time::WallTime;

const DAY: u64 = 24 * 3600;

/// A window, its end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Window {
    /// Each day, in seconds after midnight UTC; over midnight when the end is not later.
    Daily(u64, u64),
    /// Once, in seconds since 1970.
    Once(u64, u64),
}

impl Window {
    /// Reads `22:00/06:00` or `2026-01-02T03:00:00Z/2026-01-02T09:00:00Z`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no window: write 22:00/06:00 or two times with date and Z");
        let (from, to) = text.split_once('/').ok_or_else(form)?;
        if let (Some(from), Some(to)) = (clock(from), clock(to)) {
            return if from == to { Err("begins when it ends".to_owned()) } else { Ok(Self::Daily(from, to)) };
        }
        let (from, to) = (date(from).ok_or_else(form)?, date(to).ok_or_else(form)?);
        if from >= to {
            return Err("ends before it begins".to_owned());
        }
        Ok(Self::Once(from, to))
    }

    pub(crate) fn holds(self, at: WallTime) -> bool {
        let seconds = at.unix_seconds();
        match self {
            Self::Once(from, to) => (from..to).contains(&seconds),
            Self::Daily(from, to) if from < to => (from..to).contains(&(seconds % DAY)),
            Self::Daily(from, to) => !(to..from).contains(&(seconds % DAY)),
        }
    }
}

fn clock(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5 && !text.contains('+'))?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)
}

fn date(text: &str) -> Option<u64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().and_then(|at| u64::try_from(at.unix_timestamp()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let at = |text: &str| WallTime::from_unix_seconds(date(text).unwrap());
        for (window, time, inside) in [
            ("08:00/17:00", "2026-01-02T08:00:00Z", true),
            ("08:00/17:00", "2026-01-02T16:59:59Z", true),
            ("08:00/17:00", "2026-01-02T17:00:00Z", false),
            ("22:00/06:00", "2026-01-02T23:00:00Z", true),
            ("22:00/06:00", "2026-01-02T05:59:00Z", true),
            ("22:00/06:00", "2026-01-02T12:00:00Z", false),
            ("2026-01-02T03:00:00Z/2026-01-02T09:00:00Z", "2026-01-02T04:00:00+01:00", true),
            ("2026-01-02T03:00:00Z/2026-01-02T09:00:00Z", "2026-01-03T04:00:00Z", false),
        ] {
            assert_eq!(Window::parse(window).unwrap().holds(at(time)), inside, "{window} {time}");
        }
        for bad in ["", "08:00", "8:00/17:00", "24:00/01:00", "08:00/08:00", "08:60/09:00", "+8:00/09:00"] {
            assert!(Window::parse(bad).is_err(), "{bad}");
        }
        assert!(Window::parse("2026-01-02T03:00:00Z/2026-01-01T03:00:00Z").is_err());
    }
}
