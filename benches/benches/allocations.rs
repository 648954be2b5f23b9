//! Allocations a message, counted: what a pool of requests or of buffers could save at most.
//!
//!     cargo bench --manifest-path benches/Cargo.toml --bench allocations

#![expect(clippy::disallowed_types, reason = "the client is a plain thread")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use zinx::prelude::*;
use zinx::zconf::{Config, WorkerMode};
use zinx::zpack::LtvLittleEndian;

/// The system's allocator, counting.
struct Counting;

// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, layout) }
    }
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

const MESSAGES: usize = 100_000;

fn main() -> std::io::Result<()> {
    println!("allocations a message, {MESSAGES} messages of one connection, the client's none included");
    for (mode, size) in
        [(WorkerMode::Hash, 0), (WorkerMode::Hash, 4), (WorkerMode::Bind, 4), (WorkerMode::DynamicBind, 4)]
    {
        for (name, len, batch) in
            [("empty", 0, 100), ("64 bytes", 64, 100), ("64 bytes, one at a time", 64, 1)]
        {
            let counted = count(mode, size, len, batch)?;
            println!("{mode:?}, WorkerPoolSize {size}, {name}: {:.4}", counted as f64 / MESSAGES as f64);
        }
    }
    Ok(())
}

/// Allocations of the process while `MESSAGES` are echoed, `batch` at a time, after as many that are not counted.
fn count(mode: WorkerMode, size: usize, len: usize, batch: usize) -> std::io::Result<usize> {
    let mut config = Config::default();
    config.tcp_port = 0;
    config.max_conn = 100;
    config.worker_mode = mode;
    config.worker_pool_size = size;
    let server = new_server_with_config(config).expect("a valid configuration");
    server
        .add_router(1, |request: &dyn IRequest| request.get_connection().send_msg(1, request.get_data()))
        .expect("a new id");
    server.start().expect("a free port");
    let mut stream = TcpStream::connect(server.local_addr().expect("it listens"))?;
    stream.set_nodelay(true)?;
    let frames = LtvLittleEndian.pack(&new_message(1, vec![7; len])).expect("it fits").repeat(batch);
    let mut answers = vec![0; frames.len()];
    let mut before = 0;
    for round in 0..2 * MESSAGES / batch {
        if round == MESSAGES / batch {
            before = COUNT.load(Ordering::Relaxed);
        }
        stream.write_all(&frames)?;
        stream.read_exact(&mut answers)?;
    }
    let counted = COUNT.load(Ordering::Relaxed) - before;
    server.stop();
    Ok(counted)
}
