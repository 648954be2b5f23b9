//! Against Go Zinx itself: its clients at our servers, and our client at its servers.
//!
//! Where there is no `go`, each test says by name that it was skipped.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::go_peer::{GoServer, peer, talk, try_to_talk};
use crate::common::{Watchdog, comes_true, config, start_alone, wait_until};
use zinx::zconf::PackKind;
use zinx::ziface::{CloseReason, HEART_BEAT_DEFAULT_MSG_ID, HeartBeatOption, IClient, IRequest, IServer};
use zinx::znet::Reconnect;
use zinx::zpack::{htlvcrc_frame, new_htlvcrc_decoder};
use zinx::{Client, Config, Server, handlers, new_client_with_config, new_server_with_config};

#[test]
fn a_go_client_gets_its_echoes_in_tlv_big_endian() {
    echo_to_go(PackKind::TlvBigEndian, "tlv");
}

#[test]
fn a_go_client_gets_its_echoes_in_ltv_little_endian() {
    echo_to_go(PackKind::LtvLittleEndian, "ltv");
}

fn echo_to_go(pack: PackKind, name: &str) {
    let Some(peer) = peer() else { return };
    let running = start_alone(config_in(pack), |_| {});
    let port = running.server.local_addr().unwrap().port().to_string();
    talk(&peer, &["-port", &port, "-pack", name, "-count", "500"], "ok: 500 echoes, 0 heartbeats");
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server_in_tlv_big_endian() {
    echo_from_go(PackKind::TlvBigEndian, "tlv");
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server_in_ltv_little_endian() {
    echo_from_go(PackKind::LtvLittleEndian, "ltv");
}

fn echo_from_go(pack: PackKind, name: &str) {
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let server = GoServer::start(&peer, &["-pack", name]);
    let (client, received) = client(server.port.number(), pack);
    client.start().unwrap();
    let conn = client.wait_connected(SOON).unwrap();
    let sent: Vec<_> = (0..500_usize).map(|n| vec![n as u8; 1 + n * 37 % 3000]).collect();
    for data in &sent {
        conn.send_msg(1, data).unwrap();
    }
    wait_until("all echoes", || received.lock().unwrap().len() == sent.len());
    assert!(*received.lock().unwrap() == sent, "echoes are not what was sent");
    stop(&client);
}

#[test]
fn a_go_client_gets_its_htlvcrc_frames_back() {
    let Some(peer) = peer() else { return };
    // The id is the function code, and the data the whole frame.
    let running = start_server(|server| {
        server.set_decoder(new_htlvcrc_decoder()).unwrap();
        server
            .add_router(1, |request: &dyn IRequest| request.get_connection().send(request.get_data()))
            .unwrap();
    });
    let port = running.local_addr().unwrap().port().to_string();
    talk(&peer, &["-port", &port, "-pack", "htlvcrc", "-count", "500"], "ok: 500 echoes, 0 heartbeats");
    running.stop();
    assert!(running.wait_stopped(SOON));
}

#[test]
fn our_client_gets_its_htlvcrc_frames_back_from_a_go_server() {
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let server = GoServer::start(&peer, &["-pack", "htlvcrc"]);
    let (client, received) = client(server.port.number(), PackKind::TlvBigEndian);
    client.set_decoder(new_htlvcrc_decoder()).unwrap();
    client.start().unwrap();
    let conn = client.wait_connected(SOON).unwrap();
    let frame = |n: usize| htlvcrc_frame(0xa2, 1, &vec![n as u8; n % 255]).unwrap();
    let sent: Vec<_> = (0..500).map(frame).collect();
    for frame in &sent {
        conn.send(frame.as_slice()).unwrap();
    }
    wait_until("all frames", || received.lock().unwrap().len() == sent.len());
    assert!(received.lock().unwrap().iter().eq(sent.iter()), "frames are not what was sent");
    stop(&client);
}

#[test]
fn a_slice_of_handlers_answers_in_the_same_order_on_either_side() {
    let Some(peer) = peer() else { return };
    let theirs = GoServer::start(&peer, &["-slices"]);
    let ours = slices_server();
    for port in [theirs.port.number(), ours.local_addr().unwrap().port()] {
        let (client, received) = client(port, PackKind::TlvBigEndian);
        let noted = Arc::clone(&received);
        client
            .add_router(2, move |request: &dyn IRequest| {
                noted.lock().unwrap().push(request.get_data().to_vec());
                Ok(())
            })
            .unwrap();
        client.start().unwrap();
        client.wait_connected(SOON).unwrap().send_msg(1, "echo").unwrap();
        wait_until("three answers", || received.lock().unwrap().len() == 3);
        assert_eq!(*received.lock().unwrap(), [&b"before"[..], b"echo", b"behind"]);
        stop(&client);
    }
    ours.stop();
    assert!(ours.wait_stopped(SOON));
}

#[test]
fn a_go_client_gets_the_answers_of_our_slices_in_order() {
    let Some(peer) = peer() else { return };
    let ours = slices_server();
    let port = ours.local_addr().unwrap().port().to_string();
    talk(&peer, &["-port", &port, "-slices", "-count", "20"], "ok: 20 echoes, 0 heartbeats");
    ours.stop();
    assert!(ours.wait_stopped(SOON));
}

/// Answers before, with and behind the echo, in the order of an onion, as the Go server does.
fn slices_server() -> Server {
    start_server(|server| {
        let framed = |request: &dyn IRequest| {
            request.get_connection().send_msg(2, "before")?;
            request.router_slices_next()?;
            request.get_connection().send_msg(2, "behind")
        };
        let echo = |request: &dyn IRequest| request.get_connection().send_msg(1, request.get_data());
        server.add_router_slices(1, handlers![framed, echo]).unwrap();
    })
}

#[test]
fn a_go_client_sees_our_heartbeat_and_stays_while_it_sends_its_own() {
    let Some(peer) = peer() else { return };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heard);
    let running = start_alone(config_in(PackKind::TlvBigEndian), |server| {
        let option = HeartBeatOption::new().misses(10).router(move |request: &dyn IRequest| {
            noted.lock().unwrap().push(String::from_utf8_lossy(request.get_data()).into_owned());
            Ok(())
        });
        server.start_heart_beat_with_option(Duration::from_millis(200), option).unwrap();
    });
    let port = running.server.local_addr().unwrap().port().to_string();
    // It says nothing, and is lost after two seconds: on a busy machine before it has read all, or it counts one that comes meanwhile.
    let watch = ["-port", &port, "-watch", "3"];
    let sees = || try_to_talk(&peer, &watch, "ok: 0 echoes, 3 heartbeats");
    assert!((0..3).any(|_| sees()), "three times lost");
    assert!(heard.lock().unwrap().is_empty());
    // Half a second more than either side allows the other to be silent. A busy machine may make it silent for longer.
    let hold = ["-port", &port, "-beat", "200ms", "-hold", "2500ms"];
    let stays = || try_to_talk(&peer, &hold, "ok: 0 echoes, 0 heartbeats");
    assert!((0..3).any(|_| stays()), "three times lost");
    let heard = heard.lock().unwrap();
    assert!(heard.len() >= 5, "{heard:?}");
    let ours = format!("->127.0.0.1:{port}]");
    assert!(
        heard.iter().all(|body| body.starts_with("heartbeat [127.0.0.1:") && body.ends_with(&ours)),
        "{heard:?}"
    );
}

#[test]
fn our_heartbeat_keeps_a_connection_to_a_go_server_and_silence_loses_it() {
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    // A busy machine may keep our heartbeat back for longer than the server allows.
    assert!((0..3).any(|_| is_kept_while_a_silent_one_is_lost(&peer)), "three times lost");
}

fn is_kept_while_a_silent_one_is_lost(peer: &Path) -> bool {
    let server = GoServer::start(peer, &["-beat", "200ms"]);
    let (silent, _) = client(server.port.number(), PackKind::TlvBigEndian);
    silent.add_router(HEART_BEAT_DEFAULT_MSG_ID, |_: &dyn IRequest| Ok(())).unwrap();
    silent.start().unwrap();
    let lost = silent.wait_connected(SOON).unwrap();
    silent.set_reconnect(None);
    let (client, received) = client(server.port.number(), PackKind::TlvBigEndian);
    let beats = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&beats);
    let option = HeartBeatOption::new().misses(10).router(move |_: &dyn IRequest| {
        counted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    });
    client.start_heart_beat_with_option(Duration::from_millis(200), option).unwrap();
    client.start().unwrap();
    let conn = client.wait_connected(SOON).unwrap();
    // Three seconds, where the server allows one of silence.
    wait_until("the server's heartbeats", || beats.load(Ordering::Acquire) >= 15);
    assert!(lost.wait_closed(SOON).unwrap(), "the server keeps a silent client");
    assert_eq!(lost.get_close_reason(), Some(CloseReason::PeerClosed));
    let is_kept = conn.send_msg(1, "still there?").is_ok()
        && comes_true(SOON, || received.lock().unwrap().len() == 1 || !conn.is_alive());
    let is_kept = is_kept && conn.is_alive();
    assert_eq!(conn.get_conn_id(), 0);
    stop(&client);
    is_kept
}

type Received = Arc<Mutex<Vec<Vec<u8>>>>;

/// A client that connects as soon as the server listens, and notes what comes back.
fn client(port: u16, pack: PackKind) -> (Client, Received) {
    let client = new_client_with_config("127.0.0.1", port, config_in(pack)).unwrap();
    client.set_reconnect(Reconnect { longest_pause: Duration::from_millis(100), ..Reconnect::default() });
    let received = Received::default();
    let noted = Arc::clone(&received);
    client
        .add_router(1, move |request: &dyn IRequest| {
            noted.lock().unwrap().push(request.get_data().to_vec());
            Ok(())
        })
        .unwrap();
    (client, received)
}

/// A server without the echo that the other tests' servers have.
fn start_server(set_up: impl FnOnce(&Server)) -> Server {
    let server = new_server_with_config(config_in(PackKind::TlvBigEndian)).unwrap();
    set_up(&server);
    server.start().unwrap();
    server
}

fn config_in(pack: PackKind) -> Config {
    let mut config = config();
    config.data_pack = pack;
    config
}

fn stop(client: &Client) {
    client.stop();
    assert!(client.wait_stopped(SOON), "the client has not stopped");
}

const SOON: Duration = Duration::from_secs(10);
