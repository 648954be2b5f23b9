//! A client of ours, and what it hears of the echoes.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use zinx::Client;
use zinx::ziface::{IClient, IConnection, IRequest};

use crate::common::ECHO;

/// What a client hears.
pub(crate) fn hears(client: &Client) -> mpsc::Receiver<Vec<u8>> {
    let (said, heard) = mpsc::channel();
    let said = Mutex::new(said);
    let echo = move |request: &dyn IRequest| {
        said.lock().unwrap().send(request.get_data().to_vec()).unwrap();
        Ok(())
    };
    client.add_router(ECHO, echo).unwrap();
    heard
}

/// Starts a client that says hello, and returns what it hears after the echo of that.
pub(crate) fn greets(client: &Client) -> mpsc::Receiver<Vec<u8>> {
    let heard = hears(client);
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(ECHO, "hello"));
    client.start().unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), b"hello");
    heard
}
