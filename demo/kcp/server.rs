//! A server for games on bad networks: KCP over UDP beside TCP, one handler for both, and the error correction of Go Zinx's example.
//!
//! Run it: `cargo run --features kcp --example kcp_server`, and beside it `cargo run --features kcp --example kcp_client`

use std::process::ExitCode;

use zinx::prelude::*;
use zinx::zconf::Mode;

fn echo(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    println!("over {}: {}", conn.get_transport(), String::from_utf8_lossy(request.get_data()));
    conn.send_msg(1, request.get_data())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    config.mode = Mode::TCP.and(Mode::KCP);
    // The same at both ends: of thirteen datagrams three may be lost.
    (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = (10, 3);
    let server = new_server_with_config(config)?;
    server.add_router(1, echo)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
