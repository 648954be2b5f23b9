//! Log files: the `Log..` keys of the configuration say where lines go, which, and for how long.
//!
//! Every message is logged as a line of its own.
//!
//! Run it: `ZINX_LOGFILE=zinx.log ZINX_LOGDIR=./log cargo run --example logger_server`, and in a second terminal
//! `cargo run --example client_client`; then look at `log/zinx.log`.

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, new_server_with_config, zlog};

fn serve() -> Result<()> {
    let config = Config::load()?;
    zlog::init(&config)?;
    let server = new_server_with_config(config)?;
    server.add_router(1, |request: &dyn IRequest| {
        let conn = request.get_connection();
        log::debug!("conn id {}: {} bytes", conn.get_conn_id(), request.get_data().len());
        log::info!("conn id {}: {:?}", conn.get_conn_id(), request.get_bytes());
        conn.send_msg(1, "logged")
    })?;
    server.serve()
}

fn main() -> ExitCode {
    zinx::exit(serve())
}
