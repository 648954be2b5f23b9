//! The limit: epoll by hand, one instance a thread, edge-triggered, frames parsed in place, one send for each read. Nothing
//! is checked, bounded or fair. It echoes messages of id 1, and sends all others to everybody.
//!
//! Run it: `epoll_framed 7777`

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, RwLock};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777_u16);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    rustix::net::listen(&listener, 4096)?;
    let all: All = Arc::default();
    let threads = std::thread::available_parallelism()?.get();
    let epolls = (0..threads).map(|_| epoll::create(epoll::CreateFlags::CLOEXEC));
    let epolls: Vec<Arc<OwnedFd>> =
        epolls.map(|epoll| Ok(Arc::new(epoll?))).collect::<std::io::Result<_>>()?;
    for epoll in &epolls {
        let (epoll, all) = (Arc::clone(epoll), Arc::clone(&all));
        std::thread::spawn(move || serve(&epoll, &all));
    }
    for (n, stream) in listener.incoming().flatten().enumerate() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let conn = Arc::new(Conn { stream, queued: Mutex::default() });
        let mut all = all.write().expect("nobody panics with it");
        let fd = conn.fd();
        if all.len() <= fd {
            all.resize_with(fd + 1, || None);
        }
        all[fd] = Some(Arc::clone(&conn));
        drop(all);
        epoll::add(&epolls[n % threads], &conn.stream, epoll::EventData::new_u64(fd as u64), EDGES)?;
    }
    Ok(())
}

/// Every connection, by its descriptor.
type All = Arc<RwLock<Vec<Option<Arc<Conn>>>>>;

struct Conn {
    stream: TcpStream,
    /// What the socket has not taken.
    queued: Mutex<Vec<u8>>,
}

impl Conn {
    fn fd(&self) -> usize {
        self.stream.as_raw_fd() as usize
    }

    /// Sends what is queued, as far as the socket takes it.
    fn flush(&self, queued: &mut Vec<u8>) {
        let mut sent = 0;
        while sent < queued.len() {
            match (&self.stream).write(&queued[sent..]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        if sent == queued.len() { queued.clear() } else { drop(queued.drain(..sent)) }
    }

    fn send(&self, frame: &[u8]) {
        let mut queued = self.queued.lock().expect("nobody panics with it");
        if !queued.is_empty() {
            queued.extend_from_slice(frame);
            return self.flush(&mut queued);
        }
        let sent = (&self.stream).write(frame).unwrap_or(0);
        queued.extend_from_slice(&frame[sent..]);
    }
}

/// A connection of one thread, and the beginning of a frame.
struct Own {
    conn: Arc<Conn>,
    begun: Vec<u8>,
}

fn serve(epoll: &OwnedFd, all: &All) {
    let mut own: Vec<Option<Own>> = Vec::new();
    let (mut events, mut buffer) = (Vec::with_capacity(512), vec![0; 256 * 1024]);
    loop {
        events.clear();
        let _ = epoll::wait(epoll, spare_capacity(&mut events), None);
        for event in &events {
            // A packed struct: its fields are copied out.
            let (fd, flags) = (event.data.u64() as usize, { event.flags });
            if own.len() <= fd {
                own.resize_with(fd + 1, || None);
            }
            let one = own[fd].get_or_insert_with(|| Own {
                conn: all.read().expect("nobody panics with it")[fd].clone().expect("it is put there first"),
                begun: Vec::new(),
            });
            if flags.contains(epoll::EventFlags::OUT) {
                let mut queued = one.conn.queued.lock().expect("nobody panics with it");
                one.conn.flush(&mut queued);
            }
            let is_open = !flags.intersects(!epoll::EventFlags::OUT) || drain(one, all, &mut buffer);
            if !is_open {
                all.write().expect("nobody panics with it")[fd] = None;
                own[fd] = None;
            }
        }
    }
}

/// Reads until the socket is empty. `false` at its end.
fn drain(own: &mut Own, all: &All, buffer: &mut [u8]) -> bool {
    loop {
        match (&own.conn.stream).read(buffer) {
            Ok(0) => return false,
            Ok(n) => {
                handle(own, all, &buffer[..n]);
                if n < buffer.len() {
                    return true;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn handle(own: &mut Own, all: &All, read: &[u8]) {
    let Own { conn, begun } = own;
    let mut broadcasts = Vec::new();
    let used = if begun.is_empty() {
        answer(conn, read, &mut broadcasts)
    } else {
        begun.extend_from_slice(read);
        answer(conn, begun, &mut broadcasts)
    };
    if begun.is_empty() {
        begun.extend_from_slice(&read[used..]);
    } else {
        begun.drain(..used);
        if begun.is_empty() {
            *begun = Vec::new();
        }
    }
    for frame in broadcasts {
        let all = all.read().expect("nobody panics with it");
        all.iter().flatten().for_each(|conn| conn.send(&frame));
    }
}

/// Echoes each whole frame, by one send. Returns how many bytes they are.
fn answer(conn: &Conn, bytes: &[u8], broadcasts: &mut Vec<Vec<u8>>) -> usize {
    let mut at = 0;
    let mut queued = conn.queued.lock().expect("nobody panics with it");
    while let Some((head, rest)) = bytes[at..].split_first_chunk::<8>() {
        let [len, id] =
            [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if rest.len() < len as usize {
            break;
        }
        let frame = &bytes[at..at + 8 + len as usize];
        if id == 1 {
            queued.extend_from_slice(frame);
        } else {
            broadcasts.push(frame.to_vec());
        }
        at += frame.len();
    }
    if !queued.is_empty() {
        conn.flush(&mut queued);
    }
    at
}

const EDGES: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::OUT)
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::ET);
