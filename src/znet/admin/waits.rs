//! Where the code of a connection waits: for what, since when, and in which handler.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::green::Coroutine;
use crate::rounded::Rounded;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::{Code, Purpose};
use crate::znet::server::core::Core;

/// The coroutines of a server, to be found by connection.
pub(super) struct Coroutines {
    own: HashMap<u64, Coroutine>,
    of_workers: HashMap<u64, Coroutine>,
}

/// Where the code of a connection waits.
#[derive(Serialize)]
pub(super) struct Wait {
    /// What for: `call 7`, `sleeps`, `waits for a lock`.
    pub(super) what: String,
    /// Since when.
    pub(super) ms: u64,
    /// Whose code waits: `the handler of message 3`. `None` if no code of the program runs.
    #[serde(rename = "in")]
    pub(super) code: Option<String>,
}

impl Coroutines {
    pub(super) fn of(core: &Core) -> Self {
        let own = core.group().coroutines();
        let own = own.into_iter().filter_map(|one| Some((one.number_of("connection")?, one)));
        let workers = core.handler().workers().group().coroutines();
        Self { own: own.collect(), of_workers: workers.into_iter().map(|one| (one.id(), one)).collect() }
    }

    /// Where the code of a connection waits.
    pub(super) fn wait(&self, conn: &Connection) -> Wait {
        let (code, coroutine) = conn
            .notes()
            .position()
            .map_or((Code::None, None), |position| (position.code(), position.coroutine()));
        let runs = match coroutine {
            Some(id) => self.of_workers.get(&id),
            None => self.own.get(&conn.id()),
        };
        let Some(runs) = runs else { return Wait { what: "has ended".to_string(), ms: 0, code: None } };
        let (activity, ms) =
            (runs.activity(), u64::try_from(runs.doing_for().as_millis()).unwrap_or(u64::MAX));
        if code == Code::None {
            let what = match conn.tasks().worker().filter(|_| conn.tasks().are_pending()) {
                Some(worker) => format!("waits for worker {}", worker.id()),
                None if activity == AT_REST => "waits for its peer".to_string(),
                None => activity.to_string(),
            };
            return Wait { what, ms, code: None };
        }
        let what =
            Purpose::of(runs.purpose()).map_or_else(|| activity.to_string(), |purpose| purpose.to_string());
        Wait { what, ms, code: Some(code.to_string()) }
    }
}

/// `call 7, 1.2 s, in the handler of message 3`
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.what, Rounded(std::time::Duration::from_millis(self.ms)))?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, ", in {code}"))
    }
}

/// What the coroutine of a connection does that has nothing to do.
const AT_REST: &str = "waits for a socket";
