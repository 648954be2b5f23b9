//! The longest of the times noted recently.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest time that was noted within the last minute, and up to ten seconds before.
#[derive(Debug, Default)]
pub(crate) struct Longest {
    /// Of ten seconds each: which ten seconds these are, and the longest of them in microseconds.
    windows: [AtomicU64; WINDOWS],
}

impl Longest {
    pub(crate) const fn new() -> Self {
        Self { windows: [const { AtomicU64::new(0) }; WINDOWS] }
    }

    /// Notes one. `now`: milliseconds of any clock that goes forward.
    pub(crate) fn note(&self, now: u64, took: Duration) {
        let (number, micros) = (window(now), u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        let noted = |known: u64| {
            let (of, longest) = parts(known);
            let longest = if of == number { longest.max(micros) } else { micros };
            Some(u64::from(number) << 32 | u64::from(longest))
        };
        let cell = &self.windows[number as usize % WINDOWS];
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted);
    }

    /// The longest; zero if none was noted.
    pub(crate) fn of_late(&self, now: u64) -> Duration {
        let number = window(now);
        let known = self.windows.iter().map(|cell| parts(cell.load(Ordering::Relaxed)));
        let late = known.filter(|(of, _)| number.wrapping_sub(*of) < WINDOWS as u32);
        Duration::from_micros(late.map(|(_, longest)| longest).max().unwrap_or(0).into())
    }
}

const fn window(now: u64) -> u32 {
    (now / WINDOW_MS) as u32
}

const fn parts(cell: u64) -> (u32, u32) {
    ((cell >> 32) as u32, cell as u32)
}

const WINDOW_MS: u64 = 10_000;
const WINDOWS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_a_minute_is_forgotten_after_it() {
        let longest = Longest::new();
        assert_eq!(longest.of_late(5), Duration::ZERO);
        longest.note(5, Duration::from_millis(30));
        longest.note(9_000, Duration::from_millis(20));
        longest.note(15_000, Duration::from_millis(10));
        assert_eq!(longest.of_late(69_999), Duration::from_millis(30));
        assert_eq!(longest.of_late(70_000), Duration::from_millis(10));
        assert_eq!(longest.of_late(80_000), Duration::ZERO);
        // The place of the first ten seconds is taken by the eighth.
        longest.note(70_000, Duration::from_millis(1));
        assert_eq!(longest.of_late(79_999), Duration::from_millis(10));
        longest.note(80_000, Duration::from_secs(1 << 20));
        assert_eq!(longest.of_late(80_000).as_secs(), u64::from(u32::MAX) / 1_000_000);
    }
}
