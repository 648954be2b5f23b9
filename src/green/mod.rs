//! Green threads: sequential code that runs concurrently, on the stackful coroutines of [`may`].
//!
//! The names are gevent's and bluelet's. Everything here works from a coroutine and from a plain thread alike, and the
//! two can wait for each other. Nothing here knows of messages or servers.
//!
//! ```
//! use std::time::Duration;
//! use zinx::green;
//!
//! let greenlets: Vec<_> = (1..=3).map(|n| green::spawn(move || {
//!     green::sleep(Duration::from_millis(n));
//!     n
//! })).collect();
//! let sum: u64 = greenlets.into_iter().map(|greenlet| greenlet.get().unwrap()).sum();
//! assert_eq!(sum, 6);
//! ```
//!
//! It is the only module that names `may`, and keeps its rules so that others need not know them: one set-up a process
//! ([`Runtime`]), a count of stacks that refuses before the machine does ([`max_coroutines`]), fairness on a time
//! budget in every primitive ([`fairness_point`]), deadlines that never run code of ours on a timer thread.

mod runtime;
pub use runtime::Runtime;

mod lean;
mod limits;
pub use limits::{live_coroutines, max_coroutines, raise_open_files};

mod start;

mod greenlet;
pub use greenlet::{Builder, Greenlet, run, spawn, spawn_later};

mod spawn_here;
pub use spawn_here::spawn_here;

mod coroutine;
pub use coroutine::{Coroutine, Exit, current};

mod dump;
pub use dump::{coroutines, dump};

mod watchdog;
pub use watchdog::stalls;

mod failed;
pub use failed::{Failed, Panicked};

mod into_error;

mod joinall;
pub use joinall::{IWait, iwait, joinall, joinall_timeout, killall, wait_any, wait_any_timeout};

mod group;
pub use group::Group;

mod pool;
pub use pool::Pool;

mod imap;
pub use imap::{IMap, IMapUnordered};

mod local;
pub use local::Local;

mod slots;

mod stack;
pub(crate) use stack::StackMark;

mod stack_note;

mod overflow;

// Waiting, and who runs meanwhile.

mod until;
pub(crate) use until::Until;

mod park;
pub(crate) use park::WaitList;

mod select;
pub use select::{Select, Waitable, Watch};
mod awaits;
pub(crate) use awaits::Awaits;

mod interrupt;
pub(crate) use interrupt::is_unwinding;

mod cut;
pub(crate) use cut::cuttable;

mod contain;
pub(crate) use contain::{Contained, contain, drop_contained, drop_each};

mod with_timeout;
pub use with_timeout::{Elapsed, with_timeout};

mod fair;
pub(crate) use fair::Turn;
pub use fair::{fair_yields, fairness_point, yield_now};

mod home;
pub(crate) use home::next as next_home;
mod poller;

mod worker;
pub(crate) use worker::{Deferred, defer, deferred_calls, home_index};

mod buffers;
pub(crate) use buffers::{READ_BUFFER_BYTES, ReadBuffer, SendBuffer, small_read_buffer_bytes};

mod memory;
pub(crate) use memory::give_memory_back;

mod timer;
pub(crate) use timer::{Alarm, alarm, stood_still};

mod sleep;
pub use sleep::sleep;

// What coroutines share.

mod event;
pub use event::Event;

mod async_result;
pub use async_result::AsyncResult;

mod semaphore;
pub use semaphore::{BoundedSemaphore, Permit, Semaphore, TooManyPermits};

mod rlock;
pub use rlock::{RLock, RLockGuard};

mod channel;
pub use channel::Channel;

mod queue;
pub use queue::{BaseQueue, GetError, JoinableQueue, LifoQueue, PriorityQueue, PutError, Queue};

pub mod generator;

pub mod bluelet;

// The world outside.

mod socket;
pub(crate) use socket::{Readiness, Socket};

mod descriptor;

mod resolve;
pub use resolve::resolve;

mod net;
pub use net::{Backoff, TcpListener, TcpStream};

mod gate;
pub(crate) use gate::{Gate, Newcomer};

mod stream_server;
pub use stream_server::StreamServer;

mod connect;
pub(crate) use connect::Connector;

mod blocking;
pub use blocking::blocking;

mod thread;
pub(crate) use thread::Thread;

mod signal;
pub use signal::{Terminate, on_terminate};
