//! Adds 1, 2, 3 and 4, and loses its socket in the middle.
//!
//! Run it: `cargo run --example resume_client -- 127.0.0.1:7777`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::prelude::*;

const ADD: u32 = 1;
const SUM: u32 = 2;
const SOON: Duration = Duration::from_secs(10);

fn talk(host: &str, port: u16) -> Result<()> {
    let mut config = Config::default();
    config.resume_ms = 30_000;
    let client = new_client_with_config(host, port, config)?;
    let sums = Arc::new(Queue::unbounded());
    let theirs = Arc::clone(&sums);
    client.add_router(SUM, move |request: &dyn IRequest| {
        let _ = theirs.put(String::from_utf8_lossy(request.get_data()).into_owned());
        Ok(())
    })?;
    client.start()?;
    let conn = client.conn().ok_or(Error::ConnectionClosed)?;
    for number in 1..=4 {
        if number == 3 {
            println!("the socket is lost: {}", conn.drop_socket());
        }
        conn.send_msg(ADD, number.to_string())?;
        let Ok(sum) = sums.get_timeout(SOON) else { return Err(Error::ConnectionClosed) };
        println!("+ {number} = {sum}");
    }
    client.stop();
    client.wait_stopped(SOON);
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, "7777"));
    exit(talk(host, port.parse().unwrap_or(7777)))
}
