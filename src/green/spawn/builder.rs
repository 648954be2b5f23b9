//! Settings of a coroutine, and its start.

use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::coroutine::{Coroutine, Exit};
use super::failed::Failed;
use super::greenlet::Greenlet;
use super::links::Outcome;
use super::record::{Kind, Name, Record};
use crate::green::net::socket::Socket;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::home::next as next_home;
use crate::green::runtime::start::{Begun, Where, start};
use crate::green::runtime::{settings, worker};
use crate::log_line::{Throttle, throttled};

/// Settings of a coroutine to be spawned.
#[derive(Debug, Default)]
pub struct Builder {
    name: Name,
    stack_bytes: Option<usize>,
    place: Where,
    kind: Kind,
}

impl Builder {
    /// A coroutine with the runtime's stack size and no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the coroutine, for the log and for [`Coroutine::name`].
    #[must_use]
    #[doc(alias("add_spawn_callback", "spawn_tree_locals"))]
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Name::Text(name.into());
        self
    }

    /// Names the coroutine "`what` `number`", in no memory of its own.
    #[must_use]
    pub(crate) fn numbered(mut self, what: &'static &'static str, number: u64) -> Self {
        self.name = Name::Numbered(what, number);
        self
    }

    /// Gives it a stack of its own size, in bytes. Default: the runtime's, whose stacks are pooled.
    #[must_use]
    pub const fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Keeps it from being killed: its owner ends it by closing what it waits on, and cleans up after it.
    #[must_use]
    pub(crate) const fn shielded(mut self) -> Self {
        self.kind = Kind::Shielded;
        self
    }

    /// Spawns it on the worker where the socket is waited for already, unless that is held.
    #[must_use]
    pub(crate) fn near(mut self, socket: &Socket) -> Self {
        self.place = socket.home().map_or(Where::Anywhere, Where::Near);
        self
    }

    /// Spawns it on a given worker, unless that is held.
    #[must_use]
    pub(crate) const fn on(mut self, home: usize) -> Self {
        self.place = Where::Near(home);
        self
    }

    /// Spawns it on the worker of the caller, if that is a green thread: for two that take turns.
    #[must_use]
    pub(super) fn here(mut self) -> Self {
        self.place = worker::home_index().map_or(Where::Anywhere, Where::At);
        self
    }

    /// The poller of a worker.
    pub(in crate::green) const fn poller(home: usize) -> Self {
        let name = Name::Text(Cow::Borrowed("poller"));
        Self { name, stack_bytes: None, place: Where::At(home), kind: Kind::Poller }
    }

    /// A carrier of a worker.
    pub(in crate::green) const fn carrier(home: usize) -> Self {
        let name = Name::Text(Cow::Borrowed("carrier"));
        Self { name, stack_bytes: None, place: Where::At(home), kind: Kind::Carrier }
    }

    /// The record of one that has no stack of its own, settled where it begins.
    pub(in crate::green) fn carried(self) -> Arc<Record> {
        let record = Record::new(self.name, Kind::Carried);
        record.make_known();
        record.settle(match self.place {
            Where::Anywhere => next_home(),
            Where::Near(home) | Where::At(home) => home,
        });
        record
    }

    /// Spawns the coroutine. See [`spawn`](crate::green::spawn()) for the contract.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] if as many coroutines are alive as the machine has room for
    /// ([`max_coroutines`](crate::green::max_coroutines)), with what to set, or if it has no memory for the stack.
    pub fn spawn<F, T>(self, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_holding((), body)
    }

    /// As [`spawn`](Self::spawn). `held`, something of ours, is dropped in the moment in which its end becomes known.
    pub(in crate::green) fn spawn_holding<F, T>(
        self,
        held: impl Send + 'static,
        body: F,
    ) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let record = self.record();
        self.spawn_as(record, held, body)
    }

    /// As [`spawn`](Self::spawn), begun after `delay`: see [`spawn_later`](crate::green::spawn_later).
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn start_later<F, T>(self, delay: Duration, body: F) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(move || {
            crate::green::sleep(delay);
            body()
        })
    }

    /// As [`spawn_holding`](Self::spawn_holding), with a record that others know already.
    pub(super) fn spawn_as<F, T>(
        self,
        record: Arc<Record>,
        held: impl Send + 'static,
        body: F,
    ) -> io::Result<Greenlet<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        settings::ensure_started().map_err(io::Error::other)?;
        let result = Arc::new(Outcome::new());
        let (theirs, coroutine) = (Arc::clone(&result), Coroutine::new(Arc::clone(&record)));
        self.launch(record, held, body, move |outcome| theirs.keep(outcome))?;
        Ok(Greenlet::new(coroutine, result))
    }

    /// Spawns a coroutine whose end its owner learns in another way. A panic is logged.
    pub(crate) fn detach(self, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let record = self.record();
        self.detach_as(record, (), body)
    }

    /// As [`detach`](Self::detach), with a record that others know already, and what it holds: see `spawn_as`.
    pub(super) fn detach_as(
        self,
        record: Arc<Record>,
        held: impl Send + 'static,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let theirs = Arc::clone(&record);
        self.launch(record, held, body, move |outcome| {
            if let Err(Failed::Panicked(panicked)) = outcome {
                static LOG: Throttle = Throttle::new();
                throttled!(error, LOG, "coroutine {:?} panicked: {panicked}", theirs.name());
            }
        })
    }

    /// What is known of the coroutine before it exists.
    pub(super) fn record(&self) -> Arc<Record> {
        Record::new(self.name.clone(), self.kind)
    }

    fn launch<F, T>(
        self,
        record: Arc<Record>,
        held: impl Send + 'static,
        body: F,
        keep: impl FnOnce(Result<T, Failed>) + Send + 'static,
    ) -> io::Result<()>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        record.make_known();
        let stack_bytes = self.stack_bytes.unwrap_or_else(settings::default_stack_bytes);
        let body = move |begun: Begun| {
            record.note_stack(stack_bytes);
            record.settle(begun.home);
            record.begin();
            drop(begun.arrival);
            let outcome = run_body(&record, body);
            let exit = exit_of(&outcome);
            record.keep(|| keep(outcome));
            record.finish(exit, held);
            drop(worker::leave(Awaits::Never));
        };
        start(self.place, self.stack_bytes, body)
    }
}

/// Runs a coroutine's body, unless it was killed before it began.
fn run_body<T>(record: &Record, body: impl FnOnce() -> T) -> Result<T, Failed> {
    let killed = record.interrupts().is_killed();
    let outcome = catch_unwind(AssertUnwindSafe(move || if killed { None } else { Some(body()) }));
    outcome.map_err(Failed::from_payload)?.ok_or(Failed::Killed)
}

pub(super) const fn exit_of<T>(outcome: &Result<T, Failed>) -> Exit {
    match outcome {
        Ok(_) => Exit::Returned,
        Err(Failed::Panicked(_)) => Exit::Panicked,
        Err(Failed::Killed) => Exit::Killed,
    }
}
