//! Lengths of time as a person says them.

use std::fmt;
use std::time::Duration;

/// A length of time, rounded for a message: `300 ms`, `1.5 s`, `2 min 5 s`.
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let round_to = |unit: u128| (micros + unit / 2) / unit;
        let (millis, tenths, seconds) = (round_to(1000), round_to(100_000), round_to(1_000_000));
        if micros < 1000 {
            write!(f, "{micros} µs")
        } else if millis < 1000 {
            write!(f, "{millis} ms")
        } else if tenths < 100 && tenths % 10 != 0 {
            write!(f, "{}.{} s", tenths / 10, tenths % 10)
        } else if seconds < 60 {
            write!(f, "{seconds} s")
        } else {
            let (minutes, rest) = (seconds / 60, seconds % 60);
            let (hours, minutes) = (minutes / 60, minutes % 60);
            match (hours, minutes, rest) {
                (0, minutes, 0) => write!(f, "{minutes} min"),
                (0, minutes, rest) => write!(f, "{minutes} min {rest} s"),
                (hours, 0, _) => write!(f, "{hours} h"),
                (hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_rounded_to_what_matters() {
        for (nanos, expected) in [
            (0, "0 µs"),
            (12_345, "12 µs"),
            (1_400_000, "1 ms"),
            (300_800_000, "301 ms"),
            (999_700_000, "1 s"),
            (1_540_000_000, "1.5 s"),
            (4_999_996_871, "5 s"),
            (9_960_000_000, "10 s"),
            (31_400_000_000, "31 s"),
            (59_600_000_000, "1 min"),
            (125_000_000_000, "2 min 5 s"),
            (3_600_000_000_000, "1 h"),
            (9_000_000_000_000, "2 h 30 min"),
        ] {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), expected);
        }
        assert!(Rounded(Duration::MAX).to_string().contains(" h"));
    }
}
