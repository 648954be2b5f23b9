//! `zinx conns`, `kick` and `drain`: clients of a server's admin plane.

#![expect(clippy::disallowed_types, reason = "a plain thread that has nothing else to do")]

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::send::host_port;

/// Where the admin plane is.
#[derive(Args, Clone)]
pub(crate) struct Plane {
    /// The admin plane of the server.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7778", value_parser = address)]
    admin: String,
    /// Its AdminToken; else the one in the environment variable ZINX_ADMINTOKEN.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

#[cfg(all(test, feature = "top"))]
impl Plane {
    /// The one at this address, without a token.
    pub(crate) fn at(address: &str) -> Self {
        Self { admin: address.to_string(), token: None }
    }
}

/// `zinx conns`.
#[derive(Args)]
pub(crate) struct Conns {
    /// By what they are sorted; the largest come first.
    #[arg(long, value_name = "KEY", default_value = "id")]
    sort: Sort,
    /// Only those of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Those that have closed last, with their reasons.
    #[arg(long)]
    closed: bool,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    plane: Plane,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sort {
    Id,
    Age,
    Idle,
    Waiting,
    Pending,
    Messages,
    BytesIn,
    BytesOut,
    Rtt,
}

/// `zinx kick`.
#[derive(Args)]
pub(crate) struct Kick {
    /// The id of a connection, or with --user the name of a user.
    #[arg(value_name = "ID")]
    id: String,
    /// Closes all connections of this user.
    #[arg(long)]
    user: bool,
    #[command(flatten)]
    plane: Plane,
}

/// `zinx drain`.
#[derive(Args)]
pub(crate) struct Drain {
    /// Closes the connections one after the other within so many seconds.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u32,
    #[command(flatten)]
    plane: Plane,
}

/// An address as the command line takes it, also as a browser has it.
fn address(text: &str) -> Result<String, &'static str> {
    host_port(text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/'))
}

/// What is printed, or why there is nothing to print.
pub(crate) type Outcome = Result<String, String>;

/// Prints a line for each connection.
pub(crate) fn conns(order: &Conns) -> ExitCode {
    let sort = order.sort.to_possible_value().map_or_else(String::new, |word| word.get_name().to_string());
    let mut path = format!("/connz?limit={}&sort={sort}", order.limit);
    if let Some(user) = &order.user {
        path += &format!("&user={}", escape(user));
    }
    if order.closed {
        path += "&state=closed";
    }
    finish(ask(&order.plane, "GET", &path).map(|answer| table(&answer)))
}

/// Closes a connection, or all of a user.
pub(crate) fn kick(order: &Kick) -> ExitCode {
    let what = if order.user { "userz" } else { "connz" };
    let answer = ask(&order.plane, "POST", &format!("/{what}/{}/kick", escape(&order.id)));
    finish(answer.map(|answer| format!("kicked {}\n", list(&answer["kicked"]))))
}

/// Stops the server in order.
pub(crate) fn drain(order: &Drain) -> ExitCode {
    let answer = ask(&order.plane, "POST", &format!("/drain?seconds={}", order.seconds));
    finish(answer.map(|answer| format!("draining {} connections\n", answer["connections"])))
}

/// Prints the outcome, and gives the exit code.
pub(crate) fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(text) => {
            // Whoever reads what we print has had enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("zinx: {words}");
            ExitCode::FAILURE
        }
    }
}

/// Asks, and reads the answer.
pub(crate) fn ask(plane: &Plane, method: &str, path: &str) -> Result<Value, String> {
    let (status, body) = answer(plane, method, path)?;
    let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    if status == "200" && !value.is_null() { Ok(value) } else { Err(refused(plane, &status, &value)) }
}

/// Asks for text.
#[cfg(feature = "top")]
pub(crate) fn ask_text(plane: &Plane, path: &str) -> Result<String, String> {
    let (status, body) = answer(plane, "GET", path)?;
    if status == "200" {
        return Ok(body);
    }
    Err(refused(plane, &status, &serde_json::from_str(&body).unwrap_or(Value::Null)))
}

/// The status and the body of an answer.
fn answer(plane: &Plane, method: &str, path: &str) -> Result<(String, String), String> {
    let address = &plane.admin;
    let answer = talk(plane, method, path).map_err(|error| no_answer(plane, &error, PATIENCE))?;
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address} does not speak HTTP"))?;
    Ok((head.split(' ').nth(1).unwrap_or("nothing").to_string(), body.to_string()))
}

/// What is said if an answer does not come: within so long, if it was waited for.
pub(crate) fn no_answer(plane: &Plane, error: &io::Error, patience: Duration) -> String {
    let address = &plane.admin;
    match error.kind() {
        // That of a socket with a time limit. Its words are "Resource temporarily unavailable".
        io::ErrorKind::WouldBlock => {
            format!("the admin plane {address}: no answer within {} s", patience.as_secs())
        }
        _ => format!("the admin plane {address}: {error}"),
    }
}

pub(crate) fn refused(plane: &Plane, status: &str, value: &Value) -> String {
    let why = value["error"].as_str().unwrap_or("no admin plane of zinx");
    format!("the admin plane {} answers {status}: {why}", plane.admin)
}

fn talk(plane: &Plane, method: &str, path: &str) -> io::Result<String> {
    let mut answer = String::new();
    begin(plane, method, path)?.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Asks. The answer comes on the stream.
pub(crate) fn begin(plane: &Plane, method: &str, path: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in plane.admin.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return ask_on(stream, plane, method, path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_on(mut stream: TcpStream, plane: &Plane, method: &str, path: &str) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let token = plane.token.clone().or_else(|| std::env::var("ZINX_ADMINTOKEN").ok());
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{token}\r\n", plane.admin);
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

/// The connections in columns, and how many there are if not all are shown.
fn table(answer: &Value) -> String {
    let rows = answer["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines =
        vec![["ID", "STATE", "REMOTE", "USER", "MESSAGES", "PENDING", "RTT", "DOES"].map(str::to_string)];
    for row in rows {
        let text = |name: &str| clean(row[name].as_str().unwrap_or("-"));
        let number = |name: &str| row[name].to_string();
        let pending = if row["pending_bytes"].is_null() { "unsent_bytes" } else { "pending_bytes" };
        let does = if row["does"].is_null() { "reason" } else { "does" };
        let columns = [number("id"), text("state"), text("remote"), text("user"), number("messages")];
        let [id, state, remote, user, messages] = columns;
        let trip = round_trip(row["rtt_us"].as_u64());
        lines.push([id, state, remote, user, messages, number(pending), trip, text(does)]);
    }
    let widths: [usize; 7] =
        std::array::from_fn(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        for (column, width) in line.iter().zip(widths) {
            text += &format!("{column:width$}  ");
        }
        text += &format!("{}\n", line[7]);
    }
    match answer["matched"].as_u64().unwrap_or(0).saturating_sub(rows.len() as u64) {
        0 => text,
        more => text + &format!("and {more} more (--limit)\n"),
    }
}

/// In milliseconds.
fn round_trip(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_string(), |micros| format!("{}.{:03}ms", micros / 1000, micros % 1000))
}

/// A text that peers may have chosen: what would move the cursor or turn the text around it is shown as its code.
pub(crate) fn clean(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut clean = String::new();
    for c in text.chars() {
        match is_hidden(c) {
            true => clean.extend(c.escape_unicode()),
            false => clean.push(c),
        }
    }
    clean
}

fn list(numbers: &Value) -> String {
    let numbers = numbers.as_array().map_or(&[][..], Vec::as_slice);
    numbers.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

/// A text within a path or a parameter.
pub(crate) fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// How long a server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_are_called_moves_no_cursor_and_makes_no_line() {
        let row = serde_json::json!({
            "id": 1, "state": "open", "remote": "a", "user": "\u{1b}[2Jann\n9  open", "messages": 0,
            "pending_bytes": 0, "does": "waits for its peer",
        });
        let text = table(&serde_json::json!({ "matched": 1, "entries": [row] }));
        assert!(text.lines().count() == 2 && !text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("\\u{1b}[2Jann\\u{a}9  open"), "{text}");
    }
}
