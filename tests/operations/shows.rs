//! What the admin plane shows.

use serde_json::Value;
use zinx::prelude::*;

use crate::common::{ECHO, Running, frame, start_alone, wait_until};
use crate::http::{config, get, get_json};

const LOGIN: u32 = 20;

fn login(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let name = String::from_utf8_lossy(request.get_data()).into_owned();
    conn.login(&name, OnDuplicate::Multi)?;
    conn.join_group("lobby")?;
    conn.join_group(&format!("of {name}"))?;
    conn.send_msg(LOGIN, "welcome")
}

fn ids(list: &Value) -> Vec<u64> {
    list["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

/// Waits until each connection has so many messages. They are counted when the pass that read them is over, which the answer does not
/// wait for.
fn wait_counted<const N: usize>(running: &Running, messages: [u64; N]) {
    for (id, count) in messages.into_iter().enumerate() {
        let path = format!("/connz/{id}");
        wait_until("the last message is counted", || get_json(running, &path)["messages"] == count);
    }
}

#[test]
fn connections_are_found_sorted_and_paged() {
    let running = start_alone(config(), |server| server.add_router(LOGIN, login).unwrap());
    let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        let text = vec![b'x'; 100 * (at + 1)];
        (0..=at).for_each(|_| {
            peer.send(&frame(ECHO, &text));
            peer.read_frame();
        });
    }
    peers[1].send(&frame(LOGIN, b"ann"));
    peers[1].read_frame();
    let all = get_json(&running, "/connz");
    assert_eq!((ids(&all), &all["matched"]), (vec![0, 1, 2, 3, 4], &Value::from(5)));
    wait_counted(&running, [1, 3, 3, 4, 5]);
    assert_eq!(ids(&get_json(&running, "/connz?sort=bytes_in&limit=2")), [4, 3]);
    assert_eq!(ids(&get_json(&running, "/connz?sort=messages&limit=2&offset=1")), [3, 1]);
    let fourth = get_json(&running, "/connz/4");
    let bytes = 5 * (8 + 500);
    let address = peers[4].addr().to_string();
    assert_eq!((&fourth["bytes_in"], &fourth["bytes_out"]), (&Value::from(bytes), &Value::from(bytes)));
    assert_eq!((&fourth["remote"], &fourth["state"]), (&Value::from(address), &Value::from("open")));
    assert_eq!((&fourth["transport"], &fourth["pending_bytes"]), (&Value::from("tcp"), &Value::from(0)));
    assert_eq!(ids(&get_json(&running, "/connz?user=ann")), [1]);
    assert_eq!(ids(&get_json(&running, "/connz?group=lobby")), [1]);
    let by_address = format!("/connz?address={}", peers[2].addr());
    assert_eq!(ids(&get_json(&running, &by_address)), [2]);
    assert_eq!(get_json(&running, "/connz?state=closing")["matched"], 0);
    for sort in ["age", "idle", "pending", "bytes_out"] {
        assert_eq!(ids(&get_json(&running, &format!("/connz?sort={sort}"))).len(), 5);
    }
}

#[test]
fn connections_are_searched_and_sorted_both_ways() {
    let running = start_alone(config(), |server| server.add_router(LOGIN, login).unwrap());
    let mut peers: Vec<_> = (0..4).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    for (peer, name) in peers.iter_mut().zip(["Ann", "joanna", "bob"]) {
        peer.send(&frame(LOGIN, name.as_bytes()));
        peer.read_frame();
    }
    wait_counted(&running, [2, 2, 2, 1]);
    let found = |query: &str| ids(&get_json(&running, &format!("/connz?{query}")));
    assert_eq!(found("search=ANN"), [0, 1]);
    assert_eq!(found("search=of%20bob"), [2], "a group");
    assert_eq!(found("search=lobby&sort=id&order=desc"), [2, 1, 0]);
    assert!(found("search=3").contains(&3), "an id, and parts of addresses");
    assert_eq!(found(&format!("search={}", peers[1].addr())), [1]);
    // The answer to its message does not wait until it rests.
    wait_until("what each waits for is found", || found("search=its+peer").len() == 4);
    assert_eq!(found("search=nosuch"), [0; 0]);
    assert_eq!(found("sort=messages&order=asc&limit=1"), [3]);
    assert_eq!(get(&running, "/connz?order=up").status, 400);
    peers.remove(0).finish();
    wait_until("it is closed", || found("state=closed&search=ann") == [0]);
    assert_eq!(found("state=closed&search=peer+closed"), [0], "a reason");
    assert_eq!(found("state=closed&search=bob"), [0; 0]);
}

#[test]
fn groups_and_users_are_shown() {
    let running = start_alone(config(), |server| server.add_router(LOGIN, login).unwrap());
    let mut peers: Vec<_> = (0..3).map(|_| running.connect()).collect();
    for (peer, name) in peers.iter_mut().zip(["ann/1", "bob", "bob"]) {
        peer.send(&frame(LOGIN, name.as_bytes()));
        peer.read_frame();
    }
    let groups = get_json(&running, "/groupz");
    let sizes: Vec<_> = groups["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["members"].as_u64().unwrap())
        .collect();
    assert_eq!((sizes, &groups["entries"][0]["name"]), (vec![3, 2, 1], &Value::from("lobby")));
    assert_eq!(get_json(&running, "/groupz/of%20bob")["entries"], serde_json::json!([1, 2]));
    let users = get_json(&running, "/userz?limit=1&offset=1");
    assert_eq!(users["entries"], serde_json::json!([{ "user": "bob", "connections": [1, 2] }]));
    assert_eq!(get_json(&running, "/userz/ann%2F1")["connections"], serde_json::json!([0]));
    assert_eq!(get(&running, "/userz/nobody").status, 404);
    let varz = get_json(&running, "/varz");
    assert_eq!((&varz["connections"]["users"], &varz["connections"]["groups"]), (&2.into(), &3.into()));
}

#[test]
fn variables_tell_the_configuration_and_where_it_comes_from() {
    let running = start_alone(config(), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    wait_until("the message and its connection are counted", || {
        let counters = get_json(&running, "/varz")["counters"].clone();
        counters["requests"] == 1 && counters["accepted"] == 1
    });
    let varz = get_json(&running, "/varz");
    let key = |name: &str| {
        let values = varz["configuration"].as_array().unwrap();
        values.iter().find(|value| value["key"] == name).unwrap().clone()
    };
    assert_eq!((&key("TcpPort")["value"], &key("TcpPort")["origin"]), (&0.into(), &"code".into()));
    assert_eq!((&key("MaxConn")["value"], &key("MaxConn")["origin"]), (&12_000.into(), &"default".into()));
    assert_eq!((&varz["connections"]["open"], &varz["stopping"]), (&1.into(), &false.into()));
    assert_eq!(varz["listening"][0]["transport"], "tcp");
    assert_eq!(varz["counters"]["accepted"], 1);
    // Those of all servers of the process.
    let greenz = get_json(&running, "/greenz?name=connection");
    let kinds = greenz["kinds"].as_array().unwrap();
    assert!(kinds.iter().any(|kind| kind["name"] == "connection N"), "{greenz}");
    assert!(greenz["coroutines"]["matched"].as_u64().unwrap() >= 1);
    assert!(get(&running, "/").body.contains("GET  /connz"));
}
