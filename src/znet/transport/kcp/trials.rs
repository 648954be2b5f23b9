//! Two conversations over a network of the worst kind, with a clock of its own: thousands of datagrams in no time, and the same
//! ones for the same seed.

use std::io::{ErrorKind, IoSlice};

use super::conversation::{Conversation, News};
use super::datagrams::Datagrams;
use super::fec::{Decoder, Encoder, Fec, Shard};
use super::options::KcpOptions;
use super::segments::{Command, Segment, Segments};
use crate::zconf::Config;
use crate::znet::transport::Left;

#[test]
fn streams_are_whole_on_the_worst_networks() {
    for seed in 0..16 {
        let mut random = Random(seed * 2 + 1);
        let config = any_config(&mut random);
        let badness = Badness {
            lost: random.below(30),
            doubled: random.below(30),
            damaged: random.below(5),
            latest: 1 + random.below(120),
        };
        let mut trial = Trial::new(&config, badness, random, 0);
        trial.exchange(20_000 + seed as usize * 500);
        assert!(trial.now - trial.begun < 3_000_000, "seed {seed} took {} ms", trial.now - trial.begun);
    }
}

#[test]
fn numbers_and_times_begin_again_in_the_middle_of_a_stream() {
    let badness = Badness { lost: 10, doubled: 10, damaged: 0, latest: 30 };
    let mut trial = Trial::new(&Config::default(), badness, Random(9), u32::MAX - 20);
    trial.exchange(100_000);
    assert!(trial.now < trial.begun, "the clock has gone round");
}

#[test]
fn a_silent_peer_is_asked_and_fails_after_half_a_minute() {
    let mut trial = Trial::new(&Config::default(), Badness::default(), Random(3), 0);
    trial.exchange(1000);
    let heard = trial.now;
    trial.badness.lost = 100;
    let mut asks = 0;
    while !trial.ends[0].talk.fails_of_silence(trial.now) {
        asks += trial.step();
    }
    let silent = trial.now.wrapping_sub(heard);
    assert!((29_000..32_000).contains(&silent), "{silent}");
    assert!((10..=30).contains(&asks), "{asks} datagrams of both");
    assert_eq!(trial.ends[0].talk.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(trial.ends[0].talk.due(), None);
}

#[test]
fn a_window_that_opens_unheard_is_asked_for() {
    let mut trial = Trial::new(&Config::default(), Badness::default(), Random(5), 0);
    let bytes = [7; 200_000];
    let lens = || std::iter::once(bytes.len());
    assert!(trial.ends[0].talk.add(&[IoSlice::new(&bytes)], lens()).is_ok());
    for _ in 0..3000 {
        trial.step();
    }
    // It is read, and what says so is lost.
    trial.badness.lost = 100;
    let mut read = 0;
    while trial.ends[1].talk.read(&mut [0; 1000]).unwrap().n > 0 {
        read += 1;
    }
    trial.step();
    trial.badness.lost = 0;
    for _ in 0..6000 {
        trial.step();
        while trial.ends[1].talk.read(&mut [0; 1000]).unwrap().n > 0 {
            read += 1;
        }
    }
    assert!(read >= 200, "{read} reads");
}

#[test]
fn acknowledgements_in_order_tell_the_round_trip() {
    let mut trial = Trial::new(&Config::default(), Badness { latest: 1, ..Badness::default() }, Random(7), 0);
    trial.exchange(20_000);
    let trips = [&trial.ends[0], &trial.ends[1]].map(|end| end.talk.round_trip());
    // One millisecond each way, and as long as acknowledgements wait for others.
    assert!(trips.iter().all(|trip| (1..=120).contains(trip)), "{trips:?}");
}

/// A peer may go on after its reset, while a handler waits and the connection has not let go.
#[test]
fn a_conversation_that_has_failed_keeps_nothing_of_what_still_comes() {
    let mut talk = Conversation::new(7, &KcpOptions::of(&Config::default()), 0, false);
    let mut take = |segment: Segment<'_>| {
        let mut datagram = vec![0; segment.bytes()];
        segment.put(&mut datagram);
        talk.take(Segments::parse(&datagram).unwrap(), true, 1)
    };
    assert!(take(Segment::bare(7, Command::Reset)).hung_up);
    for sn in [u32::MAX, 0, 1].repeat(1000) {
        assert_eq!(take(Segment { sn, data: b"late", ..Segment::bare(7, Command::Push) }), News::default());
    }
    assert_eq!(talk.acks(), 0);
    assert_eq!(talk.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[derive(Clone, Copy, Default)]
struct Badness {
    lost: u64,
    doubled: u64,
    damaged: u64,
    /// In milliseconds: so late the latest datagrams come.
    latest: u64,
}

/// Two ends, and what is on its way between them.
struct Trial {
    ends: [End; 2],
    /// When it comes, to which end, and what.
    on_its_way: Vec<(u32, usize, Vec<u8>)>,
    badness: Badness,
    random: Random,
    begun: u32,
    now: u32,
}

struct End {
    talk: Conversation,
    fec: Option<(Encoder, Decoder)>,
    to_say: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
}

impl Trial {
    fn new(config: &Config, badness: Badness, random: Random, begun: u32) -> Self {
        let options = KcpOptions::of(config);
        let fec = options.fec.map(|(data, parity)| Fec::new(data, parity).unwrap());
        let end = |asks| End {
            talk: Conversation::new(7, &options, begun, asks).beginning_at(begun),
            fec: fec.as_ref().map(|fec| (Encoder::new(fec), Decoder::new(fec))),
            to_say: Vec::new(),
            said: 0,
            heard: Vec::new(),
        };
        let ends = [end(true), end(false)];
        Self { ends, on_its_way: Vec::new(), badness, random, begun, now: begun }
    }

    /// Has both ends say so much, and end.
    fn exchange(&mut self, bytes: usize) {
        for end in &mut self.ends {
            end.to_say.extend((0..bytes).map(|_| self.random.below(256) as u8));
        }
        while !self.ends.iter().all(|end| end.said == end.to_say.len() && end.talk.is_quiet()) {
            self.step();
            self.ends.iter_mut().for_each(|end| end.say_and_hear(&mut self.random));
        }
        for at in 0..2 {
            let (heard, said) = (&self.ends[at].heard, &self.ends[1 - at].to_say);
            assert!(heard == said, "end {at} heard {} of {} bytes, or others", heard.len(), said.len());
        }
    }

    /// A millisecond. Returns how many datagrams left.
    fn step(&mut self) -> usize {
        self.now = self.now.wrapping_add(1);
        let (now, mut left) = (self.now, 0);
        let due: Vec<_> = self.on_its_way.extract_if(.., |(at, ..)| *at == now).collect();
        for (_, to, datagram) in due {
            self.ends[to].take(&datagram, now);
        }
        for from in 0..2 {
            let mut sent = Vec::new();
            self.ends[from].flush(now, &mut |datagram| sent.push(datagram.to_vec()));
            left += sent.len();
            for datagram in sent {
                self.send(1 - from, datagram);
            }
        }
        left
    }

    fn send(&mut self, to: usize, mut datagram: Vec<u8>) {
        let Badness { lost, doubled, damaged, latest } = self.badness;
        let times =
            if self.random.below(100) < lost { 0 } else { 1 + usize::from(self.random.below(100) < doubled) };
        for _ in 0..times {
            let at = self.now.wrapping_add(1 + self.random.below(latest.max(1)) as u32);
            self.on_its_way.push((at, to, datagram.clone()));
        }
        let is_parity =
            self.ends[to].fec.is_some() && matches!(Shard::parse(&datagram), Some(Shard::Parity { .. }));
        if self.random.below(100) < damaged && !is_parity {
            // Cut short. What is cut in parity is seen by nobody: only UDP has a checksum.
            let end = self.random.below(datagram.len() as u64) as usize;
            datagram.truncate(end);
            self.on_its_way.push((self.now.wrapping_add(1), to, datagram));
        }
    }
}

impl End {
    fn take(&mut self, raw: &[u8], now: u32) {
        let Some((_, decoder)) = &mut self.fec else {
            if let Some(segments) = Segments::parse(raw) {
                self.talk.take(segments, true, now);
            }
            return;
        };
        let Some(shard) = Shard::parse(raw) else { return };
        if let Shard::Data { datagram, .. } = shard {
            let Some(segments) = Segments::parse(datagram) else { return };
            self.talk.take(segments, true, now);
        }
        for datagram in decoder.take(shard) {
            if let Some(segments) = Segments::parse(&datagram) {
                self.talk.take(segments, false, now);
            }
        }
    }

    fn flush(&mut self, now: u32, send: &mut dyn FnMut(&[u8])) {
        let due = self.talk.due().is_some_and(|due| now.wrapping_sub(due).cast_signed() >= 0);
        if due || self.talk.is_pressed() {
            self.talk.flush(now, &mut Datagrams::new(self.fec.as_mut().map(|(encoder, _)| encoder), send));
        }
    }

    fn say_and_hear(&mut self, random: &mut Random) {
        let n = (random.below(5000) as usize).min(self.to_say.len() - self.said);
        if n > 0 {
            let part = IoSlice::new(&self.to_say[self.said..self.said + n]);
            self.said += self.talk.add(&[part], std::iter::once(n)).unwrap_or(0);
        }
        let mut buffer = vec![0; 1 + random.below(3000) as usize];
        let received = self.talk.read(&mut buffer).unwrap();
        assert_ne!(received.left, Left::End);
        self.heard.extend_from_slice(&buffer[..received.n]);
    }
}

fn any_config(random: &mut Random) -> Config {
    let mut config = Config::default();
    config.kcp_no_delay = random.below(2) as u32;
    config.kcp_interval = 10 + random.below(50) as u32;
    config.kcp_resend = random.below(4) as u32;
    config.kcp_nc = random.below(2) as u32;
    config.kcp_stream_mode = random.below(2) == 0;
    config.kcp_ack_no_delay = random.below(2) == 0;
    config.kcp_send_window = 1 + random.below(64) as u32;
    config.kcp_recv_window = 1 + random.below(64) as u32;
    if random.below(2) == 0 {
        config.kcp_fec_data_shards = 1 + random.below(12) as u32;
        config.kcp_fec_parity_shards = 1 + random.below(4) as u32;
    }
    config
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
