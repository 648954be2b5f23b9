//! `zinx trace`: the frames of a few connections of a running server, as they come and leave.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::plane::{self, Outcome, Plane};

/// `zinx trace`.
#[derive(Args)]
pub(crate) struct Order {
    #[command(flatten)]
    whom: Whom,
    /// For so long, at most 300.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u32,
    #[command(flatten)]
    plane: Plane,
}

/// Which connections are followed.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The id of a connection.
    #[arg(value_name = "ID")]
    id: Option<u64>,
    /// All connections of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All connections from an address that begins so.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
}

/// Prints a line for each frame.
pub(crate) fn run(order: &Order) -> ExitCode {
    let Whom { id, user, address } = &order.whom;
    let whom = match (id, user, address) {
        (Some(id), ..) => format!("id={id}"),
        (_, Some(user), _) => format!("user={}", plane::escape(user)),
        _ => format!("address={}", plane::escape(address.as_deref().unwrap_or_default())),
    };
    let path = format!("/trace?{whom}&seconds={}", order.seconds);
    let longest = Duration::from_secs(order.seconds.into()) + PATIENCE;
    let followed = follow(&order.plane, &path, longest);
    plane::finish(followed.unwrap_or_else(|error| Err(plane::no_answer(&order.plane, &error, longest))))
}

fn follow(plane: &Plane, path: &str, longest: Duration) -> io::Result<Outcome> {
    let stream = plane::begin(plane, "POST", path)?;
    stream.set_read_timeout(Some(longest))?;
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if answer.read_line(&mut head)? == 0 {
            return Err(io::Error::other("it does not speak HTTP"));
        }
    }
    let status = head.split(' ').nth(1).unwrap_or("nothing");
    if status != "200" {
        let mut body = String::new();
        answer.read_to_string(&mut body)?;
        let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        return Ok(Err(plane::refused(plane, status, &value)));
    }
    let mut line = String::new();
    // Until it ends, or whoever reads what we print has had enough.
    while answer.read_line(&mut line)? > 0 && io::stdout().write_all(line.as_bytes()).is_ok() {
        line.clear();
    }
    Ok(Ok(String::new()))
}

/// How long a server may take beyond the time that was asked for.
const PATIENCE: Duration = Duration::from_secs(10);
