//! Which lines are written: `RUST_LOG` if it is set, else `LogIsolationLevel`.

use log::{Level, LevelFilter};

use crate::log_line::Shown;

/// The lowest level written of each target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Everything from a level on: see [`passes_from`].
    From(LevelFilter),
    /// Beginnings of targets, the longest first; the empty one is for all others.
    Rules(Vec<(String, LevelFilter)>),
}

impl Filter {
    /// The filter, and what is wrong with `RUST_LOG`: a directive that cannot be read is passed over.
    pub(super) fn new(isolation: u32, rust_log: Option<&str>) -> (Self, Vec<String>) {
        match rust_log.filter(|directives| !directives.trim().is_empty()) {
            Some(directives) => Self::parse(directives),
            None => (Self::From(least(isolation)), Vec::new()),
        }
    }

    /// As `env_logger` reads it: `info,zinx::tutorial=trace`.
    fn parse(directives: &str) -> (Self, Vec<String>) {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let rule = match directive.split_once('=') {
                // A target without a level is one with all of its lines.
                Some((target, level)) if level.trim().is_empty() => Some((target.trim(), LevelFilter::Trace)),
                Some((target, level)) => level.trim().parse().ok().map(|level| (target.trim(), level)),
                // A word alone is a level for all, or such a target.
                None => Some(directive.parse().map_or((directive, LevelFilter::Trace), |level| ("", level))),
            };
            match rule {
                Some((target, level)) => rules.push((target.to_string(), level)),
                None => problems.push(format!(
                    "RUST_LOG: found {}, expected LEVEL or TARGET=LEVEL with off, error, warn, info, debug or trace",
                    Shown(&format_args!("{directive:?}"))
                )),
            }
        }
        if rules.is_empty() {
            rules.push((String::new(), LevelFilter::Error));
        }
        (Self::of(rules), problems)
    }

    fn of(mut rules: Vec<(String, LevelFilter)>) -> Self {
        // Stable: of two rules for one target, the later one is found first.
        rules.reverse();
        rules.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Self::Rules(rules)
    }

    pub(super) fn passes(&self, target: &str, level: Level) -> bool {
        let rules = match self {
            Self::From(least) => return passes_from(*least as usize, target, level),
            Self::Rules(rules) => rules,
        };
        let rule = rules.iter().find(|(beginning, _)| target.starts_with(beginning.as_str()));
        rule.is_some_and(|(_, least)| level <= *least)
    }

    /// The lowest level that any target is written at.
    pub(super) fn lowest(&self) -> LevelFilter {
        match self {
            Self::From(least) => *least,
            Self::Rules(rules) => rules.iter().map(|(_, level)| *level).max().unwrap_or(LevelFilter::Off),
        }
    }
}

/// The lowest level that a `LogIsolationLevel` leaves.
pub(super) const fn least(isolation: u32) -> LevelFilter {
    match isolation {
        0 => LevelFilter::Debug,
        1 => LevelFilter::Info,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Error,
        _ => LevelFilter::Off,
    }
}

/// Whether a line passes if everything is logged from a level on. The coroutines below us have little to say that a user of ours
/// can use.
pub(super) fn passes_from(least: usize, target: &str, level: Level) -> bool {
    // A program's own crate may have a name that begins so.
    let is_of =
        |name| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let below = ["may", "generator"].into_iter().any(is_of);
    level as usize <= if below { least.min(LevelFilter::Warn as usize) } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rust_log: &str) -> Filter {
        let (filter, problems) = Filter::new(4, Some(rust_log));
        assert_eq!(problems, [""; 0], "{rust_log}");
        filter
    }

    #[test]
    fn the_isolation_level_is_that_of_zinx() {
        let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        for (isolation, least) in levels.into_iter().enumerate() {
            let (filter, _) = Filter::new(isolation as u32, Some(" "));
            assert!(filter.passes("game", least) && filter.lowest() == least.to_level_filter());
            assert!(!Level::iter().any(|level| level > least && filter.passes("game", level)));
            assert!(
                !filter.passes("may::scheduler", Level::Info)
                    && filter.passes("may::scheduler", least.min(Level::Warn))
            );
        }
        assert_eq!(Filter::new(4, None).0.lowest(), LevelFilter::Off);
    }

    #[test]
    fn a_program_whose_name_begins_as_that_of_the_coroutines_below_is_logged() {
        let (filter, _) = Filter::new(0, None);
        for (target, passes) in
            [("may", false), ("may::io", false), ("mayor::town", true), ("generators", true)]
        {
            assert_eq!(filter.passes(target, Level::Info), passes, "{target}");
            assert_eq!(passes_from(LevelFilter::Debug as usize, target, Level::Info), passes, "{target}");
        }
    }

    #[test]
    fn directives_are_read_as_env_logger_reads_them() {
        let tutorial = filter("info, zinx::tutorial=trace,may=off,");
        assert_eq!(tutorial.lowest(), LevelFilter::Trace);
        assert!(
            tutorial.passes("zinx::tutorial", Level::Trace) && !tutorial.passes("zinx::znet", Level::Debug)
        );
        assert!(tutorial.passes("game", Level::Info) && !tutorial.passes("may::io", Level::Error));
        let one = filter("zinx");
        assert!(one.passes("zinx::znet", Level::Trace) && !one.passes("game", Level::Error));
        assert!(filter("game=").passes("game::town", Level::Trace), "a target without a level has all");
        assert!(!filter("off").passes("game", Level::Error));
        assert!(filter("warn,INFO").passes("game", Level::Info), "the last one counts");
    }

    #[test]
    fn a_directive_that_cannot_be_read_is_named_and_passed_over() {
        let (filter, problems) = Filter::new(0, Some("game=loud\n,debug"));
        assert!(filter.passes("game", Level::Debug));
        let expected = "RUST_LOG: found \"game=loud\", expected LEVEL or TARGET=LEVEL with off, error, warn, info, debug or trace";
        assert_eq!(problems, [expected]);
        assert_eq!(Filter::new(0, Some("a=b")).0.lowest(), LevelFilter::Error);
    }
}
