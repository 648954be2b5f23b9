//! Who may ask the admin plane, and what it does with what is no request.

use std::io::{Read, Write};
use std::net::TcpStream;

use zinx::Error;
use zinx::ziface::IServer;

use crate::common::{start_alone, wait_until};
use crate::http::{ask, config, talk};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn without_a_key_there_is_no_admin_plane() {
    for off in ["", "off"] {
        let mut config = config();
        config.admin = off.to_string();
        let running = start_alone(config, |_| {});
        assert_eq!(running.server.admin_addr(), None);
    }
}

#[test]
fn an_address_that_others_can_reach_needs_a_token() {
    let mut open = config();
    open.admin = "0.0.0.0:0".to_string();
    let error = zinx::new_server_with_config(open.clone()).err().unwrap().to_string();
    assert!(
        error.starts_with("AdminToken: found nothing, expected a token, because Admin 0.0.0.0:0"),
        "{error}"
    );
    let error = zinx::Config::from_yaml("Admin: 0.0.0.0:7778").err().unwrap().to_string();
    assert!(error.contains("AdminToken: found nothing"), "{error}");
    open.admin_token = TOKEN.to_string();
    let running = start_alone(open, |_| {});
    let plane = format!("127.0.0.1:{}", running.server.admin_addr().unwrap().port()).parse().unwrap();
    assert_eq!(ask(plane, "GET", "/healthz", "Host: probe.example\r\n").status, 200, "probes have no token");
    assert_eq!(ask(plane, "GET", "/readyz", "").status, 200);
    for without in
        ["", "Authorization: Bearer 0123456789abcdeX\r\n", "Authorization: Basic 0123456789abcdef\r\n"]
    {
        let refused = ask(plane, "GET", "/varz", without);
        assert!(refused.status == 401 && refused.head.contains("WWW-Authenticate: Bearer"), "{without}");
        assert_eq!(ask(plane, "POST", "/drain", without).status, 401);
    }
    let with = format!("Host: game.example\r\nAuthorization: Bearer {TOKEN}\r\n");
    let answer = ask(plane, "GET", "/varz", &with);
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains(TOKEN), "the token is shown");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let running = start_alone(config(), |_| {});
    let plane = running.server.admin_addr().unwrap();
    assert_eq!(ask(plane, "GET", "/varz", "Host: evil.example\r\n").status, 403, "a name that means us");
    for from in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(ask(plane, "POST", "/drain", from).status, 403, "{from}");
    }
    let own = format!("Origin: http://{plane}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(ask(plane, "POST", "/loglevel?level=loud", &own).status, 400);
    assert!(running.server.admin_addr().is_some(), "it drains");
}

#[test]
fn what_is_no_request_gets_its_status_and_nothing_else_happens() {
    let running = start_alone(config(), |_| {});
    let plane = running.server.admin_addr().unwrap();
    for (path, status) in [("/nosuch", 404), ("/connz/x", 404), ("/connz/99", 404), ("/groupz/none", 404)] {
        assert_eq!(ask(plane, "GET", path, "").status, status, "{path}");
    }
    for path in
        ["/connz?sort=name", "/connz?state=dead", "/connz?limit=-1", "/connz?limit=99999", "/connz?nosuch"]
    {
        let answer = ask(plane, "GET", path, "");
        assert!(answer.status == 400 && answer.json()["error"].is_string(), "{path}: {}", answer.body);
    }
    for (method, path, allowed) in
        [("GET", "/drain", "POST"), ("POST", "/varz", "GET, HEAD"), ("PUT", "/varz", "GET, HEAD, POST")]
    {
        let answer = ask(plane, method, path, "");
        assert!(
            answer.status == 405 && answer.head.contains(&format!("Allow: {allowed}")),
            "{}",
            answer.head
        );
    }
    assert_eq!(talk(plane, b"hello\r\n\r\n").status, 400);
    assert_eq!(talk(plane, &[b"GET /", &vec![b'x'; 20_000][..]].concat()).status, 431);
    let head = ask(plane, "HEAD", "/varz", "");
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(ask(plane, "GET", "/healthz", "").body, "ok\n");
}

#[test]
fn those_who_never_ask_keep_nobody_out() {
    let running = start_alone(config(), |_| {});
    let plane = running.server.admin_addr().unwrap();
    let mut silent: Vec<_> = (0..100).map(|_| TcpStream::connect(plane).unwrap()).collect();
    silent.iter_mut().for_each(|stream| stream.write_all(b"GET /varz HT").unwrap());
    assert_eq!(ask(plane, "GET", "/varz", "").status, 200);
    // The first has lost its place to a later one.
    let mut rest = Vec::new();
    let _ = silent[0].read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn a_port_that_is_taken_is_an_error_of_the_start_which_may_be_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config();
    config.admin = taken.local_addr().unwrap().to_string();
    let server = zinx::new_server_with_config(config).unwrap();
    let error = server.start().unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("(Admin)"), "{error}");
    assert_eq!(server.local_addr(), None);
    drop(taken);
    // A child that another test is starting may have inherited the listener, for a moment.
    wait_until("a start", || server.start().is_ok());
    assert!(server.admin_addr().is_some());
    server.stop();
    assert!(server.wait_stopped(std::time::Duration::from_secs(20)));
    assert_eq!(server.admin_addr(), None);
}
