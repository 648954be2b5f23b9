//! A central system for charging stations: OCPP 1.6-J over WebSocket, and a page for its operator.
//!
//! Run it: `cargo run --features websocket,json --example ocpp_server`. Stations connect to `ws://localhost:9000/ocpp/NAME`, the operator
//! to <http://localhost:9180/>. `python3 demo/ocpp/fleet.py` is a fleet of 500 stations.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use zinx::green::{StreamServer, TcpStream};
use zinx::prelude::*;
use zinx::zconf::Mode;

mod central;
mod message;
use central::{Central, TEXT};

/// The largest request of the operator.
const MAX_BODY: u64 = 64 * 1024;

/// Longest time a station may take to answer.
fn patience() -> Duration {
    let millis = std::env::var("OCPP_PATIENCE_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(millis.unwrap_or(30_000))
}

/// Answers one request of the operator.
fn attend(central: &Central, stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.clone().take(MAX_BODY));
    let (mut first, mut length) = (String::new(), 0);
    lines.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("Content-Length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    lines.take(length).read_to_end(&mut body)?;
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (kind, answer) = match (method, &parts[..]) {
        ("GET", [""]) => ("text/html; charset=utf-8", include_str!("page.html").to_string()),
        ("GET", ["stations"]) => ("application/json", central.stations().to_string()),
        // A page of another site cannot send this kind of body without asking first.
        ("POST", ["stations", name, action]) => {
            let payload: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
            let outcome = match central.ask(name, action, &payload) {
                Ok(answer) => json!({"answer": answer}),
                Err(Error::TimedOut { .. }) => json!({"error": "timed out"}),
                Err(error) => json!({"error": error.to_string()}),
            };
            ("application/json", outcome.to_string())
        }
        _ => ("text/plain", "there is /, /stations, and POST to /stations/NAME/ACTION\n".to_string()),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    let mut to = stream;
    to.write_all(head.as_bytes())?;
    to.write_all(answer.as_bytes())
}

fn serve() -> Result<()> {
    let mut config = Config::load()?;
    (config.mode, config.ws_text_msg_id) = (Mode::WEBSOCKET, TEXT);
    (config.ws_path, config.ws_protocols) = ("/ocpp/*".to_string(), "ocpp1.6".to_string());
    config.max_packet_size = config.max_packet_size.max(64 * 1024);
    let (server, central) = (new_server_with_config(config)?, Central::new(patience()));
    let (judge, begins, ends, hears) =
        (Arc::clone(&central), Arc::clone(&central), Arc::clone(&central), Arc::clone(&central));
    server.set_websocket_auth(move |request| judge.admit(request))?;
    server.set_on_conn_start(move |conn| begins.begin(conn));
    server.set_on_conn_stop(move |conn| ends.end(conn));
    server.set_call_sequence(|message| Some(message::answers(message.get_data())))?;
    server.add_router(TEXT, move |request: &dyn IRequest| hears.handle(request))?;

    let port =
        std::env::var("OCPP_OPERATOR_PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(9180_u16);
    let operator = StreamServer::bind(("127.0.0.1", port)).map_err(Error::other)?;
    log::info!("the operator's page is at http://{}/", operator.local_addr());
    operator.start(move |stream: TcpStream, _| attend(&central, &stream)).map_err(Error::other)?;
    server.serve()?;
    operator.stop(Duration::from_secs(1));
    Ok(())
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
