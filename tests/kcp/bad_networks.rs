//! The stream is whole and in order on networks that lose, double and reorder.

use std::time::Duration;

use zinx::Config;
use zinx::ziface::{CloseReason, IClient, TransportKind};
use zinx::znet::Reconnect;

use crate::common::{ECHO, pattern, start_alone, wait_until};
use crate::lossy::{Badness, Lossy};
use crate::ours::{SOON, address, changed, check_echo, client, config, stop};

#[test]
fn a_client_and_a_server_talk_over_kcp() {
    let running = start_alone(config(), |_| {});
    let (client, heard) = client(address(&running), config());
    client.start().unwrap();
    let conn = client.conn().unwrap();
    assert_eq!(conn.get_transport(), TransportKind::Kcp);
    assert_eq!(conn.get_remote_addr(), address(&running));
    let theirs = running.conn(conn.get_local_addr());
    assert_eq!((theirs.get_transport(), theirs.get_local_addr()), (TransportKind::Kcp, address(&running)));
    for len in [0, 1, 1367, 1368, 1369, 4096] {
        check_echo(&client, &heard, &pattern(len));
    }
    let addr = conn.get_local_addr();
    stop(&client);
    assert_eq!(running.close_reason(addr), CloseReason::PeerClosed);
    let stats = running.stop();
    assert_eq!((stats.accepted, stats.start_hooks, stats.stop_hooks, stats.requests), (1, 1, 1, 6));
    assert_eq!(stats.bad_datagrams, 0);
}

#[test]
fn a_fifth_of_all_datagrams_may_be_lost() {
    all_echoes_come(config(), Badness { lost: 20, ..Badness::default() });
}

/// As many messages as fill the windows several times, each with its number.
fn all_echoes_come(config: Config, badness: Badness) {
    const MESSAGES: u32 = 300;
    let running = start_alone(config.clone(), |_| {});
    let lossy = Lossy::before(address(&running), badness, 7);
    let (client, heard) = client(lossy.address, config);
    client.start().unwrap();
    let conn = client.conn().unwrap();
    let message = |n: u32| {
        let mut data = pattern(n as usize * 37 % 2000);
        data.extend_from_slice(&n.to_le_bytes());
        data
    };
    for n in 0..MESSAGES {
        conn.send_msg(ECHO, message(n)).unwrap();
    }
    for n in 0..MESSAGES {
        assert!(heard.recv_timeout(SOON).unwrap() == message(n), "echo {n} is not what was sent");
    }
    assert_eq!(badness.lost > 0, lossy.lost() > 20, "{}", lossy.lost());
    stop(&client);
    wait_until("the stop hook", || running.server.stats().stop_hooks == 1);
    let stats = running.stop();
    assert_eq!(stats.requests, MESSAGES as usize);
    assert_eq!((stats.unsent_messages, stats.bad_datagrams), (0, 0));
}

#[test]
fn datagrams_may_be_lost_doubled_and_overtaken() {
    all_echoes_come(config(), Badness { lost: 20, doubled: 20, overtaken: 30 });
}

#[test]
fn each_message_may_have_its_own_segments() {
    let config = changed(|config| config.kcp_stream_mode = false);
    all_echoes_come(config, Badness { lost: 10, doubled: 10, overtaken: 10 });
}

#[test]
fn error_correction_holds_on_a_bad_network() {
    all_echoes_come(with_fec(), Badness { lost: 20, doubled: 10, overtaken: 20 });
}

#[test]
fn error_correction_of_other_numbers_holds_too() {
    let config = changed(|config| (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = (1, 2));
    all_echoes_come(config, Badness { lost: 20, ..Badness::default() });
}

#[test]
fn the_slowest_settings_hold_too() {
    let config = changed(|config| {
        (config.kcp_no_delay, config.kcp_interval, config.kcp_resend, config.kcp_nc) = (0, 40, 0, 0);
        (config.kcp_ack_no_delay, config.kcp_send_window, config.kcp_recv_window) = (true, 8, 8);
    });
    all_echoes_come(config, Badness { lost: 5, doubled: 5, overtaken: 5 });
}

/// What Go Zinx's example has.
fn with_fec() -> Config {
    changed(|config| (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = (10, 3))
}

#[test]
fn an_error_correction_that_cannot_be_is_a_problem_of_the_configuration() {
    for (data, parity) in [(10, 0), (0, 3), (200, 100)] {
        let config =
            changed(|config| (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = (data, parity));
        let server = zinx::new_server_with_config(config.clone()).unwrap();
        let errors = [
            zinx::ziface::IServer::start(&server).unwrap_err(),
            zinx::znet::new_kcp_client_with_config("localhost", 1, config).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().starts_with("KcpFecDataShards: found "), "{error}");
        }
    }
}

#[test]
fn a_client_comes_back_from_another_port_and_resumes() {
    let config = changed(|config| {
        (config.resume_ms, config.idle_timeout_ms, config.heartbeat_max) = (60_000, 1_000, 1);
    });
    let running = start_alone(config.clone(), |_| {});
    let lossy = Lossy::before(address(&running), Badness { lost: 5, ..Badness::default() }, 3);
    let (client, heard) = client(lossy.address, config);
    client.set_reconnect(Reconnect { first_pause: Duration::from_millis(10), ..Reconnect::default() });
    client.set_dial_timeout(Duration::from_secs(2));
    client.start_heart_beat(Duration::from_millis(300)).unwrap();
    client.start().unwrap();
    // On a busy machine it may be silent for too long before it can resume. Then the client connects again.
    let (mut attempts, mut conn) = (0_u32, client.wait_connected(SOON).unwrap());
    wait_until("an echo", || {
        attempts += 1;
        let message = attempts.to_le_bytes();
        let has_said = conn.send_msg(ECHO, message).is_ok();
        let mut is_echoed = false;
        wait_until("its echo or its end", || {
            is_echoed = has_said && heard.try_iter().any(|echo| echo == message);
            is_echoed || conn.get_close_reason().is_some()
        });
        if !is_echoed {
            conn = client.wait_connected(SOON).unwrap();
        }
        is_echoed
    });
    for round in 0..2_u8 {
        let resumed = running.server.stats().resumed;
        lossy.cut();
        conn.send_msg(ECHO, [round]).unwrap();
        assert_eq!(heard.recv_timeout(SOON).unwrap(), [round]);
        assert!(running.server.stats().resumed > resumed);
    }
    stop(&client);
}
