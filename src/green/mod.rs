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
//! | to | use |
//! |---|---|
//! | start a coroutine and wait for its result | [`spawn`], [`Greenlet`]; with a name, a stack size or an error: [`Builder`]; on the caller's worker: [`spawn_here`]; later: [`spawn_later`]; from `main`: [`run`]; how it failed: [`Failed`] |
//! | run many, and wait for all of them or for the first | [`Group`], [`Pool`], [`scope`], [`joinall`], [`joinall_timeout`], [`wait_any`], [`wait_any_timeout`], [`iwait`], [`iwait_any`] |
//! | make values one after the other | [`generator`] |
//! | wait for some time | [`sleep`], [`yield_now`] |
//! | limit the time of any code | [`with_timeout`], [`Timeout`]; [`Elapsed`] |
//! | hand values over | [`Queue`], [`Channel`], [`PriorityQueue`], [`LifoQueue`], [`JoinableQueue`], [`SimpleQueue`], [`AsyncResult`] |
//! | wait for one of several things | [`Select`], [`wait`], [`wait_timeout`] |
//! | wait for others, or take turns | [`Event`], [`Condition`], [`Barrier`], [`Semaphore`], [`BoundedSemaphore`], [`DummySemaphore`], [`RLock`] |
//! | keep a value per coroutine | [`Local`] |
//! | call code that blocks its thread | [`blocking`], [`ThreadPool`] |
//! | compute for long without holding up others | [`fairness_point`]; how often it has yielded: [`fair_yields`] |
//! | connect and serve | [`TcpStream`], [`TcpListener`], [`StreamServer`], [`UdpSocket`], [`DatagramServer`], [`UnixStream`], [`UnixListener`], [`UnixDatagram`], [`socketpair`], [`resolve`] |
//! | wait for descriptors of other libraries | [`wait_read`], [`wait_read_timeout`], [`wait_write`], [`wait_write_timeout`], [`Poll`], [`select`], [`select_timeout`] |
//! | run programs | [`subprocess`] |
//! | end a coroutine | [`Greenlet::kill`], [`killall`], [`killall_timeout`] |
//! | catch signals | [`on_terminate`], [`signal`] |
//! | see what runs and waits | [`dump`], [`coroutines`], [`current`], [`live_coroutines`], [`stalls`], [`BackdoorServer`] |
//! | set up the threads and stacks, and know the machine's limits | [`Runtime`], [`max_coroutines`], [`raise_open_files`] |
//! | write as with bluelet | [`bluelet`] |
//!
//! A search for a name of gevent or bluelet finds ours.
//!
//! A plain thread that waits although nothing in the program could ever wake it panics, and says what all coroutines wait
//! for: gevent's `LoopExit`, in `docs/gevent.md`.
//!
//! It is the only module that names `may`, and keeps its rules so that others need not know them: one set-up per process
//! ([`Runtime`]), a count of stacks that refuses before the machine does ([`max_coroutines`]), fairness on a time
//! budget in all that may wait ([`fairness_point`]), deadlines that never run code of the program on a timer thread.

// The path of a coroutine: where it runs, how it is started and ended, what it waits for, how it reaches the network.

mod runtime;
pub(crate) use net::inherited::passed_addresses;
pub(crate) use runtime::awaits::Awaits;
#[cfg(feature = "admin")]
pub(crate) use runtime::awaits::time_waits;
pub(crate) use runtime::bell::Bell;
pub use runtime::blocking::blocking;
pub(crate) use runtime::buffers::{READ_BUFFER_BYTES, ReadBuffer, SendBuffer, small_read_buffer_bytes};
pub(crate) use runtime::burst::give_memory_back;
pub(crate) use runtime::fair::{Turn, after_call};
pub use runtime::fair::{fair_yields, fairness_point, yield_now};
#[cfg(feature = "admin")]
pub(crate) use runtime::figures::stolen_rides;
pub(crate) use runtime::home::next as next_home;
pub use runtime::limits::{live_coroutines, max_coroutines, raise_open_files};
pub(crate) use runtime::park::WaitList;
pub(crate) use runtime::ride::{Halt, Passenger};
pub use runtime::settings::Runtime;
pub(crate) use runtime::signal::{HANGUP, on_terminate_or_hangup};
pub use runtime::signal::{Terminate, on_terminate};
pub use runtime::signal_handler::{SignalHandler, signal};
pub(crate) use runtime::stack::StackMark;
pub(crate) use runtime::thread::Thread;
pub(crate) use runtime::timer::{Alarm, alarm, stood_still};
pub(crate) use runtime::until::Until;
pub(crate) use runtime::watchdog::Pulse;
pub use runtime::watchdog::stalls;
#[cfg(feature = "admin")]
pub(crate) use runtime::watchdog::worker_figures;
pub(crate) use runtime::worker::{Deferred, defer, deferred_calls, home_index, take_back, turns_here};

mod spawn;
pub use spawn::builder::Builder;
pub(crate) use spawn::contain::{Contained, contain, drop_contained, drop_each};
pub use spawn::coroutine::{Coroutine, Exit, current};
pub(crate) use spawn::cut::cuttable;
pub(crate) use spawn::dump::{Lists, list_also};
pub use spawn::dump::{coroutines, dump};
pub use spawn::failed::{Failed, Panicked};
pub use spawn::generator;
pub use spawn::greenlet::{Greenlet, run, spawn, spawn_later};
pub use spawn::group::Group;
pub use spawn::imap::{IMap, IMapUnordered};
pub(crate) use spawn::interrupt::{Me, is_unwinding};
pub use spawn::joinall::{
    IWait, iwait, joinall, joinall_timeout, killall, killall_timeout, wait_any, wait_any_timeout,
};
pub use spawn::links::Link;
pub use spawn::local::Local;
pub use spawn::members::MemberFailed;
pub use spawn::pool::Pool;
pub(crate) use spawn::purpose::with_purpose;
pub use spawn::scope::{Scope, ScopeError, scope};
pub use spawn::spawn_here::spawn_here;
pub use spawn::thread_pool::ThreadPool;
pub use spawn::timeout::Timeout;
pub use spawn::with_timeout::{Elapsed, with_timeout};

mod sync;
pub use sync::async_result::AsyncResult;
pub use sync::barrier::{Barrier, BrokenBarrier};
pub use sync::channel::Channel;
pub use sync::condition::{Condition, ConditionGuard};
pub use sync::dummy_semaphore::DummySemaphore;
pub use sync::event::Event;
pub use sync::queue::{
    BaseQueue, GetError, JoinableQueue, LifoQueue, PriorityQueue, PutError, Queue, QueueIter, SimpleQueue,
};
pub use sync::rlock::{RLock, RLockGuard};
pub use sync::select::{Select, Waitable, Watch};
pub use sync::semaphore::{BoundedSemaphore, Permit, Semaphore, TooManyPermits};
pub use sync::sleep::sleep;
pub use sync::wait::{IWaitAny, iwait_any, wait, wait_timeout};

mod net;
pub(crate) use net::connect::Connector;
pub use net::datagram::{Datagrams, UdpSocket, UnixDatagram};
pub use net::datagram_server::DatagramServer;
pub(crate) use net::gate::{Gate, Newcomer};
pub use net::listener::{Backoff, TcpListener};
pub use net::poll::{
    Events, Poll, select, select_timeout, wait_read, wait_read_timeout, wait_write, wait_write_timeout,
};
pub(crate) use net::readiness::Readiness;
pub use net::resolve::resolve;
#[cfg(feature = "admin")]
pub(crate) use net::round_trips::RoundTrips;
pub(crate) use net::socket::Socket;
pub use net::stream::TcpStream;
pub use net::stream_server::StreamServer;
pub use net::streams::Streams;
pub use net::unix::{UnixListener, UnixStream, socketpair};

mod backdoor;
pub use backdoor::BackdoorServer;

pub mod bluelet;

pub mod subprocess;

mod into_error;
