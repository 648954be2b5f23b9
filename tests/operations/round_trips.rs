//! How far away each peer is.

use serde_json::Value;
use zinx::ziface::IServer;

use crate::common::phone::Phone;
use crate::common::{start_alone, wait_until};
use crate::http::{config, get, get_json};

fn trips(list: &Value) -> Vec<Option<u64>> {
    list["entries"].as_array().unwrap().iter().map(|row| row["rtt_us"].as_u64()).collect()
}

#[test]
fn round_trips_are_shown_and_those_that_are_not_known_come_last_in_both_orders() {
    let mut config = config();
    config.resume_ms = 60_000;
    let running = start_alone(config, |_| {});
    let mut peers: Vec<_> = (0..3).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    let mut away = Phone::open(running.server.local_addr().unwrap());
    away.lose(false);
    wait_until("it is away", || get_json(&running, "/connz?state=away")["matched"] == 1);
    assert_eq!(trips(&get_json(&running, "/connz?state=away")), [None]);
    assert!(trips(&get_json(&running, "/connz?state=open")).into_iter().all(|trip| trip.unwrap() > 0));
    // Each answer is sorted by what it shows, or by what was so a moment before: the peers say nothing meanwhile.
    for (order, is_sorted) in
        [("desc", (|pair| pair[0] >= pair[1]) as fn(&[u64]) -> bool), ("asc", |pair| pair[0] <= pair[1])]
    {
        let sorted = trips(&get_json(&running, &format!("/connz?sort=rtt&order={order}")));
        let known: Vec<_> = sorted[..3].iter().map(|trip| trip.expect("the one away is last")).collect();
        assert!(known.windows(2).all(is_sorted) && sorted.len() == 4 && sorted[3].is_none(), "{sorted:?}");
    }
    assert_eq!(get_json(&running, "/connz?sort=rtt")["entries"][3]["state"], "away");
    assert_eq!(trips(&get_json(&running, "/connz?sort=rtt&limit=1&offset=3")), [None]);
    let refused = get(&running, "/connz?sort=distance");
    assert!(refused.status == 400 && refused.body.contains("bytes_out or rtt"), "{}", refused.body);
}

#[cfg(all(feature = "websocket", feature = "kcp"))]
#[test]
fn each_transport_has_its_round_trip() {
    use std::time::Duration;

    use zinx::zconf::Mode;
    use zinx::ziface::{IClient, TransportKind};
    use zinx::znet::{
        WsOptions, new_client_with_config, new_kcp_client_with_config, new_ws_client_with_options,
    };

    use crate::common::{self, ECHO};

    let mut config = config();
    config.mode = Mode::TCP_AND_WEBSOCKET.and(Mode::KCP);
    (config.ws_port, config.kcp_port) = (0, 0);
    let running = start_alone(config, |_| {});
    let port = |kind| {
        let found = running.server.local_addrs().into_iter().find(|(of, _)| *of == kind);
        found.expect("it listens there").1.port()
    };
    let options = WsOptions::new();
    let url = format!("ws://127.0.0.1:{}/", port(TransportKind::WebSocket));
    let clients = [
        new_client_with_config("127.0.0.1", port(TransportKind::Tcp), common::config()).unwrap(),
        new_ws_client_with_options(&url, &options, common::config()).unwrap(),
        new_kcp_client_with_config("127.0.0.1", port(TransportKind::Kcp), common::config()).unwrap(),
    ];
    for (client, kind) in clients.iter().zip(["tcp", "ws", "kcp"]) {
        client.start().unwrap();
        wait_until(&format!("{kind} is connected"), || client.conn().is_some());
        let conn = client.conn().unwrap();
        conn.call(ECHO, "?", ECHO, Duration::from_secs(30)).unwrap();
        let row = || {
            let all = get_json(&running, "/connz");
            let rows = all["entries"].as_array().unwrap();
            rows.iter().find(|row| row["transport"] == kind).cloned().unwrap()
        };
        wait_until(&format!("{kind} has a round trip"), || row()["rtt_us"].as_u64().is_some());
        let trip = Duration::from_micros(row()["rtt_us"].as_u64().unwrap());
        assert!(trip > Duration::ZERO && trip < Duration::from_secs(60), "{kind}: {trip:?}");
    }
    clients.iter().for_each(|client| client.stop());
}
