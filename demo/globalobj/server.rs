//! Chapter 4, the configuration: a `zinx.json` of the tutorial, the environment over it, the program's own word last.
//!
//! Run it: `ZINX_CONFIG_FILE_PATH=demo/globalobj/conf/zinx.json cargo run --example globalobj_server`, and in a second terminal
//! `cargo run --example globalobj_client`. With `ZINX_MAXPACKETSIZE=4096` too, the long message is accepted.

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, new_server_with_config};

fn serve() -> Result<()> {
    let mut config = Config::load()?; // defaults < file < environment
    config.version = "V0.4".to_string(); // < code
    let told = format!(
        "{} {}, MaxConn {}, MaxPacketSize {}",
        config.name, config.version, config.max_conn, config.max_packet_size
    );
    println!("{told}");
    let server = new_server_with_config(config)?;
    server
        .add_router(1, move |request: &dyn IRequest| request.get_connection().send_msg(1, told.as_str()))?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
