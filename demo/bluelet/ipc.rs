//! bluelet's messages between processes: the parent squares what the child sends.
//!
//! Run it: `cargo run --example bluelet_ipc [port]`; the port is where the two meet, 4915 by default.

use std::error::Error;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use zinx::green::{self, bluelet};

/// One end of a pair of sockets, on which a message is a line.
struct Endpoint(bluelet::Connection);

impl Endpoint {
    fn put(&mut self, message: &str) -> io::Result<()> {
        self.0.sendall(format!("{message}\n"))
    }

    fn get(&mut self) -> io::Result<String> {
        let line = self.0.readline("\n")?;
        Ok(String::from_utf8(line).map_err(io::Error::other)?.trim_end().to_string())
    }
}

fn server(mut endpoint: Endpoint) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let message = endpoint.get()?;
        if message == "stop" {
            return Ok(());
        }
        let number: i64 = message.parse()?;
        endpoint.put(&(number * number).to_string())?;
    }
}

fn client(mut endpoint: Endpoint) -> Result<(), Box<dyn Error + Send + Sync>> {
    for number in 0..10 {
        endpoint.put(&number.to_string())?;
        println!("{}", endpoint.get()?);
    }
    Ok(endpoint.put("stop")?)
}

/// The parent: listens, starts the child and serves it.
fn parent(port: u16) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = Arc::new(bluelet::Listener::new("127.0.0.1", port)?);
    let (port, theirs) = (listener.local_addr().port(), Arc::clone(&listener));
    let child = bluelet::spawn(move || {
        let status = green::blocking(move || start_child(port));
        // A child that has ended comes no more.
        theirs.close();
        status
    });
    server(Endpoint(listener.accept()?))?;
    let status = child.get()??;
    if status.success() { Ok(()) } else { Err(format!("the child: {status}").into()) }
}

fn start_child(port: u16) -> io::Result<ExitStatus> {
    Command::new(std::env::current_exe()?).args([&port.to_string(), "child"]).status()
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let port = std::env::args().nth(1).map_or(Ok(4915), |port| port.parse())?;
    if std::env::args().nth(2).is_some() {
        return bluelet::run(move || client(Endpoint(bluelet::connect("127.0.0.1", port)?)));
    }
    bluelet::run(move || parent(port))
}
