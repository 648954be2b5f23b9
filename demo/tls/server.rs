//! A server that speaks TLS: the echo server, with a certificate in its configuration.
//!
//! Run it: `cargo run --features tls --example tls_server`, and beside it `cargo run --features tls --example tls_client`

use std::process::ExitCode;

use zinx::prelude::*;

fn echo(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    println!("over {}: {}", conn.get_transport(), String::from_utf8_lossy(request.get_data()));
    conn.send_msg(1, request.get_data())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    if config.cert_file.is_empty() {
        // The keys of the tests are known to everybody: for this demo only.
        config.cert_file = "tests/data/tls/server.pem".to_string();
        config.private_key_file = "tests/data/tls/server.key".to_string();
    }
    let server = new_server_with_config(config)?;
    server.add_router(1, echo)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
