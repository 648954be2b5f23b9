//! The echo of zinx over TLS, WebSocket or KCP.
//!
//! Run it: `zinx_over tls 7777 server.pem server.key`, `zinx_over ws 7777`, `zinx_over kcp 7777`

use std::process::ExitCode;

use zinx::zconf::Mode;
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Result, green, new_server_with_config};

fn main() -> ExitCode {
    zinx::exit(serve(&std::env::args().collect::<Vec<_>>()))
}

fn serve(args: &[String]) -> Result<()> {
    green::raise_open_files(65_536);
    let mut config = Config::default();
    config.host = "0.0.0.0".to_string();
    (config.max_packet_size, config.max_conn) = (1 << 20, 19_000);
    let port = args[2].parse()?;
    match args[1].as_str() {
        "ws" => (config.mode, config.ws_port) = (Mode::WEBSOCKET, port),
        "kcp" => (config.mode, config.kcp_port) = (Mode::KCP, port),
        _ => {
            config.tcp_port = port;
            (config.cert_file, config.private_key_file) = (args[3].clone(), args[4].clone());
        }
    }
    let server = new_server_with_config(config)?;
    server.add_router(1, |request: &dyn IRequest| {
        request.get_connection().send_msg(1, request.get_payload())
    })?;
    server.serve()
}
