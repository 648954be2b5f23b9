//! A client that speaks TLS, and trusts one authority alone.
//!
//! Run it beside the server: `cargo run --features tls --example tls_client [host:port]`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::prelude::*;
use zinx::znet::{TlsOptions, new_tls_client_with_options};

fn talk() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:7777".to_string());
    let (host, port) = address.rsplit_once(':').ok_or("an address is host:port")?;
    let options = TlsOptions::new().ca_file("tests/data/tls/ca.pem");
    let port = port.parse().map_err(Error::other)?;
    let client = new_tls_client_with_options(host, port, &options, Config::load()?)?;
    client
        .set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "nobody can read this on the way"));
    client.add_router(1, |request: &dyn IRequest| {
        println!("echo: {}", String::from_utf8_lossy(request.get_data()));
        request.get_connection().stop();
        Ok(())
    })?;
    client.start()?;
    client.wait_stopped(std::time::Duration::from_secs(10));
    Ok(())
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn,may=warn")).init();
    exit(talk())
}
