//! What the command line says.

use std::io;
use std::str::FromStr;
use std::time::Duration;

pub struct Options {
    pub scenario: String,
    pub port: u16,
    /// The process of the server.
    pub pid: u32,
    pub connections: usize,
    /// Messages on their way on each connection.
    pub window: usize,
    /// Bytes of each message, without its head.
    pub payload: usize,
    pub id: u32,
    /// Measured, after a third of it was run to warm up.
    pub time: Duration,
    /// What carries the messages.
    pub over: Over,
    /// The head is id and length, big-endian, as of Go Zinx.
    pub big_endian: bool,
}

impl Options {
    pub fn from_args() -> io::Result<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let scenario = args.first().cloned().unwrap_or_default();
        Ok(Self {
            port: value(&args, "--port", 7777)?,
            pid: value(&args, "--pid", 0)?,
            connections: value(&args, "--connections", 1)?,
            window: value(&args, "--window", 1)?,
            payload: value(&args, "--payload", 64)?,
            id: value(&args, "--id", if scenario == "broadcast" { 2 } else { 1 })?,
            time: Duration::from_secs_f64(value(&args, "--seconds", 1.0)?),
            over: value(&args, "--over", Over::Tcp)?,
            big_endian: args.iter().any(|arg| arg == "--big-endian"),
            scenario,
        })
    }
}

/// What carries the messages.
#[derive(Clone, Copy, PartialEq)]
pub enum Over {
    Tcp,
    Tls,
    WebSocket,
}

impl FromStr for Over {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "tcp" => Ok(Self::Tcp),
            "tls" => Ok(Self::Tls),
            "ws" => Ok(Self::WebSocket),
            _ => Err(()),
        }
    }
}

fn value<T: FromStr>(args: &[String], name: &str, default: T) -> io::Result<T> {
    let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(default) };
    let value = args.get(at + 1).and_then(|value| value.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{name} needs a value")))
}
