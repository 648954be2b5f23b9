//! nginx before a server, with the very blocks of `docs/deployment.md`. `ZINX_TEST_NGINX` names the program, if it is not `nginx`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use zinx::Config;
use zinx::zconf::{Mode, Networks};
use zinx::ziface::{CloseReason, IServer, TransportKind};

use crate::common::port::ReservedPort;
use crate::common::{self, Running, start_alone, wait_until};
use crate::foreign::program;
use crate::tls_peer::{TlsPeer, client_config, pem};
use crate::ws_peer::{WsPeer, address, connected};

#[test]
fn nginx_ends_tls_and_names_the_client_by_a_proxy_header() {
    let Some(program) = nginx() else { return };
    let running = start_alone(behind_it(|config| config.proxy_protocol = true), |_| {});
    let (tls, wss) = (ReservedPort::new(), ReservedPort::new());
    let block = documented("stream {", &running, &[("listen 8443", &tls), ("listen 9443", &wss)]);
    let _nginx = Nginx::start(&program, "stream", &block, &tls);

    let mut peer = TlsPeer::over(connected(tls.address), client_config(|_| {}));
    peer.check_echo();
    assert_eq!(running.conn(peer.addr()).get_transport(), TransportKind::Tcp);
    let mut browser = wss_peer(&wss, "wss://localhost/");
    browser.check_echo();
    assert_eq!(running.conn(browser.addr()).get_transport(), TransportKind::WebSocket);
    drop(browser);
    wait_until("its end", || running.server.get_conn_mgr().len() == 1);

    // The end of the client reaches the server, and that of the server the client.
    let mut other = TlsPeer::over(connected(tls.address), client_config(|_| {}));
    other.check_echo();
    let gone = other.addr();
    drop(other);
    assert_eq!(running.close_reason(gone), CloseReason::PeerClosed);
    running.server.stop();
    assert_eq!(peer.read_to_end().unwrap(), b"");
}

#[test]
fn nginx_beside_a_web_site_names_the_client_by_a_header_of_http() {
    let Some(program) = nginx() else { return };
    let config = behind_it(|config| config.ws_path = "/game".to_string());
    let running = start_alone(config, |_| {});
    let wss = ReservedPort::new();
    let block = documented("server {", &running, &[("listen 443", &wss)]);
    let _nginx = Nginx::start(&program, "http", &format!("http {{\n{HTTP}\n{block}\n}}"), &wss);

    let mut browser = wss_peer(&wss, "wss://localhost/game");
    browser.check_echo();
    // It has no port there, and the address is that of a client, not of nginx with its port.
    let client = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(running.conn(client).get_transport(), TransportKind::WebSocket);
    running.server.stop();
    assert_eq!(browser.read_close(), 1001);
}

fn nginx() -> Option<String> {
    program("ZINX_TEST_NGINX", "nginx", "nginx before a server", &["-v"])
}

fn behind_it(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = common::config();
    (config.mode, config.ws_port) = (Mode::TCP_AND_WEBSOCKET, 0);
    config.trusted_proxies = Networks::parse("127.0.0.1").unwrap();
    change(&mut config);
    config
}

fn wss_peer(port: &ReservedPort, url: &str) -> WsPeer {
    let tls = TlsPeer::over(connected(port.address), client_config(|_| {}));
    let addr = tls.addr();
    WsPeer::over(Box::new(tls.stream), addr, url).unwrap()
}

/// The block of the page that begins so, with the addresses and certificates of this test.
fn documented(begins: &str, running: &Running, listens: &[(&str, &ReservedPort)]) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deployment.md")).unwrap();
    let mut blocks = page.split("```nginx\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let is_it = |block: &&str| block.lines().find(|line| !line.starts_with('#')) == Some(begins);
    let mut block = blocks.find(is_it).expect("the page has it").to_string();
    let upstreams = [("127.0.0.1:7777", TransportKind::Tcp), ("127.0.0.1:9000", TransportKind::WebSocket)];
    for (documented, kind) in upstreams {
        block = block.replace(documented, &address(&running.server, kind).to_string());
    }
    for (documented, name) in [("crt", "server.pem"), ("key", "server.key")] {
        block = block.replace(&format!("/etc/ssl/my-shop.{documented}"), &pem(name));
    }
    for (documented, port) in listens {
        assert!(block.contains(documented), "{documented}: {block}");
        block = block.replace(documented, &format!("listen {}", port.address));
    }
    block
}

/// Ends with the test.
struct Nginx(Child);

impl Nginx {
    /// Runs it with these blocks alone, until it listens.
    fn start(program: &str, name: &str, blocks: &str, port: &ReservedPort) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{name}-{}", port.number()));
        fs::create_dir_all(&folder).unwrap();
        let conf = folder.join("nginx.conf");
        fs::write(&conf, format!("{}{ALONE}{blocks}\n", stream_module(program))).unwrap();
        let mut command = Command::new(program);
        let child = command.arg("-p").arg(&folder).arg("-c").arg(&conf).args(["-e", "stderr"]).spawn();
        let mut nginx = Self(child.expect("it has just run"));
        wait_until("nginx", || {
            assert_eq!(nginx.0.try_wait().unwrap(), None, "nginx has ended");
            TcpStream::connect(port.address).is_ok()
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Loads the module of streams, where it is a file of its own, as in Debian: beside the program, two folders up.
fn stream_module(program: &str) -> String {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap();
    let program = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let usr = program.ancestors().nth(2).unwrap_or_else(|| Path::new("/"));
    let module = usr.join("lib/nginx/modules/ngx_stream_module.so");
    if module.exists() { format!("load_module {};\n", module.display()) } else { String::new() }
}

/// What a distribution has in the file already: here for one process, which ends with the test and writes beside its file.
const ALONE: &str = "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\n";
const HTTP: &str = "access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
    uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;";
