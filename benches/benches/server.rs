//! The data path of a real server over loopback, many messages a system call: what the framework costs a message.

#![expect(missing_docs, reason = "criterion's macro makes a function")]
#![expect(clippy::disallowed_types, reason = "the client is a plain thread")]

use std::io::{Read, Write};
use std::net::TcpStream;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zinx::prelude::*;
use zinx::zconf::Config;
use zinx::zpack::LtvLittleEndian;

const MESSAGES: usize = 1000;

fn serve() -> std::io::Result<TcpStream> {
    let mut config = Config::default();
    config.host = "127.0.0.1".to_string();
    config.tcp_port = 0;
    let server = new_server_with_config(config).expect("a valid configuration");
    let silent = |_: &dyn IRequest| Ok(());
    server.add_router(1, silent).expect("a new id");
    server
        .add_router(2, |request: &dyn IRequest| request.get_connection().send_msg(2, request.get_data()))
        .expect("a new id");
    server
        .add_router(3, |request: &dyn IRequest| {
            (0..MESSAGES).try_for_each(|_| request.get_connection().send_msg(3, request.get_data()))
        })
        .expect("a new id");
    server.start().expect("a free port");
    let stream = TcpStream::connect(server.local_addr().expect("it listens"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn frames(id: u32, count: usize) -> Vec<u8> {
    LtvLittleEndian.pack(&new_message(id, vec![7; 64])).expect("it fits").repeat(count)
}

fn data_path(c: &mut Criterion) {
    let mut stream = serve().expect("loopback");
    let mut group = c.benchmark_group("server");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let mut answers = vec![0; 72 * MESSAGES];
    let silent = [frames(1, MESSAGES - 1), frames(2, 1)].concat();
    group.bench_function("dispatch: 1,000 messages in, one out", |b| {
        b.iter(|| {
            stream.write_all(&silent).expect("it is read");
            stream.read_exact(&mut answers[..72]).expect("an echo");
        });
    });
    let echo = frames(2, MESSAGES);
    group.bench_function("echo: 1,000 messages in and out", |b| {
        b.iter(|| {
            stream.write_all(&echo).expect("it is read");
            stream.read_exact(&mut answers).expect("echoes");
        });
    });
    let burst = frames(3, 1);
    group.bench_function("outbox: one message in, 1,000 out", |b| {
        b.iter(|| {
            stream.write_all(&burst).expect("it is read");
            stream.read_exact(&mut answers).expect("a burst");
        });
    });
}

criterion_group!(benches, data_path);
criterion_main!(benches);
