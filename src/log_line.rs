//! Log lines that a peer can cause: at most one a second of a kind, of bounded length, without control characters.
//!
//! Such a line is written with [`throttled!`], whatever part of the crate it comes from. What a peer has sent can get into
//! it by way of an error or a panic; so nothing in it can fill the disk, forge another line or reach a terminal.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use log::LevelFilter;

/// Logs a line at `warn`, `error` or another level of `log`, if the [`Throttle`] lets it pass.
///
/// The first line from each place goes to stderr if no logger is installed. Otherwise errors of handlers would go unseen in
/// a program that has not set one up yet.
macro_rules! throttled {
    ($level:ident, $throttle:expr, $($words:tt)+) => {
        if let Some(more) = $crate::log_line::Throttle::pass(&$throttle) {
            static TOLD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
            match format_args!($($words)+) {
                words => {
                    let words = $crate::log_line::Shown(&words);
                    log::$level!("{words}{more}");
                    $crate::log_line::tell_without_logger(&TOLD, &words);
                }
            }
        }
    };
}

pub(crate) use throttled;

/// Lets one log line a second pass.
pub(crate) struct Throttle {
    /// The second, counted from 1, in which the last line passed.
    second: AtomicU64,
    left_out: AtomicU64,
}

/// How many lines were left out before one that passes; prints nothing for none.
pub(crate) struct LeftOut(u64);

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self { second: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// `Some` if a line may be logged now.
    pub(crate) fn pass(&self) -> Option<LeftOut> {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let second = EPOCH.get_or_init(Instant::now).elapsed().as_secs() + 1;
        if self.second.swap(second, Ordering::Relaxed) == second {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(LeftOut(self.left_out.swap(0, Ordering::Relaxed)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " (and {} more like it)", self.0) }
    }
}

/// Text from outside, for a log line: control characters are escaped, and what is too long is cut.
pub(crate) struct Shown<'a>(pub(crate) &'a dyn fmt::Display);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { out: f, written: 0, cut: 0 };
        write!(line, "{}", self.0)?;
        match line.cut {
            0 => Ok(()),
            cut => write!(f, "… ({cut} more characters)"),
        }
    }
}

/// Where [`Shown`] writes to.
struct Line<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    written: usize,
    /// Characters that were left out.
    cut: usize,
}

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.written >= LONGEST {
                self.cut += 1;
            } else if is_unprintable(character) {
                let escaped = character.escape_debug();
                self.written += escaped.len();
                write!(self.out, "{escaped}")?;
            } else {
                self.written += 1;
                self.out.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a character does something to a terminal or a line: control characters, and those that end a line or change
/// the direction of a text.
pub(crate) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Says a line on stderr if no logger is installed and it is the first one from its place, and once how to install one.
#[cold]
pub(crate) fn tell_without_logger(told: &AtomicBool, words: &Shown<'_>) {
    static HINT: AtomicBool = AtomicBool::new(false);
    if has_logger() || told.swap(true, Ordering::Relaxed) {
        return;
    }
    let hint = if HINT.swap(true, Ordering::Relaxed) { "" } else { NO_LOGGER };
    // If stderr is closed, there is nowhere to report it.
    let _ = writeln!(io::stderr(), "zinx: {words}{hint}");
}

/// The logger that `log` has while none is installed has no state and never logs. One that is switched off has state.
fn has_logger() -> bool {
    log::max_level() > LevelFilter::Off || size_of_val(log::logger()) > 0
}

const NO_LOGGER: &str = "\nzinx: no logger is installed, so further messages are lost: \
    call zinx::zlog::init(&config) or env_logger::init() at the start of main";

/// Characters of a text from outside that are shown in a log line.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_text_is_one_line_that_does_nothing_to_a_terminal() {
        let text = "a\r\n\u{1b}[31mred\u{7f}\u{9b}\u{202e}\u{2028}\t\0 é你🎮 \"q\" c:\\d";
        let expected = r#"a\r\n\u{1b}[31mred\u{7f}\u{9b}\u{202e}\u{2028}\t\0 é你🎮 "q" c:\d"#;
        assert_eq!(Shown(&text).to_string(), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_how_much_is_missing() {
        assert_eq!(Shown(&"é".repeat(LONGEST)).to_string(), "é".repeat(LONGEST));
        let long = Shown(&"\0".repeat(8192)).to_string();
        let (shown, more) = long.split_once("… (").unwrap();
        assert!(shown.len() <= LONGEST + 1 && shown.starts_with(r"\0\0"));
        assert_eq!(more, format!("{} more characters)", 8192 - shown.len() / 2));
    }

    #[test]
    fn one_line_a_second_passes_and_the_next_says_how_many_did_not() {
        let throttle = Throttle::new();
        assert!(throttle.pass().is_some());
        while throttle.pass().is_some() {}
        let passed = loop {
            if let Some(more) = throttle.pass() {
                break more.to_string();
            }
        };
        assert!(passed.starts_with(" (and ") && passed.ends_with(" more like it)"), "{passed}");
    }
}
