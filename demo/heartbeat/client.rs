//! Heartbeats: the client sends its own, prints ten of the server's, and then falls silent until it is dropped.
//!
//! Run it: `cargo run --example heartbeat_client -- 127.0.0.1:7777`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::ziface::{HEART_BEAT_DEFAULT_MSG_ID, HeartBeatOption, IClient, IRequest};
use zinx::{Result, new_client};

fn talk(host: &str, port: u16) -> Result<()> {
    let client = new_client(host, port)?;
    let beats = Arc::new(Queue::bounded(16));
    let heard = Arc::clone(&beats);
    let option = HeartBeatOption::new().router(move |request: &dyn IRequest| {
        drop(heard.put(request.get_bytes()));
        Ok(())
    });
    client.start_heart_beat_with_option(Duration::from_millis(200), option)?;
    client.start()?;
    for beat in beats.iter().take(10) {
        println!("{beat:?}");
    }
    beats.close();
    client.stop();
    client.wait_stopped(Duration::from_secs(5));

    let silent = new_client(host, port)?;
    silent.add_router(HEART_BEAT_DEFAULT_MSG_ID, |_: &dyn IRequest| Ok(()))?;
    silent.start()?;
    let dropped = silent.wait_stopped(Duration::from_secs(10));
    println!("silent, and dropped: {dropped}");
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
    zinx::exit(talk(host, port.parse().unwrap_or(7777)))
}
