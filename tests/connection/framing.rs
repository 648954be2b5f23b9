//! Framing: streams cut by decoders, what a bad frame does, and bytes sent as they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Peer, Running, config, frame, pattern, start, start_alone, wait_until};
use bytes::Bytes;
use zinx::zconf::{PackKind, QueueFull};
use zinx::ziface::{
    CloseReason, Decoded, Head, IChain, IClient, IConnection, IDataPack, IDecoder, IRequest, IServer,
    LengthField, Order,
};
use zinx::zpack::{
    htlvcrc_frame, new_delimiter_decoder, new_fixed_length_decoder, new_frame_decoder, new_htlvcrc_decoder,
    new_ltv_little_decoder, new_tlv_decoder,
};
use zinx::{Config, Error, Result, new_client_with_config, new_message};

/// A server that answers each frame of `decoder` with its id, the length of its payload, and the payload.
fn serve(decoder: impl IDecoder + 'static) -> Running {
    serve_with(config(), decoder)
}

fn serve_with(config: Config, decoder: impl IDecoder + 'static) -> Running {
    start_alone(config, |server| {
        server.set_decoder(decoder).unwrap();
        server.set_not_found(answer).unwrap();
        let again = server.set_decoder(new_htlvcrc_decoder()).unwrap_err();
        assert!(matches!(again, Error::AlreadyStarted { .. }), "{again}");
    })
}

fn answer(request: &dyn IRequest) -> Result<()> {
    let data = request.get_data();
    let head = [request.get_msg_id().to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    request.get_connection().send_to_queue([&head[..], data].concat())
}

fn read_answer(peer: &mut Peer) -> (u32, Vec<u8>) {
    let head = peer.read_exactly(8);
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    (word(0), peer.read_exactly(word(4) as usize))
}

/// Sends frames cut at every byte, and all in one piece: the answers are the same.
fn check(running: &Running, frames: &[&[u8]], expected: &[(u32, &[u8])]) {
    let stream = frames.concat();
    let mut peer = running.connect();
    for byte in &stream {
        peer.send(&[*byte]);
    }
    peer.send(&stream);
    for (id, data) in expected.iter().chain(expected) {
        assert_eq!(read_answer(&mut peer), (*id, data.to_vec()));
    }
}

/// Sends what is no frame: its connection closes for a reason that holds `cause`, and the one beside it lives on.
fn check_bad(running: &Running, good: &[u8], bad: &[u8], cause: &str) {
    let (mut beside, mut peer) = (running.connect(), running.connect());
    peer.send(&[good, bad].concat());
    let answered = read_answer(&mut peer);
    assert_eq!(peer.read_to_end(), b"", "{cause}");
    let reason = running.close_reason(peer.addr());
    assert!(reason.to_string().contains(cause), "{reason} does not say {cause}");
    beside.send(good);
    assert_eq!(read_answer(&mut beside), answered);
}

#[test]
fn a_length_field_cuts_frames_with_all_its_parameters_in_both_orders() {
    for order in [Order::BigEndian, Order::LittleEndian] {
        // Two bytes of mark, three bytes of length that count themselves and the mark too, the payload.
        let field = LengthField {
            order,
            max_frame_length: 300,
            length_field_offset: 2,
            length_field_length: 3,
            length_adjustment: -5,
            initial_bytes_to_strip: 1,
        };
        let frame = |mark: u8, data: &[u8]| {
            let len = (data.len() + 5) as u32;
            let mut len = if order == Order::BigEndian { len.to_be_bytes() } else { len.to_le_bytes() };
            if order == Order::BigEndian {
                len.rotate_left(1);
            }
            [&[0xAA, mark], &len[..3], data].concat()
        };
        let decoder = new_frame_decoder(field)
            .unwrap()
            .parse(|frame| Ok(Decoded::new(u32::from(frame[0]), frame.slice(4..))));
        let running = serve(decoder);
        assert_eq!(running.server.get_length_field(), Some(field));
        let full = pattern(295);
        check(
            &running,
            &[&frame(7, b"ping"), &frame(8, b""), &frame(9, &full)],
            &[(7, b"ping"), (8, b""), (9, &full)],
        );
        let good = frame(7, b"ping");
        check_bad(
            &running,
            &good,
            &frame(7, &pattern(296)),
            "frame of 301 bytes exceeds the decoder's limit of 300 bytes",
        );
        check_bad(
            &running,
            &good,
            &[0xAA, 7, 0, 0, 0],
            "frame of 0 bytes is too short: its decoder needs at least 5 bytes",
        );
        check_bad(&running, &good, &[0xAA, 7, 255, 255, 255], "frame of 16777215 bytes exceeds");
    }
}

#[test]
fn without_a_parser_a_frame_is_a_message_of_id_0() {
    let running = serve(new_frame_decoder(LengthField::default()).unwrap());
    check(&running, &[&[0, 2, 5, 6]], &[(0, &[0, 2, 5, 6])]);
}

#[test]
fn the_longest_length_is_refused_from_its_head_alone() {
    let field = LengthField { length_field_length: 8, ..LengthField::default() };
    let running = serve(new_frame_decoder(field).unwrap());
    check_bad(&running, &[0; 8], &[0xFF; 8], "exceeds the decoder's limit of 65535 bytes");
    let mut peer = running.connect();
    peer.send(&[0xFF; 8]);
    peer.read_to_end();
    let reason = running.close_reason(peer.addr());
    assert_eq!(reason, CloseReason::FrameTooLarge { len: u64::MAX, max: 65_535 });
}

#[test]
fn htlvcrc_frames_arrive_whole_under_their_function() {
    let running = serve(new_htlvcrc_decoder());
    let seven = [0xa2, 0x10, 0x01, 0x07, 0x62, 0x0b];
    let zeros = [0xa2, 0x10, 0x03, 0x00, 0x00, 0x00, 0xd8, 0xde];
    let longest = htlvcrc_frame(0xa2, 0xff, &pattern(255)).unwrap();
    let empty = htlvcrc_frame(0xa2, 0, b"").unwrap();
    assert_eq!(longest.len(), 260);
    check(
        &running,
        &[&seven, &zeros, &longest, &empty],
        &[(0x10, &seven), (0x10, &zeros), (0xff, &longest), (0, &empty)],
    );
    check_bad(
        &running,
        &seven,
        &[0xa2, 0x10, 0x01, 0x07, 0x62, 0x0c],
        "checksum 0x0c62 in the frame, but its bytes have 0x0b62",
    );
    let field = running.server.get_length_field().unwrap();
    assert_eq!((field.max_frame_length, field.length_field_offset, field.length_field_length), (260, 2, 1));
}

#[test]
fn a_delimiter_ends_frames() {
    let running = serve(new_delimiter_decoder("\r\n", 100, 3).unwrap());
    let full = pattern(98).iter().map(|byte| byte | 0x80).collect::<Vec<_>>();
    check(
        &running,
        &[b"hello\r\n", b"\r\n", b"\r\r\n", b"a\nb\r\n", &full, b"\r\n"],
        &[(3, b"hello"), (3, b""), (3, b"\r"), (3, b"a\nb"), (3, &full)],
    );
    check_bad(
        &running,
        b"x\r\n",
        &[b'y'; 100],
        "frame of 101 bytes exceeds the decoder's limit of 100 bytes",
    );
    check_bad(
        &running,
        b"x\r\n",
        &[&[b'y'; 99][..], b"\r\n"].concat(),
        "exceeds the decoder's limit of 100 bytes",
    );
    for (delimiter, max) in [("", 10), ("long", 3), ("\n", 1 << 20)] {
        let refused = new_delimiter_decoder(delimiter, max, 0).unwrap_err();
        assert!(matches!(refused, Error::BadDecoder { .. }), "{refused}");
    }
}

#[test]
fn frames_of_one_length_are_cut_by_it() {
    let running = serve(new_fixed_length_decoder(4, 6).unwrap());
    check(&running, &[b"abcd", b"efgh"], &[(6, b"abcd"), (6, b"efgh")]);
    assert!(new_fixed_length_decoder(0, 6).is_err());
    // The end of the stream inside a frame.
    let mut peer = running.connect();
    peer.send(b"abcdef");
    peer.finish();
    assert_eq!(read_answer(&mut peer), (6, b"abcd".to_vec()));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosedInFrame { received: 2 });
}

#[test]
fn large_frames_of_a_decoder_arrive_whole() {
    let running = serve(new_fixed_length_decoder(3_000_000, 6).unwrap());
    let mut peer = running.connect();
    let data = pattern(3_000_000);
    let mut sending = peer.stream.try_clone().unwrap();
    let theirs = data.clone();
    let sender = std::thread::spawn(move || {
        for _ in 0..2 {
            std::io::Write::write_all(&mut sending, &theirs).unwrap();
        }
    });
    for _ in 0..2 {
        let (id, received) = read_answer(&mut peer);
        assert!(id == 6 && received == data);
    }
    sender.join().unwrap();
}

/// Numbers in decimal, each with as many `#` behind it as it says; nothing else.
struct Hashes;

impl IDecoder for Hashes {
    fn frame_len(&self, begun: &[u8], _seen: usize) -> Result<Option<usize>> {
        let Some(digits) = begun.iter().position(|byte| *byte == b'#') else { return Ok(None) };
        let number = std::str::from_utf8(&begun[..digits]).map_err(Error::other)?;
        Ok(Some(digits + number.parse::<usize>().map_err(Error::other)?))
    }

    fn decode(&self, frame: Bytes) -> Result<Decoded> {
        assert!(frame[0] != b'6', "as the test wants");
        Ok(Decoded::new(frame.len() as u32, frame))
    }
}

#[test]
fn a_decoder_of_ones_own_may_err_and_even_panic() {
    let running = serve(Hashes);
    check(&running, &[b"3###", b"1#", b"10##########"], &[(4, b"3###"), (2, b"1#"), (12, b"10##########")]);
    check_bad(&running, b"1#", b"x#", "invalid digit");
    check_bad(&running, b"1#", b"6######", "the decoder panicked");
    check_bad(&running, b"1#", &[b'1'; 70_000], "exceeds the decoder's limit of 65536 bytes");
    let running = serve(
        new_frame_decoder(LengthField::default())
            .unwrap()
            .parse(|frame| Ok(Decoded::new(u32::from(frame[2]), frame))),
    );
    check_bad(&running, &[0, 1, 5], &[0, 0], "the decoder panicked");
}

/// Requests have a head of four bytes: the length, then the id. Answers have one of eight: the id, then the length.
struct OtherHeads;

impl IDataPack for OtherHeads {
    fn get_head_len(&self) -> usize {
        4
    }

    fn unpack(&self, head: &[u8]) -> Result<Head> {
        let word = |at: usize| u32::from(u16::from_be_bytes([head[at], head[at + 1]]));
        Ok(Head { data_len: word(0), msg_id: word(2) })
    }

    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        out.extend(msg_id.to_be_bytes());
        out.extend(data_len.to_be_bytes());
        Ok(())
    }
}

/// The length of a frame in the queue is not read from its head, which `unpack` does not know.
#[test]
fn answers_whose_heads_differ_from_those_of_requests_reach_a_slow_peer_whole() {
    const FRAMES: u32 = 20_000;
    for policy in [QueueFull::Wait, QueueFull::DropOldest] {
        let mut config = config();
        (config.queue_full, config.max_msg_chan_bytes) = (policy, 100_000);
        let running = start_alone(config, |server| {
            server.set_packet(OtherHeads).unwrap();
            let many = |request: &dyn IRequest| {
                let mut data = [0; 1000];
                for number in 0..FRAMES {
                    data[..4].copy_from_slice(&number.to_be_bytes());
                    request.get_connection().send_msg(5, data)?;
                }
                request.get_connection().send_msg(6, [0; 1000])
            };
            server.add_router(2, many).unwrap();
        });
        let mut peer = running.connect();
        let conn = running.conn(peer.addr());
        peer.send(&[0, 0, 0, 2]);
        if policy == QueueFull::DropOldest {
            // It might read as fast as a busy server sends.
            wait_until("frames that are dropped", || conn.get_unsent().messages > 0);
        }
        let mut numbers = Vec::new();
        loop {
            let frame = peer.read_exactly(1008);
            assert_eq!(frame[4..8], 1000_u32.to_be_bytes());
            if frame[..4] == 6_u32.to_be_bytes() {
                break;
            }
            assert_eq!(frame[..4], 5_u32.to_be_bytes());
            numbers.push(u32::from_be_bytes(frame[8..12].try_into().unwrap()));
            if numbers.len() % 64 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(numbers.is_sorted_by(|a, b| a < b));
        let unsent = conn.get_unsent();
        assert_eq!(numbers.len() + unsent.messages, FRAMES as usize);
        assert_eq!(unsent.bytes, unsent.messages * 1008);
        assert_eq!(unsent.messages > 0, policy == QueueFull::DropOldest);
        peer.finish();
        assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
        assert_eq!(running.stop().handler_panics, 0);
    }
}

/// What the decoder below makes of a line. The counter says how many there are.
struct Numbers(Vec<u32>, Arc<()>);

/// Lines `id number number ..` behind a byte of length, parsed once.
fn numbers(alive: Arc<()>) -> impl IDecoder {
    let field = LengthField { length_field_length: 1, initial_bytes_to_strip: 1, ..LengthField::default() };
    new_frame_decoder(field).unwrap().parse(move |line| {
        let words =
            std::str::from_utf8(&line)?.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        let (id, rest) = words.split_first().ok_or("an empty line")?;
        let decoded = Decoded::new(*id, line.clone());
        // Those of id 9 carry none.
        if *id == 9 {
            Ok(decoded)
        } else {
            Ok(decoded.with_value(Numbers(rest.to_vec(), Arc::clone(&alive))))
        }
    })
}

fn line(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn sum(numbers: Option<&Numbers>) -> String {
    numbers.map_or_else(|| "none".to_string(), |numbers| numbers.0.iter().sum::<u32>().to_string())
}

#[test]
fn what_a_decoder_has_parsed_reaches_handlers_interceptors_and_calls() {
    for workers in [0, 2] {
        let mut config = config();
        config.worker_pool_size = workers;
        let alive = Arc::new(());
        let running = start_alone(config, |server| {
            server.set_decoder(numbers(Arc::clone(&alive))).unwrap();
            let double = |chain: &dyn IChain| match chain.request().get_decoded::<Numbers>() {
                Some(Numbers(numbers, alive)) if chain.get_imessage().get_msg_id() == 3 => {
                    let doubled =
                        Numbers(numbers.iter().map(|number| number * 2).collect(), Arc::clone(alive));
                    let message = new_message(2, "replaced").with_value(doubled);
                    chain.proceed_with_imessage(&message, chain.request())
                }
                _ => chain.proceed(chain.request()),
            };
            server.add_interceptor(double).unwrap();
            let add = |request: &dyn IRequest| {
                assert!(request.get_decoded::<String>().is_none(), "another type");
                request.get_connection().send(line(&sum(request.copy().get_decoded())))
            };
            let ask = |request: &dyn IRequest| {
                let answer = request.get_connection().call(0, "", 5, Duration::from_secs(10))?;
                request.get_connection().send(line(&sum(answer.get_decoded())))
            };
            server.add_router(2, add).unwrap();
            server.add_router(9, add).unwrap();
            server.add_router(4, ask).unwrap();
        });
        let mut peer = running.connect();
        let mut tell = |lines: &[&str], answers: &[Vec<u8>]| {
            peer.send(&lines.iter().flat_map(|text| line(text)).collect::<Vec<_>>());
            for answer in answers {
                assert_eq!(&peer.read_exactly(answer.len()), answer, "{workers} workers");
            }
        };
        // The question is a frame of the format: eight bytes.
        tell(&["2 1 10", "3 1 10", "9 1", "4"], &[line("11"), line("22"), line("none"), vec![0; 8]]);
        tell(&["2 7", "5 100 11"], &[line("111"), line("7")]);
        wait_until("the values to go with their messages", || Arc::strong_count(&alive) == 2);
    }
}

#[test]
fn the_classic_formats_are_decoders_too() {
    let mut little = config();
    little.max_packet_size = 64;
    let mut big = little.clone();
    big.data_pack = PackKind::TlvBigEndian;
    let cases = [(little, true), (big, false)];
    for (config, is_little) in cases {
        let decoder = if is_little { new_ltv_little_decoder(64) } else { new_tlv_decoder(64) };
        let running = start_alone(config, |server| server.set_decoder(decoder).unwrap());
        let frame_of = |data: &[u8]| {
            if is_little {
                return frame(crate::common::ECHO, data);
            }
            [&crate::common::ECHO.to_be_bytes(), &(data.len() as u32).to_be_bytes(), data].concat()
        };
        let mut peer = running.connect();
        let stream = [frame_of(b"ping"), frame_of(b""), frame_of(&pattern(64))].concat();
        peer.send(&stream);
        // What comes in by the decoder goes out by the format.
        assert_eq!(peer.read_exactly(stream.len()), stream);
        peer.send(&frame_of(&pattern(65)));
        assert_eq!(peer.read_to_end(), b"");
        let reason = running.close_reason(peer.addr());
        assert_eq!(reason, CloseReason::FrameTooLarge { len: 73, max: 72 });
    }
}

#[test]
fn workers_and_decoders_go_together() {
    let mut config = config();
    config.worker_pool_size = 2;
    let running = serve_with(config, new_delimiter_decoder("\n", 100, 3).unwrap());
    check(&running, &[b"a\n", b"b\n", b"c\n"], &[(3, b"a"), (3, b"b"), (3, b"c")]);
}

#[test]
fn bytes_sent_as_they_are_keep_their_order_among_messages() {
    let running = start(config(), |server| {
        let mixed = |request: &dyn IRequest| {
            let conn = request.get_connection();
            for n in 0..200_u8 {
                conn.send_msg(8, [n; 3].as_slice())?;
                conn.send([n; 2].as_slice())?;
                conn.send_to_queue(vec![n; usize::from(n) * 200])?;
            }
            conn.send(b"")
        };
        server.add_router(7, mixed).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(7, b""));
    for n in 0..200_u8 {
        assert_eq!(peer.read_frame(), (8, vec![n; 3]));
        assert_eq!(peer.read_exactly(2), [n; 2]);
        assert_eq!(peer.read_exactly(usize::from(n) * 200), vec![n; usize::from(n) * 200]);
    }
    peer.check_echo();
    let conn = running.server.get_conn_mgr().get(1).unwrap();
    peer.finish();
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert!(matches!(conn.send("late"), Err(Error::ConnectionClosed)));
}

#[test]
fn a_client_takes_the_same_decoders() {
    let running = serve(new_delimiter_decoder("\n", 1000, 3).unwrap());
    let address = running.server.local_addr().unwrap();
    let client = new_client_with_config("127.0.0.1", address.port(), config()).unwrap();
    // The answer: eight bytes of head, of which the length is the second half.
    let field = LengthField {
        order: Order::LittleEndian,
        length_field_offset: 4,
        length_field_length: 4,
        initial_bytes_to_strip: 8,
        ..LengthField::default()
    };
    client.set_decoder(new_frame_decoder(field).unwrap()).unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&received);
    client
        .add_router(0, move |request: &dyn IRequest| {
            noted.lock().unwrap().push(request.get_data().to_vec());
            Ok(())
        })
        .unwrap();
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send("one\ntwo\n"));
    client.start().unwrap();
    wait_until("both answers", || received.lock().unwrap().len() == 2);
    assert_eq!(*received.lock().unwrap(), [b"one".to_vec(), b"two".to_vec()]);
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
}
