//! A command that is on its way, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use redis::Value;

use crate::green::AsyncResult;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The command was not sent, and has no effect.
    NotSent(&'static str),
    /// It was sent. Whether it has an effect is not known.
    Unknown(&'static str),
    /// Redis has refused it, with these words.
    Refused(String),
}

impl Failed {
    /// No answer has come in time, over a connection that may be there still.
    pub(crate) fn was_slow(&self) -> bool {
        matches!(self, Self::NotSent(SLOW) | Self::Unknown(SLOW))
    }

    /// There was no connection, or it has ended: by now there may be another one, with which nothing is wrong.
    pub(crate) fn has_lost_connection(&self) -> bool {
        matches!(self, Self::NotSent(DOWN | ENDED) | Self::Unknown(ENDED))
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) | Self::Unknown(why) => f.write_str(why),
            Self::Refused(words) => write!(f, "Redis says: {words}"),
        }
    }
}

/// Where the answer to a command comes.
pub(super) struct Slot {
    state: AtomicU8,
    answer: AsyncResult<Value, Failed>,
    /// Counts it if there is no answer, or a refusal: for those that nobody waits for.
    failures: Option<Arc<AtomicUsize>>,
}

impl Slot {
    pub(super) const fn new(failures: Option<Arc<AtomicUsize>>) -> Self {
        Self { state: AtomicU8::new(QUEUED), answer: AsyncResult::new(), failures }
    }

    /// Before the command is sent. `false` if its caller has given up: then it must not be.
    pub(super) fn begin(&self) -> bool {
        self.change(SENT)
    }

    /// What Redis has said.
    pub(super) fn set(&self, value: Value) {
        self.answer.set_result(match value {
            Value::ServerError(error) => {
                self.count();
                Err(Failed::Refused(format!("{} {}", error.code(), error.details().unwrap_or_default())))
            }
            value => Ok(value),
        });
    }

    /// There will be no answer.
    pub(super) fn fail(&self, why: &'static str) {
        self.count();
        let was_sent = self.state.load(Ordering::Acquire) == SENT;
        self.answer.set_exception(if was_sent { Failed::Unknown(why) } else { Failed::NotSent(why) });
    }

    /// Waits for the answer, at most for so long.
    pub(super) fn wait(&self, limit: Duration) -> Result<Value, Failed> {
        if let Some(answer) = self.answer.get_timeout(limit) {
            return answer;
        }
        if self.change(GIVEN_UP) {
            return Err(Failed::NotSent(SLOW));
        }
        Err(Failed::Unknown(SLOW))
    }

    fn count(&self) {
        if let Some(failures) = &self.failures {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn change(&self, to: u8) -> bool {
        self.state.compare_exchange(QUEUED, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A command that is on its way, and how long to wait for its answer at most.
pub(crate) struct Flight(pub(super) Arc<Slot>, pub(super) Duration);

impl Flight {
    /// Waits for the answer. If there is none in time, the command is still sent: what was queued behind it may rely on that.
    pub(crate) fn wait(&self) -> Result<Value, Failed> {
        self.0.answer.get_timeout(self.1).unwrap_or(Err(Failed::Unknown(SLOW)))
    }
}

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;
pub(super) const DOWN: &str = "Redis cannot be reached";
pub(super) const ENDED: &str = "the connection to Redis has ended";
const SLOW: &str = "Redis has not answered in time";
