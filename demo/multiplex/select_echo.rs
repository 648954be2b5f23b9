//! The server of `select`, with a queue of answers for each client, which come back in upper case; without `select`,
//! without lists of sockets, and without sockets that nobody closes.
//!
//! Run it: `cargo run --example multiplex_select_echo [port]`, and beside it `nc localhost 9999`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use zinx::green::{self, Queue, StreamServer, TcpStream};

/// Reads requests and queues the answers; a second coroutine sends them.
fn serve(mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    println!("connected: {peer}");
    let answers = Arc::new(Queue::bounded(64));
    let sender = green::spawn({
        let (answers, mut stream) = (Arc::clone(&answers), stream.clone());
        move || send(&answers, &mut stream)
    });
    let read = receive(&mut stream, &answers);
    answers.close();
    println!("disconnected: {peer}");
    sender.get().map_err(io::Error::other)??;
    read
}

fn receive(stream: &mut TcpStream, answers: &Queue<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let n = stream.read(&mut buffer)?;
        // The sender closes the queue where it fails.
        if n == 0 || answers.put(buffer[..n].to_ascii_uppercase()).is_err() {
            return Ok(());
        }
    }
}

fn send(answers: &Queue<Vec<u8>>, stream: &mut TcpStream) -> io::Result<()> {
    let sent = answers.iter().try_for_each(|answer| stream.write_all(&answer));
    answers.close();
    sent
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    let server = StreamServer::bind(SocketAddr::from(([0, 0, 0, 0], port)))?;
    eprintln!("listening on {}", server.local_addr());
    Ok(server.serve(serve)?)
}
