//! What others ask of the coroutine that reads a connection: bits that they set before they interrupt its wait.

use std::sync::atomic::Ordering;

use super::connection::Connection;

impl Connection {
    /// Asks the reader to run the idle hook.
    pub(crate) fn ask_idle(&self) {
        self.ask(IDLE);
    }

    /// Takes a request to run the idle hook.
    pub(crate) fn take_idle(&self) -> bool {
        self.take(IDLE)
    }

    /// Asks the reader what is to become of a peer that is not alive.
    pub(crate) fn ask_not_alive(&self) {
        self.ask(NOT_ALIVE);
    }

    /// Takes that question.
    pub(crate) fn take_not_alive(&self) -> bool {
        self.take(NOT_ALIVE)
    }

    /// Asks the reader to handle what others have queued.
    pub(crate) fn ask_tasks(&self) {
        self.ask(TASKS);
    }

    /// Whether others have queued something.
    pub(crate) fn has_tasks(&self) -> bool {
        self.asked.load(Ordering::Acquire) & TASKS != 0
    }

    /// Whether a hook is asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) & (IDLE | NOT_ALIVE) != 0
    }

    /// Notes that the stop cuts it off. `false` if that is noted already.
    pub(crate) fn note_cut_off(&self) -> bool {
        self.asked.fetch_or(CUT_OFF, Ordering::AcqRel) & CUT_OFF == 0
    }

    /// Takes a request to handle what others have queued.
    pub(crate) fn take_tasks(&self) -> bool {
        self.take(TASKS)
    }

    fn take(&self, what: u8) -> bool {
        self.asked.load(Ordering::Acquire) & what != 0
            && self.asked.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    pub(crate) fn ask(&self, what: u8) {
        if self.asked.fetch_or(what, Ordering::AcqRel) & what == 0 {
            self.line().interrupt();
            self.wake_away();
        }
    }
}

pub(crate) const STOP: u8 = 1;
pub(crate) const ABORT: u8 = 2;
const IDLE: u8 = 4;
const NOT_ALIVE: u8 = 8;
const TASKS: u8 = 16;
const CUT_OFF: u8 = 32;
