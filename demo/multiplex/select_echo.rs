//! The server of `select`: a queue of answers for each client, which come back in upper case. A coroutine that waits takes
//! the place of `select`, so there are no lists of sockets to keep.
//!
//! Run it: `cargo run --example multiplex_select_echo`, and in a second terminal `nc localhost 9999`. Another port:
//! `cargo run --example multiplex_select_echo [port]`

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use zinx::green::{self, Queue, StreamServer, TcpStream};

/// Reads from a client and queues what it sends. A second coroutine sends the answers.
fn serve(mut conn: TcpStream, client_addr: SocketAddr) -> io::Result<()> {
    let client = client_addr.ip();
    println!("new connection from ('{client}', {})", client_addr.port());
    println!("waiting for next event...");
    let message_queue = Arc::new(Queue::bounded(64));
    let sender = green::spawn({
        let (message_queue, mut conn) = (Arc::clone(&message_queue), conn.clone());
        move || send(&message_queue, &mut conn, client)
    });
    let mut buffer = [0; 1024];
    loop {
        let n = conn.read(&mut buffer).unwrap_or_else(|error| {
            println!("{error}");
            0
        });
        if n == 0 {
            break println!("客户端断开了 {conn:?}");
        }
        println!("收到来自[{client}]的数据: b'{}'", buffer[..n].escape_ascii());
        println!("waiting for next event...");
        // The sender closes the queue if it cannot send.
        if message_queue.put(buffer[..n].to_vec()).is_err() {
            break;
        }
    }
    println!("waiting for next event...");
    message_queue.close();
    sender.get().map_err(io::Error::other)?
}

/// Sends what is queued, until the queue is closed and empty.
fn send(message_queue: &Queue<Vec<u8>>, conn: &mut TcpStream, client: IpAddr) -> io::Result<()> {
    let sent = message_queue.iter().try_for_each(|next_msg| {
        println!("sending msg to [{client}] b'{}'", next_msg.escape_ascii());
        conn.write_all(&next_msg.to_ascii_uppercase())?;
        println!("waiting for next event...");
        if message_queue.is_empty() {
            println!("client [{client}] queue is empty..");
            println!("waiting for next event...");
        }
        Ok(())
    });
    message_queue.close();
    sent
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    let server = StreamServer::bind(("0.0.0.0", port))?;
    let server_addr = server.local_addr();
    log::info!("listening on {server_addr}");
    println!("starting up on {} port {}", server_addr.ip(), server_addr.port());
    println!("waiting for next event...");
    Ok(server.serve(serve)?)
}
