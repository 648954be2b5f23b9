//! The link: a connection to Redis that is made again when it breaks, and the commands on their way over it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Cmd, Parser, Value};

use super::address::{Address, Host};
use super::slot::{DOWN, ENDED, Failed, Flight, Slot};
use super::stream::Stream;
use crate::green::{Bell, Builder, Event, Greenlet, TcpStream, Until};
use crate::lock::Lock;

/// A connection to a Redis, made again when it breaks. Commands are never sent twice.
pub(crate) struct Link {
    shared: Arc<Shared>,
    runs: Lock<Option<Greenlet<()>>>,
}

/// What is said at the beginning of each connection, before any other command.
pub(crate) struct Opening {
    pub(crate) commands: Box<dyn Fn() -> Vec<Cmd> + Send + Sync>,
    /// Told when that has been answered, before another command can be sent. It must not use the link.
    pub(crate) opened: Arc<dyn Fn() + Send + Sync>,
}

struct Shared {
    name: &'static str,
    address: Address,
    opening: Opening,
    state: Lock<State>,
    /// Rung if there are commands to send, or none will come.
    work: Bell,
    ending: Event,
}

#[derive(Default)]
struct State {
    /// The connection, once it has been opened.
    stream: Option<Stream>,
    /// Why there is none, if the last try to connect has failed.
    trouble: Option<String>,
    queued: VecDeque<(Vec<u8>, Arc<Slot>)>,
    /// Of those queued.
    bytes: usize,
    /// Sent, in order; the answers come in the same order.
    flying: VecDeque<Arc<Slot>>,
}

impl Link {
    /// Begins to connect, in a coroutine of its own with this name.
    ///
    /// # Errors
    ///
    /// If there is no room for a coroutine.
    pub(crate) fn begin(name: &'static str, address: Address, opening: Opening) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            address,
            opening,
            state: Lock::default(),
            work: Bell::default(),
            ending: Event::new(),
        });
        let theirs = Arc::clone(&shared);
        let runs = Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || theirs.keep_up())?;
        Ok(Self { shared, runs: Lock::new(Some(runs)) })
    }

    /// Sends a command, and waits for its answer within the [limit](LIMIT).
    pub(crate) fn run(&self, command: &Cmd) -> Result<Value, Failed> {
        self.run_within(command, LIMIT)
    }

    /// As [`run`](Self::run), with another limit.
    pub(crate) fn run_within(&self, command: &Cmd, limit: Duration) -> Result<Value, Failed> {
        self.run_if(command, limit, MAX_COMMANDS)
    }

    /// As [`run`](Self::run), also while so many commands wait that others are refused: for what keeps a node in its place.
    pub(crate) fn run_always(&self, command: &Cmd) -> Result<Value, Failed> {
        self.run_if(command, LIMIT, MAX_COMMANDS + RESERVED)
    }

    fn run_if(&self, command: &Cmd, limit: Duration, most: usize) -> Result<Value, Failed> {
        let slots = self.queue(std::slice::from_ref(command), None, most)?;
        slots.first().map_or(Err(Failed::NotSent(DOWN)), |slot| slot.wait(limit))
    }

    /// Sends a command. The answer can be waited for later. Never waits.
    pub(crate) fn begin_run(&self, command: &Cmd) -> Result<Flight, Failed> {
        let slots = self.queue(std::slice::from_ref(command), None, MAX_COMMANDS)?;
        slots.into_iter().next().map(|slot| Flight(slot, LIMIT)).ok_or(Failed::NotSent(DOWN))
    }

    /// Sends several commands in one write; their answers, in order.
    pub(crate) fn run_all(&self, commands: &[Cmd]) -> Vec<Result<Value, Failed>> {
        self.run_all_until(commands, Until::after(LIMIT))
    }

    /// As [`run_all`](Self::run_all), with another limit: for what is asked in several steps.
    pub(crate) fn run_all_until(&self, commands: &[Cmd], until: Until) -> Vec<Result<Value, Failed>> {
        let slots = self.queue(commands, None, MAX_COMMANDS);
        let wait = |slot: &Arc<Slot>| slot.wait(until.left().unwrap_or(LIMIT));
        match slots {
            Ok(slots) => slots.iter().map(wait).collect(),
            Err(failed) => vec![Err(failed); commands.len()],
        }
    }

    /// Sends a command without waiting for its answer. Never waits.
    pub(crate) fn tell(&self, command: &Cmd) -> Result<(), Failed> {
        self.queue(std::slice::from_ref(command), None, MAX_COMMANDS).map(drop)
    }

    /// As [`tell`](Self::tell). Counts it if Redis has not taken it, or has not said so before the connection ended.
    pub(crate) fn tell_or_count(&self, command: &Cmd, failures: &Arc<AtomicUsize>) -> Result<(), Failed> {
        let queued = self.queue(std::slice::from_ref(command), Some(failures), MAX_COMMANDS).map(drop);
        if queued.is_err() {
            failures.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.shared.state.lock().stream.is_some()
    }

    /// Why the last try to connect has failed, while there is no connection.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.state.lock().trouble.clone()
    }

    /// Ends the connection, so that another one is made.
    pub(crate) fn cut(&self) {
        if let Some(stream) = &self.shared.state.lock().stream {
            stream.shutdown();
        }
    }

    /// Ends it, and waits for that. What has no answer yet gets none.
    pub(crate) fn end(&self) {
        self.shared.ending.set();
        self.cut();
        let runs = self.runs.lock().take();
        if let Some(runs) = runs {
            runs.join_timeout(LIMIT * 2);
        }
    }

    /// Queues all of them, or none: at most so many wait then.
    fn queue(
        &self,
        commands: &[Cmd],
        failures: Option<&Arc<AtomicUsize>>,
        most: usize,
    ) -> Result<Vec<Arc<Slot>>, Failed> {
        let packed: Vec<_> = commands.iter().map(Cmd::get_packed_command).collect();
        let bytes: usize = packed.iter().map(Vec::len).sum();
        let mut state = self.shared.state.lock();
        if state.stream.is_none() {
            return Err(Failed::NotSent(DOWN));
        }
        let waiting = state.queued.len() + state.flying.len();
        // One alone may be of any size: a connection that moves to another node, for instance.
        let is_too_much = most == MAX_COMMANDS && state.bytes > 0 && state.bytes + bytes > MAX_BYTES;
        if waiting + packed.len() > most || is_too_much {
            return Err(Failed::NotSent("too many commands wait for Redis"));
        }
        state.bytes += bytes;
        let slots: Vec<_> = packed.iter().map(|_| Arc::new(Slot::new(failures.cloned()))).collect();
        state.queued.extend(packed.into_iter().zip(slots.iter().cloned()));
        drop(state);
        self.shared.work.ring();
        Ok(slots)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ending.set();
        self.cut();
    }
}

impl Shared {
    /// Connects, again and again, until it is asked to end.
    fn keep_up(self: &Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        while !self.ending.is_set() {
            match self.open() {
                Ok((host, stream, parser)) => {
                    pause = FIRST_PAUSE;
                    self.carry(&host, stream, parser);
                }
                Err(why) => {
                    log::warn!("{} to {}: {why}", self.name, self.address);
                    self.state.lock().trouble = Some(why);
                }
            }
            if self.ending.wait_timeout(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects, and says what each connection begins with.
    fn open(&self) -> Result<(Host, Stream, Parser), String> {
        let host = self.address.find()?;
        let socket = Address::connect(&host)?;
        // Data that a Redis does not acknowledge for so long will not be.
        let patience = u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, patience);
        within_limit(&socket.clone(), || {
            let stream = self.address.secure(&host, socket)?;
            let mut parser = Parser::new();
            let said = say(&stream, &mut parser, self.address.greeting())?;
            self.address.check(&said)?;
            say(&stream, &mut parser, &(self.opening.commands)())?;
            Ok((host, stream, parser))
        })
    }

    /// Carries commands and answers until the connection ends.
    fn carry(self: &Arc<Self>, host: &Host, stream: Stream, mut parser: Parser) {
        {
            let mut state = self.state.lock();
            (state.stream, state.trouble) = (Some(stream.clone()), None);
            // Under the lock: who finds the connection there finds it counted.
            (self.opening.opened)();
        }
        let (theirs, to) = (Arc::clone(self), stream.clone());
        let writer = Builder::new().name(self.name).spawn(move || theirs.write(&to));
        let over = Arc::new(Event::new());
        let watch = self.watch(host, &stream, &over);
        if writer.is_ok() && !self.ending.is_set() {
            while let Ok(value) = parser.parse_value(&stream) {
                let Some(slot) = self.state.lock().flying.pop_front() else { break };
                slot.set(value);
            }
        }
        self.close(&stream);
        over.set();
        writer.into_iter().chain(watch).for_each(|coroutine| coroutine.join());
        if !self.ending.is_set() {
            log::warn!("{} to {}: the connection has ended", self.name, self.address);
        }
    }

    /// Leaves a Redis that is no longer the master: it may not know that yet, and what it is told is lost.
    fn watch(self: &Arc<Self>, host: &Host, stream: &Stream, over: &Arc<Event>) -> Option<Greenlet<()>> {
        if !self.address.has_sentinels() {
            return None;
        }
        let (this, host, stream, over) = (Arc::clone(self), host.clone(), stream.clone(), Arc::clone(over));
        let watch = move || {
            while !over.wait_timeout(LOOK) {
                match this.address.find() {
                    Ok(master) if master != host => {
                        log::warn!(
                            "{} to {}: the master is {}:{} now",
                            this.name,
                            this.address,
                            master.0,
                            master.1
                        );
                        return stream.shutdown();
                    }
                    // If no sentinel answers, there is no election either.
                    _ => {}
                }
            }
        };
        Builder::new().name("redis master").spawn(watch).ok()
    }

    /// Sends what is queued, all of it in one write.
    fn write(&self, mut stream: &Stream) {
        let mut all = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                if state.stream.is_none() {
                    return;
                }
                let queued = std::mem::take(&mut state.queued);
                state.bytes = 0;
                for (bytes, slot) in queued {
                    if slot.begin() {
                        all.extend_from_slice(&bytes);
                        state.flying.push_back(slot);
                    }
                }
            }
            if all.is_empty() {
                self.work.wait(Until::never());
                continue;
            }
            if stream.write_all(&all).is_err() {
                stream.shutdown();
            }
            all.clear();
            all.shrink_to(KEPT_BYTES);
        }
    }

    /// Ends a connection: what is on its way has no answer.
    fn close(&self, stream: &Stream) {
        stream.shutdown();
        let mut state = self.state.lock();
        state.stream = None;
        state.bytes = 0;
        let (flying, queued) = (std::mem::take(&mut state.flying), std::mem::take(&mut state.queued));
        drop(state);
        let lost = flying.into_iter().chain(queued.into_iter().map(|(_, slot)| slot));
        lost.for_each(|slot| slot.fail(ENDED));
        self.work.ring();
    }
}

/// Runs `body`, and ends the socket that it reads and writes when the time is up: reading has no limit of its own.
pub(super) fn within_limit<T>(
    socket: &TcpStream,
    body: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let (theirs, done) = (socket.clone(), Arc::new(Event::new()));
    let watched = Arc::clone(&done);
    let watch = move || {
        if !watched.wait_timeout(LIMIT) {
            theirs.shutdown();
        }
    };
    let watch = Builder::new().name("redis opening").spawn(watch).map_err(|error| error.to_string())?;
    let outcome = body();
    done.set();
    watch.join();
    outcome
}

/// Says commands, and returns the answers. A refusal is an error.
pub(super) fn say(mut stream: &Stream, parser: &mut Parser, commands: &[Cmd]) -> Result<Vec<Value>, String> {
    let all: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
    stream.write_all(&all).map_err(|error| error.to_string())?;
    let answer = |_| match parser.parse_value(stream) {
        Ok(Value::ServerError(error)) => {
            Err(format!("{} {}", error.code(), error.details().unwrap_or_default()))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(error.to_string()),
    };
    commands.iter().map(answer).collect()
}

/// How long a command may take, and connecting.
pub(super) const LIMIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the sentinels are asked, if there are any, whether the master is still the same.
const LOOK: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Commands that wait to be sent or for their answers, at most; what is kept free for those that may always be sent; and bytes of those
/// that wait to be sent.
pub(super) const MAX_COMMANDS: usize = 16_384;
const RESERVED: usize = 64;
pub(super) const MAX_BYTES: usize = 8 << 20;
const KEPT_BYTES: usize = 64 << 10;
/// The parser of the `redis` crate needs 90 KB without optimisation, more than the stacks of a program that is built so without
/// debug assertions.
pub(super) const STACK_BYTES: usize = 256 << 10;
