//! What the library logs, kept for tests.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the warnings and errors of this test file from now on.
pub(crate) fn keep() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        log::set_logger(&Keeper).unwrap();
        log::set_max_level(LevelFilter::Warn);
    });
}

/// The lines with this in them, each with its level in front.
pub(crate) fn with(what: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(what)).cloned().collect()
}

struct Keeper;

impl Log for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Before the lock: what is logged may panic.
        let line = format!("{} {}", record.level(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}
