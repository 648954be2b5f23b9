//! Connections that say nothing, or little.

use std::io;
use std::time::{Duration, Instant};

use super::frames::Frames;
use super::options::Options;
use super::peer::{Peer, Peers};
use super::server::Server;

/// Connects all, has each echo one message, and looks what they cost; `with_heartbeats`, while each sends one in ten seconds.
pub fn run(options: &Options, with_heartbeats: bool) -> io::Result<String> {
    let (frames, server) = (Frames::new(options), Server(options.pid));
    let before = (server.resident(), server.memory_maps());
    let begin = Instant::now();
    let mut peers = greet_all(options, &frames)?;
    let rate = options.connections as f64 / begin.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(500));
    let watch = server.stopwatch();
    if with_heartbeats {
        beat(&mut peers, &frames, options.time.max(BEAT))?;
    } else {
        std::thread::sleep(options.time.max(QUIET));
    }
    let cpu = 100.0 * watch.cpu().as_secs_f64() / watch.elapsed().as_secs_f64();
    let each = |now: f64, before: f64| (now - before) / options.connections as f64;
    let bytes = each(server.resident() as f64, before.0 as f64);
    let maps = each(server.memory_maps() as f64, before.1 as f64);
    Ok(format!("per_conn_B={bytes:.0} per_conn_vmas={maps:.2} idle_cpu={cpu:.3} connrate={rate:.0}"))
}

/// Connects one after the other; of at most so many the echo is still missing.
fn greet_all(options: &Options, frames: &Frames) -> io::Result<Peers> {
    let (mut peers, mut greeted) = (Peers::new()?, 0);
    while greeted < options.connections {
        let connected = peers.all.len();
        let may_connect = connected < options.connections && connected - greeted < AT_ONCE;
        if may_connect {
            let mut peer = Peer::connect(options, connected)?;
            peer.ask(frames, 1, Instant::now())?;
            peers.add(peer)?;
        }
        let most = if may_connect { Duration::ZERO } else { Duration::from_secs(5) };
        let ready = peers.wait(most)?;
        if ready.is_empty() && !may_connect {
            return Err(io::Error::other(format!("{greeted} of {connected} connections answer")));
        }
        for ready in ready {
            greeted += peers.all[ready.peer].read(frames, &mut peers.buffer)?;
        }
    }
    Ok(peers)
}

/// Each sends a message every [`BEAT`], evenly spread.
fn beat(peers: &mut Peers, frames: &Frames, time: Duration) -> io::Result<()> {
    let (begin, connections) = (Instant::now(), peers.all.len());
    let mut sent = 0;
    while begin.elapsed() < time {
        let due = (begin.elapsed().as_secs_f64() / BEAT.as_secs_f64() * connections as f64) as usize;
        for n in sent..due {
            peers.all[n % connections].ask(frames, 1, Instant::now())?;
        }
        sent = due;
        for ready in peers.wait(Duration::from_millis(5))? {
            peers.all[ready.peer].read(frames, &mut peers.buffer)?;
        }
    }
    Ok(())
}

const AT_ONCE: usize = 64;
const BEAT: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(3);
