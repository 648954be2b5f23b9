//! The names of bluelet, the Python module for servers written as plain loops: for those who port from it.
//!
//! Where bluelet says `yield x`, here is a plain call of `x`, and `yield end(value)` is a `return`. What differs for
//! the better: errors are `io::Result`, never swallowed; a handler that fails ends nothing else; a line has a longest
//! length; the coroutines run on all cores.
//!
//! ```
//! use std::io;
//! use zinx::green::bluelet::{self, Connection, Listener};
//!
//! fn echoer(mut conn: Connection) -> io::Result<()> {
//!     loop {
//!         let data = conn.recv(1024)?;
//!         if data.is_empty() {
//!             return Ok(());
//!         }
//!         conn.sendall(&data)?;
//!     }
//! }
//!
//! let echoed = bluelet::run(|| {
//!     let listener = Listener::new("127.0.0.1", 0)?;
//!     let port = listener.local_addr().port();
//!     bluelet::spawn(move || listener.accept().and_then(echoer));
//!     let mut conn = bluelet::connect("127.0.0.1", port)?;
//!     conn.sendall("hello\n")?;
//!     conn.readline("\n")
//! });
//! assert_eq!(echoed.unwrap(), b"hello\n");
//! ```

use std::io;
use std::sync::Arc;

use crate::green::{Builder, Greenlet, StreamServer, TcpStream, resolve};

pub use crate::green::{sleep, yield_now as null};

mod family;
use family::Family;

mod files;
pub use files::{Readable, Writable};

mod connection;
pub use connection::{Connection, Listener, MAX_LINE_BYTES};

/// Runs `root` as a coroutine, waits until it and all coroutines that were [spawned](spawn) on the way have ended, and
/// returns what `root` has returned. A panic of `root` goes on in the caller, after the wait.
pub fn run<F, T>(root: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let family = Family::new();
    let theirs = Arc::clone(&family);
    let root = crate::green::spawn(move || theirs.adopt(root));
    root.join();
    family.nobody.wait();
    root.get().unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_payload()))
}

/// Runs `body` beside the caller. The [`run`] that the caller belongs to waits for it; outside of any, nothing waits for it. See
/// [`green::spawn`](crate::green::spawn()) for the contract.
///
/// # Panics
///
/// If the machine has no room for another stack.
pub fn spawn<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(family) = Family::of_caller() else { return crate::green::spawn(body) };
    let member = family.enter();
    let spawned = Builder::new().spawn_holding(member, move || family.adopt(body));
    spawned.unwrap_or_else(|error| panic!("cannot spawn a coroutine: {error}"))
}

/// Runs `body` and goes on with what it returns: a plain call, since a call may wait here.
#[doc(alias = "delegate")]
pub fn call<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// Waits until a coroutine has ended.
pub fn join<T>(greenlet: &Greenlet<T>) {
    greenlet.join();
}

/// Ends a coroutine at its next wait, or where it waits now, and waits until it has ended. Its destructors run; twice is
/// the same as once.
pub fn kill<T>(greenlet: &Greenlet<T>) {
    greenlet.kill();
}

/// Connects to `host`, a name or an address, trying each address it has.
///
/// # Errors
///
/// The last address's error, or that of the name.
pub fn connect(host: &str, port: u16) -> io::Result<Connection> {
    let stream = TcpStream::connect_first(resolve(host, port)?)?;
    let addr = stream.peer_addr()?;
    Ok(Connection::new(stream, addr))
}

/// Waits for something to read from a pipe, a terminal, a child's output, a file and the like, and returns what there is,
/// at most `size` bytes; all of it, to the end, if `size` is `None`. Empty at the end.
///
/// No worker waits: files are read by [`blocking`](crate::green::blocking). Called on a plain thread, it blocks it.
///
/// # Errors
///
/// Those of `source`.
///
/// # Examples
///
/// ```
/// use std::process::{Command, Stdio};
/// use zinx::green::bluelet;
///
/// let said = bluelet::run(|| {
///     let child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
///     bluelet::read(child.stdout.expect("piped"), None)
/// });
/// assert_eq!(said?, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("make_nonblocking", "nb_read", "tp_read"))]
pub fn read(mut source: impl Readable, size: Option<usize>) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let read = data.len();
        data.resize(read + size.unwrap_or(READ_BYTES), 0);
        let n = source.read_some(&mut data[read..])?;
        data.truncate(read + n);
        if n == 0 || size.is_some() {
            return Ok(data);
        }
    }
}

/// Writes all of `data` to a pipe, a terminal, a child's input, a file and the like. No worker waits, as with [`read`].
///
/// # Errors
///
/// Those of `sink`; some of it may have been written.
#[doc(alias("nb_write", "tp_write"))]
pub fn write(mut sink: impl Writable, data: impl AsRef<[u8]>) -> io::Result<()> {
    sink.write_whole(data.as_ref())
}

/// Listens on `host` (`""`: every IPv4 address of the machine) and `port`, and runs `handler` on a coroutine of its own for
/// each connection, which is closed when the handler returns. It returns only with an error.
///
/// An error of a handler is logged, a panic too; neither ends any other. The address is logged as `listening on ..`. If
/// the caller is killed, or a time limit around it is over, clients are refused from then on; open connections go on.
///
/// # Errors
///
/// Those of the system: the port is taken.
///
/// # Examples
///
/// ```no_run
/// use zinx::green::bluelet;
///
/// // A daytime server, of sorts.
/// bluelet::run(|| bluelet::server("", 1313, |conn| conn.sendall(format!("{:?}\n", std::time::SystemTime::now()))))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn server<H>(host: &str, port: u16, handler: H) -> io::Result<()>
where
    H: Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
{
    let server = StreamServer::bind(connection::address_of(host, port)?)?;
    log::info!("listening on {}", server.local_addr());
    server.serve(move |stream, addr| handler(&mut Connection::new(stream, addr)))
}

/// What is read at a time if all is wanted.
const READ_BYTES: usize = 64 * 1024;
