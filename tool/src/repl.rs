//! `zinx repl`: talks to a server by hand.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use zinx::green::Queue;
use zinx::ziface::{IClient, IConnection, IRequest};
use zinx::znet::new_client_with_url;
use zinx::{Client, Error, Result};

use crate::send::{Pack, address, fail};

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The server: HOST:PORT for TCP, or tcp://, tls://, ws://, wss://, kcp://HOST:PORT with what this program is built with; the
    /// keys of the configuration apply.
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    address: String,
    /// The wire format: ltv is little-endian, tlv big-endian as in Go Zinx today.
    #[arg(long, value_name = "FORMAT", default_value = "ltv")]
    pack: Pack,
}

/// Connects, sends a message for each line, and prints what comes, until the input ends.
pub(crate) fn run(order: &Order) -> ExitCode {
    match talk(order) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn talk(order: &Order) -> Result<()> {
    let url = match order.address.contains("://") {
        true => order.address.clone(),
        false => format!("tcp://{}", order.address),
    };
    let client = new_client_with_url(&url)?;
    order.pack.set(&client)?;
    let (came, we_end) = (Arc::new(Queue::unbounded()), Arc::new(AtomicBool::new(false)));
    let news = Arc::clone(&came);
    client.set_not_found(move |request: &dyn IRequest| {
        print(&format!("< {}", shown(request.get_msg_id(), request.get_data())));
        // The queue is never closed.
        let _ = news.put(());
        Ok(())
    })?;
    let ours = Arc::clone(&we_end);
    client.set_on_conn_stop(move |conn: &Arc<dyn IConnection>| {
        if !ours.load(Ordering::Acquire) {
            let reason = conn.get_close_reason().map_or_else(String::new, |reason| reason.to_string());
            eprintln!("zinx: the connection has ended: {reason}");
            // The thread that reads lines would notice at the next one only.
            std::process::exit(1);
        }
        Ok(())
    });
    client.start()?;
    let conn = client.conn().ok_or(Error::ConnectionClosed)?;
    if io::stdin().is_terminal() {
        eprintln!("connected to {url}; `ID TEXT` sends a message, `help` lists the rest");
    }
    let read = read_lines(&*conn);
    if read.is_ok() && !io::stdin().is_terminal() {
        // Answers to the last lines, which come from a file. A server that never stops does not keep us.
        let until = Instant::now() + FOLLOWING;
        while Instant::now() < until && came.get_timeout(SILENCE).is_ok() {}
    }
    we_end.store(true, Ordering::Release);
    end(&client);
    read
}

fn end(client: &Client) {
    client.stop();
    client.wait_stopped(FAREWELL);
}

fn read_lines(conn: &dyn IConnection) -> Result<()> {
    let mut history: Vec<String> = Vec::new();
    let is_terminal = io::stdin().is_terminal();
    let mut lines = io::stdin().lock().lines();
    loop {
        if is_terminal {
            let mut out = io::stdout().lock();
            let _ = out.write_all(b"> ").and_then(|()| out.flush());
        }
        let Some(line) = lines.next() else { return Ok(()) };
        let line = line.map_err(|source| Error::io("read a line", source))?;
        match Line::of(line.trim(), &history) {
            Ok(Line::Nothing) => {}
            Ok(Line::Quit) => return Ok(()),
            Ok(Line::Help) => print(HELP),
            Ok(Line::History) => {
                history.iter().enumerate().for_each(|(at, line)| print(&format!("{:4}  {line}", at + 1)));
            }
            Ok(Line::Send { id, data, line }) => {
                history.push(line);
                conn.send_msg(id, data)?;
            }
            Err(words) => eprintln!("zinx: {words}"),
        }
    }
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Quit,
    Help,
    History,
    /// The line as it is remembered.
    Send {
        id: u32,
        data: Vec<u8>,
        line: String,
    },
}

impl Line {
    fn of(line: &str, history: &[String]) -> std::result::Result<Self, String> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "" => Ok(Self::Nothing),
            "quit" | "exit" => Ok(Self::Quit),
            "help" | "?" => Ok(Self::Help),
            "history" => Ok(Self::History),
            "hex" => {
                let (id, digits) = rest.split_once(' ').unwrap_or((rest, ""));
                Ok(Self::Send { id: number(id)?, data: bytes(digits)?, line: line.to_string() })
            }
            _ if first.starts_with('!') => Self::of(again(first, history)?, &[]),
            _ => {
                Ok(Self::Send { id: number(first)?, data: rest.as_bytes().to_vec(), line: line.to_string() })
            }
        }
    }
}

fn again<'a>(word: &str, history: &'a [String]) -> std::result::Result<&'a str, String> {
    let number = match word {
        "!!" => Some(history.len()),
        _ => word[1..].parse().ok(),
    };
    let found = number.and_then(|number| history.get(number.checked_sub(1)?));
    found.map(String::as_str).ok_or_else(|| format!("there is no line {word}; `history` lists them"))
}

fn number(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no message id; `help` says what can be typed"))
}

fn bytes(digits: &str) -> std::result::Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.contains('+'))?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(|| "bytes are pairs of the digits 0-9 and a-f, such as 0a ff".to_string())
}

/// A message in one line: its id, its length, and its payload as text, or in hexadecimal if it is none.
fn shown(id: u32, data: &[u8]) -> String {
    let mut line = format!("id={id} len={} ", data.len());
    match std::str::from_utf8(data) {
        Ok(text) => line += &format!("{text:?}"),
        Err(_) => data.iter().for_each(|byte| line += &format!("{byte:02x}")),
    }
    line
}

/// Whoever reads what we print may have had enough.
fn print(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

const HELP: &str = "\
ID TEXT       sends TEXT as message ID
hex ID BYTES  sends bytes: hex 7 0a ff
history       lists the lines that were sent
!! or !N      sends the last one again, or line N
quit          ends, as the end of the input does";

/// The longest silence after the end of the input, before the connection is closed.
const SILENCE: Duration = Duration::from_millis(300);

/// The longest time after the end of the input, whatever comes.
const FOLLOWING: Duration = Duration::from_secs(5);

/// The longest that the end may take.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_a_command() {
        let send =
            |id, data: &[u8], line: &str| Ok(Line::Send { id, data: data.to_vec(), line: line.to_string() });
        let history = ["1 a".to_string(), "hex 2 ff".to_string()];
        let of = |line| Line::of(line, &history);
        assert_eq!(of("1 hello  you"), send(1, b"hello  you", "1 hello  you"));
        assert_eq!(of("7"), send(7, b"", "7"));
        assert_eq!(of("hex 3 0A ff"), send(3, &[10, 255], "hex 3 0A ff"));
        assert_eq!(of("!!"), send(2, &[255], "hex 2 ff"));
        assert_eq!(of("!1"), send(1, b"a", "1 a"));
        assert_eq!(
            (of(""), of("quit"), of("history")),
            (Ok(Line::Nothing), Ok(Line::Quit), Ok(Line::History))
        );
        for wrong in ["hello", "-1 a", "hex 1 f", "hex 1 +1", "!0", "!3", "!x"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_comes_is_shown_as_text_or_bytes_and_never_moves_the_cursor() {
        assert_eq!(shown(1, "héy\u{1b}[2J".as_bytes()), "id=1 len=8 \"héy\\u{1b}[2J\"");
        assert_eq!(shown(2, &[0, 255]), "id=2 len=2 00ff");
    }
}
