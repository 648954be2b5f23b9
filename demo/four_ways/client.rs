//! A client for each of the four ways, one after the other.
//!
//! Run it beside the server: `cargo run --features tls,websocket,kcp --example four_ways_client [addresses]`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use zinx::Client;
use zinx::prelude::*;
use zinx::znet::{TlsOptions, new_client_with_url, new_tls_client_with_options};

/// A client for an address like `kcp://localhost:9001`.
fn client(address: &str) -> Result<Client> {
    let Some(place) = address.strip_prefix("tls://") else { return new_client_with_url(address) };
    // The demo's certificate is of an authority that no machine trusts.
    let (host, port) = place.rsplit_once(':').ok_or("no port")?;
    let options = TlsOptions::new().ca_file("tests/data/tls/ca.pem");
    new_tls_client_with_options(host, port.parse().map_err(Error::other)?, &options, Config::load()?)
}

fn talk() -> Result<()> {
    let mut addresses: Vec<_> = std::env::args().skip(1).collect();
    if addresses.is_empty() {
        addresses.extend(ADDRESSES.map(String::from));
    }
    for address in addresses {
        let client = client(&address)?;
        client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "hello"));
        client.add_router(1, |request: &dyn IRequest| {
            println!("{}", String::from_utf8_lossy(request.get_data()));
            request.get_connection().stop();
            Ok(())
        })?;
        client.start()?;
        client.wait_stopped(Duration::from_secs(10));
    }
    Ok(())
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn,may=warn")).init();
    exit(talk())
}

const ADDRESSES: [&str; 4] =
    ["tcp://localhost:7777", "ws://localhost:9000/", "kcp://localhost:9001", "tls://localhost:7778"];
