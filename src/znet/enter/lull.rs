//! When very many peers come, the acceptor lies down for a moment before it looks again: then several are there at once, and it is not
//! woken for each of them, which would take a third of the server's processor time.

use std::time::{Duration, Instant};

/// Whether the acceptor should lie down, by how many came lately.
#[derive(Default)]
pub(super) struct Lull {
    /// When the window began. The first peers are in none.
    begun: Option<Instant>,
    /// How many have come in it, and how often the acceptor has lain down.
    accepted: u32,
    naps: u32,
    /// Whether it lies down in this window.
    is_on: bool,
    /// For so many windows it was not worth while.
    off_for: u32,
    /// Whether any has come since it last lay down.
    has_more: bool,
}

impl Lull {
    /// One has come.
    pub(super) fn note_accepted(&mut self) {
        self.has_more = true;
        self.accepted += 1;
        if self.accepted == WINDOW {
            self.decide(Instant::now());
        }
    }

    /// None is there. `true` after a moment in which some may have come; `false` if one is to be waited for.
    #[expect(clippy::disallowed_methods, reason = "the acceptor, a thread that runs no coroutine")]
    pub(super) fn rest(&mut self) -> bool {
        let rests = self.is_on && std::mem::take(&mut self.has_more);
        if rests {
            self.naps += 1;
            std::thread::sleep(NAP);
        }
        rests
    }

    fn decide(&mut self, now: Instant) {
        if self.is_on {
            if self.naps * WORTH >= WINDOW {
                (self.is_on, self.off_for) = (false, OFF_FOR);
            }
        } else if self.off_for > 0 {
            self.off_for -= 1;
        } else {
            self.is_on = self.begun.is_some_and(|begun| now.duration_since(begun) <= WINDOW * HOT);
        }
        (self.begun, self.accepted, self.naps) = (Some(now), 0, 0);
    }
}

/// How many peers come between two decisions.
const WINDOW: u32 = 64;

/// It lies down if one comes in this time or less, on average.
const HOT: Duration = Duration::from_micros(70);

/// For how long. The system adds some 50 microseconds.
const NAP: Duration = Duration::from_micros(250);

/// It goes on with that as long as so many come meanwhile, on average.
const WORTH: u32 = 5;

/// If fewer come, as when few peers connect again and again, each after its last connection has ended, it tries again after so many
/// windows.
const OFF_FOR: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Has so many windows of peers come, one each `gap`, of which so many find the acceptor lying down.
    fn windows(lull: &mut Lull, now: &mut Instant, count: u32, gap: Duration, at_once: u32) {
        for _ in 0..count {
            (lull.accepted, lull.naps) = (WINDOW, WINDOW / at_once);
            *now += gap * WINDOW;
            lull.decide(*now);
        }
    }

    #[test]
    fn it_lies_down_while_many_come_and_only_as_long_as_that_is_worth_while() {
        let (mut lull, mut now) = (Lull::default(), Instant::now());
        let (fast, slow) = (Duration::from_micros(40), Duration::from_micros(200));
        windows(&mut lull, &mut now, 3, slow, 1);
        assert!(!lull.is_on);
        windows(&mut lull, &mut now, 1, fast, 1);
        assert!(lull.is_on);
        windows(&mut lull, &mut now, 100, fast, 8);
        assert!(lull.is_on);
        windows(&mut lull, &mut now, 1, fast, 4);
        assert!(!lull.is_on, "four at a time: it made them wait more than it saved");
        windows(&mut lull, &mut now, OFF_FOR, fast, 1);
        assert!(!lull.is_on);
        windows(&mut lull, &mut now, 1, fast, 1);
        assert!(lull.is_on);
    }

    #[test]
    fn it_lies_down_once_for_what_has_come() {
        let mut lull = Lull { is_on: true, ..Lull::default() };
        assert!(!lull.rest(), "none has come");
        lull.note_accepted();
        assert!(lull.rest() && !lull.rest());
    }
}
