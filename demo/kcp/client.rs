//! A client that speaks KCP over UDP.
//!
//! Run it beside the server: `cargo run --features kcp --example kcp_client [host:port]`

use std::process::ExitCode;
use std::sync::Arc;

use zinx::prelude::*;
use zinx::znet::new_kcp_client_with_config;

fn talk() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:9001".to_string());
    let (host, port) = address.rsplit_once(':').ok_or("an address is host:port")?;
    let mut config = Config::load()?;
    (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = (10, 3);
    let client = new_kcp_client_with_config(host, port.parse().map_err(Error::other)?, config)?;
    client
        .set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(1, "sent again sooner than over TCP"));
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
