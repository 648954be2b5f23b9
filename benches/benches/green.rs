//! Coroutines and queues.

#![expect(missing_docs, reason = "criterion's macro makes a function")]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zinx::green::{self, Queue};

const HOPS: u64 = 10_000;

fn spawn_and_join(c: &mut Criterion) {
    c.bench_function("spawn and join", |b| {
        b.iter_custom(|times| {
            green::run(move || {
                let begun = std::time::Instant::now();
                for n in 0..times {
                    green::spawn(move || n).join();
                }
                begun.elapsed()
            })
        });
    });
}

fn queue_hop(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(HOPS));
    for bound in [1, 1024] {
        group.bench_function(format!("10,000 items to another coroutine, bound {bound}"), |b| {
            b.iter(|| {
                let queue = Arc::new(Queue::bounded(bound));
                let theirs = Arc::clone(&queue);
                let getter = green::spawn(move || (0..HOPS).filter_map(|_| theirs.get()).sum::<u64>());
                green::run(move || (0..HOPS).all(|n| queue.put(n).is_ok()));
                getter.get().expect("it does not panic")
            });
        });
    }
}

criterion_group!(benches, spawn_and_join, queue_hop);
criterion_main!(benches);
