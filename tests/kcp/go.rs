//! Against kcp-go and Go Zinx's KCP server, with its error correction and without, on good networks and bad ones.
//!
//! Where there is no `go`, each test says by name that it was skipped.

use std::time::Duration;

use zinx::Config;
use zinx::zconf::PackKind;
use zinx::ziface::{CloseReason, IClient, IServer};

use crate::common::go_peer::{GoServer, peer, talk, try_to_talk};
use crate::common::in_time::in_time;
use crate::common::{ECHO, Watchdog, pattern, start_alone, wait_until};
use crate::lossy::{Badness, Lossy};
use crate::ours::{SOON, address, client, config, stop};

#[test]
fn a_go_peer_gets_its_echoes() {
    echo_to_go("0/0", Badness::default());
}

#[test]
fn a_go_peer_gets_its_echoes_on_a_bad_network() {
    echo_to_go("0/0", BAD);
}

#[test]
fn a_go_peer_with_error_correction_gets_its_echoes() {
    echo_to_go("10/3", Badness::default());
}

#[test]
fn a_go_peer_with_error_correction_gets_its_echoes_on_a_bad_network() {
    echo_to_go("10/3", BAD);
}

fn echo_to_go(fec: &str, badness: Badness) {
    let Some(peer) = peer() else { return };
    let running = start_alone(config_with(fec), |_| {});
    let lossy = Lossy::before(address(&running), badness, 5);
    let port = lossy.address.port().to_string();
    let arguments = ["-transport", "kcp", "-fec", fec, "-port", &port, "-count", "200"];
    talk(&peer, &arguments, "ok: 200 echoes, 0 heartbeats");
    // Counted when the pass that read them is over, which the answers do not wait for.
    wait_until("all to be counted", || running.server.stats().requests >= 200);
    let stats = running.server.stats();
    assert_eq!((stats.accepted, stats.requests, stats.bad_datagrams), (1, 200, 0));
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server() {
    echo_from_go("0/0", Badness::default());
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server_on_a_bad_network() {
    echo_from_go("0/0", BAD);
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server_with_error_correction() {
    echo_from_go("10/3", Badness::default());
}

#[test]
fn our_client_gets_its_echoes_from_a_go_server_with_error_correction_on_a_bad_network() {
    echo_from_go("10/3", BAD);
}

fn echo_from_go(fec: &str, badness: Badness) {
    const MESSAGES: usize = 200;
    let Some(peer) = peer() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let server = GoServer::start(&peer, &["-transport", "kcp", "-fec", fec]);
    let lossy = Lossy::before(server.port.address, badness, 9);
    let (client, heard) = client(lossy.address, config_with(fec));
    client.start().unwrap();
    let conn = client.conn().unwrap();
    for n in 0..MESSAGES {
        conn.send_msg(ECHO, pattern(4 + n * 37 % 3000)).unwrap();
    }
    for n in 0..MESSAGES {
        assert!(
            heard.recv_timeout(SOON).unwrap() == pattern(4 + n * 37 % 3000),
            "echo {n} is not what was sent"
        );
    }
    stop(&client);
}

#[test]
fn a_go_peer_that_leaves_without_a_word_is_missed() {
    let Some(peer) = peer() else { return };
    let mut its_config = config_with("0/0");
    its_config.idle_timeout_ms = 2_000;
    // On a busy machine it may be missed before it has left.
    let running = in_time(|| {
        let running = start_alone(its_config.clone(), |_| {});
        let port = address(&running).port().to_string();
        let arguments = ["-transport", "kcp", "-port", &port, "-count", "3"];
        try_to_talk(&peer, &arguments, "ok: 3 echoes, 0 heartbeats").then_some(running)
    });
    wait_until("the stop hook", || running.server.stats().stop_hooks == 1);
    wait_until("the place", || running.server.get_conn_mgr().is_empty());
    assert_eq!(running.only_reason(), CloseReason::IdleTimeout);
}

const BAD: Badness = Badness { lost: 10, doubled: 5, overtaken: 10 };

fn config_with(fec: &str) -> Config {
    let (data, parity) = fec.split_once('/').unwrap();
    let mut config = config();
    config.data_pack = PackKind::TlvBigEndian;
    config.kcp_fec_data_shards = data.parse().unwrap();
    config.kcp_fec_parity_shards = parity.parse().unwrap();
    config
}
