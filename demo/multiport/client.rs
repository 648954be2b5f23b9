//! Several servers in one process: asks each who it is; only one administrator gets in.
//!
//! Run it: `cargo run --example multiport_client -- 127.0.0.1:7777 127.0.0.1:7778`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::Queue;
use zinx::zconf::PackKind;
use zinx::ziface::{IClient, IConnection, IRequest};
use zinx::{Client, Config, Result, new_client_with_config};

/// Asks which server answers at `address`. `None` if the server closes without a word.
fn ask(address: &str, pack: PackKind) -> Result<(Client, Option<String>)> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut config = Config::load()?;
    config.data_pack = pack;
    let client = new_client_with_config(host, port.parse().unwrap_or(7777), config)?;
    let answer = Arc::new(Queue::bounded(1));
    let (heard, closed) = (Arc::clone(&answer), Arc::clone(&answer));
    client.add_router(1, move |request: &dyn IRequest| {
        drop(heard.put(String::from_utf8_lossy(request.get_data()).into_owned()));
        Ok(())
    })?;
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "who are you?"));
    client.set_on_conn_stop(move |_| {
        closed.close();
        Ok(())
    });
    client.start()?;
    Ok((client, answer.get()))
}

fn talk(players: &str, admins: &str) -> Result<()> {
    let mut clients = Vec::new();
    for (address, pack) in [
        (players, PackKind::LtvLittleEndian),
        (players, PackKind::LtvLittleEndian),
        (admins, PackKind::TlvBigEndian),
        (admins, PackKind::TlvBigEndian),
    ] {
        let (client, answer) = ask(address, pack)?;
        println!("{}", answer.as_deref().unwrap_or("closed without a word"));
        clients.push(client);
    }
    clients.iter().for_each(Client::stop);
    for client in clients {
        client.wait_stopped(Duration::from_secs(5));
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = |n| std::env::args().nth(n);
    let players = address(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let admins = address(2).unwrap_or_else(|| "127.0.0.1:7778".to_string());
    zinx::exit(talk(&players, &admins))
}
