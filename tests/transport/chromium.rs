//! A browser as the peer: the page of `demo/websocket` in Chromium, which `ZINX_TEST_CHROMIUM` names.

use zinx::ziface::{IRequest, IServer, TransportKind};

use crate::common::{start_alone, wait_until};
use crate::foreign::run;
use crate::ws_peer::{address, config};

#[test]
fn the_page_of_the_demo_talks_to_our_server_in_chromium() {
    if std::env::var_os("ZINX_TEST_CHROMIUM").is_none() {
        return eprintln!("skipped: WebSocket from Chromium, because ZINX_TEST_CHROMIUM names none");
    }
    let running = start_alone(config(), |server| {
        let close = |request: &dyn IRequest| {
            request.get_connection().stop();
            Ok(())
        };
        server.add_router(2, close).unwrap();
    });
    let port = address(&running.server, TransportKind::WebSocket).port().to_string();
    let here = env!("CARGO_MANIFEST_DIR");
    let (script, page) =
        (format!("{here}/tests/transport/chromium.mjs"), format!("{here}/demo/websocket/page.html"));
    run("node", &["--experimental-websocket", &script, &page, &port]);
    wait_until("all are closed", || running.server.get_conn_mgr().is_empty());
    assert_eq!(running.stop().accepted, 3);
}
