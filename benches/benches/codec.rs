//! Packing and unpacking, with no socket.

#![expect(missing_docs, reason = "criterion's macro makes a function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::{FrameReader, Framing, LtvLittleEndian, Pass, new_message};

fn pack(c: &mut Criterion) {
    let mut group = c.benchmark_group("pack");
    for len in [64, 4096, 65_536] {
        let message = new_message(1, vec![7; len]);
        group.throughput(Throughput::Bytes(len as u64 + 8));
        group
            .bench_function(format!("{len} bytes"), |b| b.iter(|| LtvLittleEndian.pack(black_box(&message))));
    }
}

fn unpack(c: &mut Criterion) {
    let framing = Framing::Pack { pack: std::sync::Arc::new(LtvLittleEndian), max: u32::MAX };
    let mut group = c.benchmark_group("unpack");
    for len in [64, 4096, 65_536] {
        let frames = (1 << 20) / len;
        let stream = LtvLittleEndian.pack(&new_message(1, vec![7; len])).expect("it fits").repeat(frames);
        group.throughput(Throughput::Elements(frames as u64));
        group.bench_function(format!("{len} bytes, a MiB a pass"), |b| {
            b.iter(|| {
                let (mut reader, mut pass) = (FrameReader::new(), Pass::new(stream.clone(), stream.len()));
                let mut bytes = 0;
                while let Ok(Some(message)) = reader.next(&framing, &mut pass) {
                    bytes += message.get_data().len();
                }
                bytes
            });
        });
    }
}

criterion_group!(benches, pack, unpack);
criterion_main!(benches);
