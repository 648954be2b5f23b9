//! Small names of Zinx's surface that no other test needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{ECHO, Peer, config, frame, start_alone, wait_until};
use zinx::green::{self, Queue};
use zinx::ziface::{IClient, IConnection, IDataPack, IMessage, IRequest, IServer};
use zinx::znet::BadPayload;
use zinx::zpack::{NoHead, new_data_pack, new_delimiter_decoder, new_message, new_tlv_decoder};
use zinx::zutils::ShardLockMaps;
use zinx::{Error, new_client_with_config, new_server_with_config};

#[test]
fn hooks_that_were_set_can_be_had_and_called() {
    let server = new_server_with_config(config()).unwrap();
    let client = new_client_with_config("127.0.0.1", 1, config()).unwrap();
    assert!(server.get_on_conn_start().is_none() && server.get_on_conn_stop().is_none());
    assert!(client.get_on_conn_start().is_none() && client.get_on_conn_stop().is_none());

    let calls = Arc::new(AtomicUsize::new(0));
    let hook = |worth: usize| {
        let calls = Arc::clone(&calls);
        move |_: &Arc<dyn IConnection>| {
            calls.fetch_add(worth, Ordering::AcqRel);
            Ok(())
        }
    };
    client.set_on_conn_start(hook(1));
    client.set_on_conn_stop(hook(10));
    let running = start_alone(config(), |server| {
        server.set_on_conn_start(hook(100));
        server.set_on_conn_stop(hook(1000));
    });
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    wait_until("the start hook", || calls.load(Ordering::Acquire) == 100);
    let hooks = [
        client.get_on_conn_start(),
        client.get_on_conn_stop(),
        running.server.get_on_conn_start(),
        running.server.get_on_conn_stop(),
    ];
    hooks.into_iter().for_each(|hook| hook.unwrap()(&conn).unwrap());
    assert_eq!(calls.load(Ordering::Acquire), 1211);
}

#[test]
fn the_connections_of_a_server_can_be_kept_and_used_elsewhere() {
    let running = start_alone(config(), |server| {
        server
            .add_router(2, |request: &dyn IRequest| {
                let manager = request.get_connection().get_tcp_server().get_conn_mgr();
                // Kept beyond this handler, in a coroutine of its own.
                drop(green::spawn(move || {
                    manager.range(&mut |conn| conn.send_msg(2, manager.len().to_string()).is_ok());
                }));
                Ok(())
            })
            .unwrap();
    });
    let mut peers = [running.connect(), running.connect()];
    peers.iter_mut().for_each(Peer::check_echo);
    peers[0].send(&frame(2, b""));
    assert_eq!(peers.each_mut().map(Peer::read_frame), [(2, b"2".to_vec()), (2, b"2".to_vec())]);
    let mut all: Vec<_> =
        running.server.get_conn_mgr().all().iter().map(|conn| conn.get_remote_addr()).collect();
    all.sort();
    let mut expected = peers.each_ref().map(Peer::addr);
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn what_a_handler_reads_and_waits_for_goes_through_a_question_mark() {
    let queue = Arc::new(Queue::bounded(1));
    queue.put(7).unwrap();
    let running = start_alone(config(), |server| {
        let add = move |request: &dyn IRequest| {
            let number: u32 = std::str::from_utf8(request.get_data())?.trim().parse()?;
            let mut sum = number.checked_add(queue.try_get()?).ok_or("too large")?;
            sum += green::spawn(|| 100).get()?;
            queue.put(sum)?;
            request.get_connection().send_msg(2, sum.to_be_bytes())
        };
        server.add_router(2, add).unwrap();
    });
    let mut peer = running.connect();
    // Neither wrong text nor a wrong number costs the peer its connection.
    peer.send(&[frame(2, b"\xff"), frame(2, b"seven"), frame(2, b" 3 ")].concat());
    assert_eq!(peer.read_frame(), (2, 110_u32.to_be_bytes().to_vec()));
    peer.send(&[frame(2, b"4294967295"), frame(ECHO, b"")].concat());
    assert_eq!(peer.read_frame(), (ECHO, Vec::new()));
    peer.send(&[frame(2, b"1"), frame(ECHO, b"empty queue")].concat());
    assert_eq!(peer.read_frame().0, ECHO);
}

#[test]
fn text_is_read_from_requests_and_messages_and_anything_else_is_a_bad_payload() {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let running = start_alone(config(), |server| {
        let greet = |request: &dyn IRequest| {
            let name = request.text()?;
            let answer = request.get_connection().call(3, name, 4, TIMEOUT)?;
            request.get_connection().send_msg(2, format!("{name} says {}", answer.text()?))
        };
        server.add_router(2, greet).unwrap();
        server.set_bad_payload(BadPayload::Answer { msg_id: 5 }).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(2, "张三".as_bytes()));
    assert_eq!(peer.read_frame(), (3, "张三".into()));
    peer.send(&frame(4, b"yes"));
    assert_eq!(peer.read_frame(), (2, "张三 says yes".into()));
    peer.send(&frame(2, b"\xc3\x28"));
    let (id, told) = peer.read_frame();
    let told = String::from_utf8(told).unwrap();
    assert!(id == 5 && told.contains("message id 2") && told.contains("utf-8"), "{told}");
    peer.send(&frame(2, b"ann"));
    assert_eq!(peer.read_frame(), (3, b"ann".into()));
    peer.send(&frame(4, b"\xff"));
    let (id, told) = peer.read_frame();
    assert!(id == 5 && String::from_utf8(told).unwrap().contains("message id 4"), "the answer is to blame");
}

#[test]
fn whatever_holds_bytes_or_text_is_sent_as_it_is() {
    let running = start_alone(config(), |server| {
        let all = |request: &dyn IRequest| {
            let (conn, data) = (request.get_connection(), request.get_data());
            let uid: Arc<str> = "ann".into();
            for word in ["a", "bc"].iter() {
                conn.send_msg(2, word)?;
            }
            conn.send_msg(2, String::from_utf8_lossy(data))?;
            conn.send_msg(2, std::borrow::Cow::<[u8]>::Borrowed(data))?;
            conn.send_msg(2, &uid)?;
            conn.send_msg(2, uid)?;
            conn.send_msg(2, 7_u16.to_be_bytes())?;
            conn.send_msg(2, vec![1, 2].into_boxed_slice())?;
            // A message of part of what another holds, borrowed for this line only.
            let message = new_message(9, &data[1..]);
            conn.send(new_data_pack().pack(&message)?)
        };
        server.add_router(2, all).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(2, b"xyz"));
    let sent: [&[u8]; 8] = [b"a", b"bc", b"xyz", b"xyz", b"ann", b"ann", &[0, 7], &[1, 2]];
    for expected in sent {
        assert_eq!(peer.read_frame(), (2, expected.to_vec()));
    }
    assert_eq!(peer.read_frame(), (9, b"yz".to_vec()));
}

#[test]
fn a_connection_has_the_name_of_its_server_or_client_and_its_addresses_as_text() {
    let mut named = config();
    named.name = "the server".to_string();
    let running = start_alone(named, |_| {});
    let address = running.server.local_addr().unwrap();
    let client = new_client_with_config("127.0.0.1", address.port(), config()).unwrap();
    assert_eq!(client.get_name(), "ZinxServerApp");
    client.set_name("the client").unwrap();
    assert!(matches!(client.set_name("another"), Err(Error::AlreadyStarted { .. })));
    client.start().unwrap();
    let ours = client.conn().unwrap();
    let theirs = running.conn(ours.get_local_addr());
    assert_eq!((client.get_name(), ours.get_name()), ("the client", "the client".to_string()));
    assert_eq!((running.server.server_name(), theirs.get_name()), ("the server", "the server".to_string()));
    assert_eq!(ours.get_remote_addr_string(), address.to_string());
    assert_eq!(ours.get_local_addr_string(), theirs.get_remote_addr_string());
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
}

#[test]
fn without_heads_everything_that_is_sent_is_a_frame_of_the_peer() {
    let running = start_alone(config(), |server| {
        server.set_decoder(new_delimiter_decoder("\n", 100, 2).unwrap()).unwrap();
        server.set_packet(NoHead).unwrap();
        let talk = |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.send_msg(7, "")?;
            conn.send_msg(7, "hello\n")?;
            conn.join_group("all")?;
            conn.get_group("all").broadcast(8, "to all\n")?;
            // The decoder gives every line the same id, so this is the next one.
            let answer = conn.call(9, "name?\n", 2, Duration::from_secs(10))?;
            conn.send_msg(7, format!("{}!\n", answer.text()?))
        };
        server.add_router(2, talk).unwrap();
    });
    let mut peer = running.connect();
    peer.send(b"hi\n");
    assert_eq!(peer.read_exactly(19), b"hello\nto all\nname?\n");
    peer.send(b"ann\n");
    assert_eq!(peer.read_exactly(5), b"ann!\n");
    // Without a decoder nothing tells where a frame ends.
    let server = new_server_with_config(config()).unwrap();
    server.set_packet(NoHead).unwrap();
    let refused = server.start().unwrap_err();
    assert!(matches!(refused, Error::BadHead { len: 0, .. }), "{refused}");
    server.set_decoder(new_delimiter_decoder("\n", 100, 2).unwrap()).unwrap();
    server.start().unwrap();
    server.stop();
    assert!(server.wait_stopped(Duration::from_secs(10)));
}

#[test]
fn a_client_knows_the_length_field_of_its_decoder() {
    let client = new_client_with_config("127.0.0.1", 1, config()).unwrap();
    assert_eq!(client.get_length_field(), None);
    client.set_decoder(new_tlv_decoder(4096)).unwrap();
    let field = client.get_length_field().unwrap();
    assert_eq!((field.length_field_offset, field.length_field_length), (4, 4));
}

#[test]
fn a_send_waits_for_room_as_long_as_it_is_told() {
    let mut config = config();
    // Without a limit: only what the send itself says ends its wait.
    config.queue_wait_ms = 0;
    config.write_timeout_ms = 0;
    config.drain_ms = 1;
    (config.max_msg_chan_len, config.max_msg_chan_bytes) = (10_000, 2 << 20);
    config.max_packet_size = 1 << 20;
    let running = start_alone(config, |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    let data = vec![0; 1 << 20];
    let timeout = Duration::from_millis(50);
    let sends: [&dyn Fn() -> zinx::Result<()>; 2] =
        [&|| conn.send_buff_msg_timeout(9, &data, timeout), &|| conn.send_to_queue_timeout(&data, timeout)];
    for send in sends {
        // The system takes some, and then no more.
        let error = std::iter::repeat_with(send).find_map(Result::err).unwrap();
        let Error::QueueFull { waited, .. } = error else { panic!("{error:?}") };
        assert!(waited >= timeout, "{waited:?}");
    }
    drop(peer);
}

#[test]
fn a_map_in_shards_keeps_what_many_connections_put_in() {
    let map = Arc::new(ShardLockMaps::new());
    let running = start_alone(config(), |server| {
        let (begun, ended) = (Arc::clone(&map), Arc::clone(&map));
        server.set_on_conn_start(move |conn| {
            assert!(begun.set_nx(conn.get_conn_id_str(), conn.get_conn_id()));
            Ok(())
        });
        server.set_on_conn_stop(move |conn| {
            assert_eq!(ended.pop(&conn.get_conn_id_str()), Some(conn.get_conn_id()));
            Ok(())
        });
    });
    let peers: Vec<_> = (0..100).map(|_| running.connect()).collect();
    wait_until("all of them", || map.count() == peers.len());
    let mut ids: Vec<u64> = map.items().into_values().collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..100));
    drop(peers);
    wait_until("none of them", || map.is_empty());
    assert_eq!(running.server.stats().hook_panics, 0);
}

#[test]
fn a_payload_is_lent_also_across_waits_and_kept_as_bytes() {
    let kept = Arc::new(Queue::unbounded());
    let keeps = Arc::clone(&kept);
    let mut config = config();
    config.max_packet_size = 10_000;
    let running = start_alone(config, |server| {
        let lent = move |request: &dyn IRequest| {
            let (conn, data) = (request.get_connection(), request.get_data());
            keeps.put(request.get_bytes()).unwrap();
            assert_eq!(request.get_message().get_data(), data);
            // Others read meanwhile, and this one reads on.
            let answer = conn.call(3, "more?", 4, Duration::from_secs(20))?;
            green::sleep(Duration::from_millis(1));
            conn.send_msg(5, [&data[..], answer.get_data()].concat())?;
            conn.send_msg(6, request.get_payload())
        };
        server.add_router(2, lent).unwrap();
    });
    let mut peers: Vec<_> = (0..10).map(|_| running.connect()).collect();
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.send(&[frame(2, &[n as u8; 50]), frame(ECHO, b"behind"), frame(2, &[n as u8; 9000])].concat());
    }
    for len in [50, 9000] {
        for (n, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.read_frame(), (3, b"more?".to_vec()));
            peer.send(&frame(4, b"yes"));
            assert_eq!(peer.read_frame(), (5, [&vec![n as u8; len][..], b"yes"].concat()));
            assert_eq!(peer.read_frame(), (6, vec![n as u8; len]));
            if len == 50 {
                assert_eq!(peer.read_frame(), (ECHO, b"behind".to_vec()));
            }
        }
    }
    let mut all: Vec<_> = (0..20).map(|_| kept.get().unwrap()).collect();
    all.sort_unstable_by_key(|bytes| (bytes.len(), bytes[0]));
    let expected = [50, 9000].into_iter().flat_map(|len| (0..10).map(move |n| vec![n; len]));
    assert!(all.into_iter().eq(expected));
}
