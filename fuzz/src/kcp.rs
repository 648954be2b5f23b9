//! Datagrams to a server that speaks KCP: of strangers, and within a conversation; with error correction and without.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use zinx::zconf::Mode;
use zinx::ziface::{IClient, IRequest, IServer};
use zinx::znet::new_kcp_client_with_config;
use zinx::{Client, Config, Server};

use super::serving::serve;
use super::source::Source;

/// A stranger is told no more than it has said, a peer gets whole segments of its own conversation, and a healthy client of the
/// server is served throughout.
pub fn kcp_datagrams(input: &[u8]) {
    PLAIN.take(input);
}

/// The same where the datagrams are shards.
pub fn kcp_fec(input: &[u8]) {
    CORRECTED.take(input);
}

/// A server, and a client of ours that knows it.
struct World {
    server: Server,
    address: SocketAddr,
    healthy: Client,
    /// What the healthy client hears.
    heard: Mutex<mpsc::Receiver<Vec<u8>>>,
    is_corrected: bool,
}

impl World {
    fn new(shards: (u32, u32)) -> Self {
        let mut config = Config::default();
        (config.mode, config.kcp_port, config.handle_signals) = (Mode::KCP, 0, false);
        (config.kcp_fec_data_shards, config.kcp_fec_parity_shards) = shards;
        let server = serve(config.clone(), &[ECHO], |_| {});
        let address = SocketAddr::from(([127, 0, 0, 1], server.local_addrs()[0].1.port()));
        let healthy = new_kcp_client_with_config("127.0.0.1", address.port(), config).unwrap();
        let (said, heard) = mpsc::channel();
        let said = Mutex::new(said);
        let echo = move |request: &dyn IRequest| {
            said.lock().unwrap().send(request.get_data().to_vec()).unwrap();
            Ok(())
        };
        healthy.add_router(ECHO, echo).unwrap();
        healthy.start().unwrap();
        Self { server, address, healthy, heard: Mutex::new(heard), is_corrected: shards != (0, 0) }
    }

    fn take(&self, input: &[u8]) {
        // Tests of one process take turns; one that has failed does not make the others fail.
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let conv = CONVERSATIONS.fetch_add(1, Ordering::Relaxed);
        let datagrams = self.datagrams(Source::new(input), conv);
        let stranger = self.socket();
        let said: usize = datagrams.iter().map(|datagram| stranger.send(datagram).unwrap()).sum();
        self.check_healthy(&heard);
        let told: usize = received(&stranger).iter().map(Vec::len).sum();
        assert!(told <= said, "{told} bytes are the answer to {said}");

        let peer = self.open(conv);
        for datagram in &datagrams {
            peer.send(datagram).unwrap();
        }
        self.check_healthy(&heard);
        received(&peer).iter().for_each(|datagram| self.check_segments(datagram, conv));
        peer.send(&self.shard(0xF1, u32::MAX - 100, &segment(conv, RESET, 0, 0, &[]))).unwrap();
        assert_eq!(self.server.stats().handler_panics, 0);
    }

    /// A conversation whose first message has been echoed.
    fn open(&self, conv: u32) -> UdpSocket {
        let peer = self.socket();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let first = segment(conv, PUSH, 0, 0, &[1, 0, 0, 0, 1, 0, 0, 0, b'!']);
            peer.send(&self.shard(0xF1, 0, &first)).unwrap();
            let mut buffer = [0; 2048];
            while let Ok(len) = peer.recv(&mut buffer) {
                let Some(found) = self.segments_of(&buffer[..len]) else { continue };
                if found.starts_with(&conv.to_le_bytes()) && found[4] == PUSH && found[12..16] == [0xFF; 4] {
                    // The question whether it receives there.
                    let mut answer = found[..24].to_vec();
                    answer[4] = ACK;
                    peer.send(&self.shard(0xF1, 1, &answer)).unwrap();
                } else if found[4] == PUSH || found[4] == ACK {
                    return peer;
                }
            }
        }
        panic!("conversation {conv} does not begin");
    }

    /// The server answers the healthy client, so it has taken all that was sent before.
    fn check_healthy(&self, heard: &mpsc::Receiver<Vec<u8>>) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let text = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        self.healthy.conn().expect("the healthy client is connected").send_msg(ECHO, text).unwrap();
        assert_eq!(heard.recv_timeout(PATIENCE).expect("the healthy client gets its echo"), text);
    }

    /// What a server sends is well formed.
    fn check_segments(&self, datagram: &[u8], conv: u32) {
        assert!(datagram.len() <= 1400, "{} bytes", datagram.len());
        let Some(mut rest) = self.segments_of(datagram) else { return };
        assert!(!rest.is_empty());
        while !rest.is_empty() {
            assert!(rest.starts_with(&conv.to_le_bytes()));
            let len = u32::from_le_bytes(rest[20..24].try_into().unwrap()) as usize;
            rest = &rest[24 + len..];
        }
    }

    /// What is in a datagram of the server; `None` for parity.
    fn segments_of<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        if !self.is_corrected {
            return Some(datagram);
        }
        (datagram[4] == 0xF1).then(|| &datagram[8..])
    }

    fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket
    }

    /// The datagrams that an input stands for, half of them almost right.
    fn datagrams(&self, mut source: Source<'_>, conv: u32) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < 64 {
            let kind = source.byte();
            let mut datagram = match kind % 4 {
                0 => source.bytes(6 * usize::from(kind >> 2)).to_vec(),
                3 => all.last().cloned().unwrap_or_default(),
                _ => (0..=kind >> 2 & 3).flat_map(|_| any_segment(&mut source, conv)).collect(),
            };
            if kind % 4 == 3 {
                datagram.truncate(source.number(2) as usize);
            } else if self.is_corrected && kind & 0x80 == 0 {
                let (mark, number) = (0xF1 + (kind >> 5 & 1), small(&mut source));
                datagram = self.shard(mark, number, &datagram);
            }
            let is_over = datagram.is_empty();
            all.push(datagram);
            if is_over {
                break;
            }
        }
        all
    }

    /// A datagram with the head of the error correction, if there is one.
    fn shard(&self, mark: u8, number: u32, datagram: &[u8]) -> Vec<u8> {
        if !self.is_corrected {
            return datagram.to_vec();
        }
        let head = [&number.to_le_bytes()[..], &[mark, 0]].concat();
        if mark != 0xF1 {
            return [&head, datagram].concat();
        }
        let len = u16::try_from(datagram.len() + 2).unwrap_or(u16::MAX);
        [&head[..], &len.to_le_bytes(), datagram].concat()
    }
}

fn received(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2048];
    socket.set_nonblocking(true).unwrap();
    let one = || socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec());
    std::iter::from_fn(one).collect()
}

fn segment(conv: u32, command: u8, sn: u32, una: u32, data: &[u8]) -> Vec<u8> {
    let mut segment = conv.to_le_bytes().to_vec();
    segment.extend([command, 0, 128, 0]);
    let len = u32::try_from(data.len()).unwrap();
    [0, sn, una, len].iter().for_each(|number| segment.extend(number.to_le_bytes()));
    segment.extend(data);
    segment
}

fn any_segment(source: &mut Source<'_>, conv: u32) -> Vec<u8> {
    let (kind, flags) = (source.byte(), source.byte());
    let command = COMMANDS.get(usize::from(kind)).copied().unwrap_or(kind);
    let (sn, una) = (small(source), if flags & 1 == 0 { 0 } else { small(source) });
    let data = source.bytes(usize::from(flags >> 1 & 0x1F));
    let mut segment = segment(conv, command, sn, una, data);
    if flags & 0x40 != 0 {
        // A window and a time of its own.
        segment[6..12].copy_from_slice(&source.number(6).to_le_bytes()[..6]);
    }
    if flags & 0x80 != 0 {
        segment[20..24].copy_from_slice(&small(source).to_le_bytes());
    }
    segment
}

/// A number that is small, or just below 0, or any.
fn small(source: &mut Source<'_>) -> u32 {
    match source.byte() {
        0xFF => source.number(4) as u32,
        byte @ 0xE0.. => u32::from(byte).wrapping_sub(0xFF),
        byte => u32::from(byte),
    }
}

const ECHO: u32 = 1;
const PUSH: u8 = 81;
const ACK: u8 = 82;
const RESET: u8 = 103;
const COMMANDS: [u8; 7] = [PUSH, ACK, 83, 84, 101, 102, RESET];

/// The server has to answer within this time.
const PATIENCE: Duration = Duration::from_secs(20);

static CONVERSATIONS: AtomicU32 = AtomicU32::new(1);

static PLAIN: LazyLock<World> = LazyLock::new(|| World::new((0, 0)));

static CORRECTED: LazyLock<World> = LazyLock::new(|| World::new((3, 2)));
