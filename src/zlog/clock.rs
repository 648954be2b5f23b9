//! Times as text, in UTC.

use std::fmt;
use std::time::SystemTime;

use crate::zutils::unix_millis;

/// A time by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Days since 1970-01-01.
    pub(super) day: u64,
    millis: u64,
}

impl Stamp {
    /// A time before 1970 is taken as its beginning.
    pub(super) fn of(at: SystemTime) -> Self {
        let millis = unix_millis(at);
        Self { day: millis / DAY_MS, millis: millis % DAY_MS }
    }

    /// As part of a file name: `2026-01-31T14-05-06.123`.
    pub(super) fn for_file(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, millis) = self.time();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{millis:03}")
    }

    /// Year, month and day, by counting in years that begin in March: the day that a leap year has more is their last.
    const fn date(self) -> (u64, u64, u64) {
        let days = self.day + DAYS_TO_1970;
        let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * months_from_march + 2) / 5 + 1;
        let month = if months_from_march < 10 { months_from_march + 3 } else { months_from_march - 9 };
        let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }

    const fn time(self) -> (u64, u64, u64, u64) {
        let seconds = self.millis / 1000;
        (seconds / 3600, seconds / 60 % 60, seconds % 60, self.millis % 1000)
    }
}

/// `2026/01/31 14:05:06.123`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second, millis) = self.time();
        write!(f, "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_OF_400_YEARS: u64 = 146_097;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970/01/01 00:00:00.007"),
            (951_782_399, "2000/02/28 23:59:59.007"),
            (951_782_400, "2000/02/29 00:00:00.007"),
            (1_709_164_800, "2024/02/29 00:00:00.007"),
            (1_769_868_306, "2026/01/31 14:05:06.007"),
            (4_107_542_399, "2100/02/28 23:59:59.007"),
            (4_107_542_400, "2100/03/01 00:00:00.007"),
        ] {
            let at = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7);
            assert_eq!(Stamp::of(at).to_string(), expected);
        }
        assert_eq!(Stamp::of(UNIX_EPOCH).for_file(), "1970-01-01T00-00-00.000");
    }
}
