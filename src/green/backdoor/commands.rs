//! What can be typed, and what is answered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::session::Stats;
use crate::green::{Coroutine, contain, coroutines, fair_yields, live_coroutines, max_coroutines, stalls};
use crate::log_line::Shown;

pub(super) enum Answer {
    Text(String),
    /// What this one does from now on.
    Trace(Coroutine),
    Quit,
}

/// Carries out a command. All that comes from elsewhere, names and the line itself, is escaped and cut.
pub(super) fn answer(line: &str, stats: Option<&Stats>) -> Answer {
    let (command, what) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let what = what.trim();
    Answer::Text(match command {
        "" => String::new(),
        "help" | "?" => HELP.to_string(),
        "ls" => list(what),
        "dump" => dump(what),
        "stats" => count(stats),
        "kill" => with_one(what, kill),
        "trace" => match find(what) {
            Ok(coroutine) => return Answer::Trace(coroutine),
            Err(words) => words,
        },
        "quit" | "exit" => return Answer::Quit,
        _ => format!("no command \"{}\": type help\n", Shown(&command)),
    })
}

/// How many coroutines of each name do what.
fn list(word: &str) -> String {
    let mut groups = BTreeMap::<_, usize>::new();
    for coroutine in chosen(word) {
        let name = shown(&coroutine);
        let kind = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let kind = if kind.len() < name.len() { format!("{kind}N") } else { name.clone() };
        *groups.entry((kind, coroutine.activity())).or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line = |((name, activity), count)| format!("{count:7}  \"{name}\" {activity}");
    lines(&groups.into_iter().map(line).collect::<Vec<_>>())
}

/// A line for each coroutine.
fn dump(word: &str) -> String {
    lines(&chosen(word).iter().map(of).collect::<Vec<_>>())
}

fn count(stats: Option<&Stats>) -> String {
    let mut activities = BTreeMap::<_, usize>::new();
    coroutines().iter().for_each(|coroutine| *activities.entry(coroutine.activity()).or_default() += 1);
    let mut text = format!(
        "coroutines {}, at most {}\nfair yields {}\nstalls {}\n",
        live_coroutines(),
        max_coroutines(),
        fair_yields(),
        stalls()
    );
    for (activity, count) in activities {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{activity} {count}");
    }
    if let Some(stats) = stats {
        let told = contain(stats).unwrap_or_else(|words| format!("the program's stats panicked: {words}"));
        let told: Vec<_> = told.lines().map(|line| Shown(&line).to_string()).collect();
        text += &lines(&told);
    }
    text
}

fn kill(coroutine: &Coroutine) -> String {
    let what = of(coroutine);
    if !coroutine.may_be_killed() {
        return format!(
            "{what}: it is not killed, its owner ends it: close its connection, or stop its server\n"
        );
    }
    log::warn!("killed at the backdoor: {what}");
    if coroutine.kill_with_timeout("killed at the backdoor", KILL) {
        format!("{what}: killed\n")
    } else {
        format!("{what}: asked to end, which it has not within {KILL:?}: it {}\n", coroutine.activity())
    }
}

fn with_one(what: &str, act: impl FnOnce(&Coroutine) -> String) -> String {
    find(what).map_or_else(|words| words, |coroutine| act(&coroutine))
}

/// The one coroutine of this number or name. A name may be typed as it is printed.
fn find(what: &str) -> Result<Coroutine, String> {
    let what = what.trim_matches('"');
    if what.is_empty() {
        return Err("which one? a name or a number, as ls and dump print them\n".to_string());
    }
    let number = what.parse::<u64>().ok();
    let is_it = |coroutine: &Coroutine| number == Some(coroutine.id()) || shown(coroutine) == what;
    let mut found: Vec<_> = coroutines().into_iter().filter(is_it).collect();
    match found.len() {
        0 => Err(format!("no coroutine is called \"{}\"\n", Shown(&what))),
        1 => Ok(found.remove(0)),
        count => {
            let numbers: Vec<_> = found.iter().take(SOME).map(|one| one.id().to_string()).collect();
            let more = if count > SOME { " .." } else { "" };
            Err(format!("{count} are called so, take a number: {}{more}\n", numbers.join(" ")))
        }
    }
}

/// Those whose name contains a word; all if there is none.
fn chosen(word: &str) -> Vec<Coroutine> {
    let mut all = coroutines();
    all.retain(|coroutine| word.is_empty() || shown(coroutine).contains(word));
    all
}

fn of(coroutine: &Coroutine) -> String {
    format!("{} \"{}\" {}", coroutine.id(), shown(coroutine), coroutine.activity())
}

/// The name, for a terminal: a peer may have chosen it.
fn shown(coroutine: &Coroutine) -> String {
    Shown(&coroutine.name()).to_string()
}

/// As many of them as a person reads.
fn lines(all: &[String]) -> String {
    let some = &all[..all.len().min(MAX_LINES)];
    let mut text: String = some.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    if some.len() < all.len() {
        let left = all.len() - some.len();
        let _ = writeln!(text, "and {left} more: add a word that their names contain");
    }
    text
}

const HELP: &str = "\
ls [WORD]     how many coroutines do what, by name; with a word: those whose name contains it
dump [WORD]   a line for each: number, name, what it waits for
trace NAME    what it does from now on, until it ends or you press Enter; NAME may be a number
kill NAME     ends it at its next wait, or where it waits now
stats         counters
quit
";

const MAX_LINES: usize = 1000;

/// How long a coroutine that is killed is waited for.
const KILL: Duration = Duration::from_secs(1);

/// Numbers of those that share a name.
const SOME: usize = 20;
