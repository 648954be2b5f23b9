//! The demo `world` beside what it is modelled on, `mmo_game` of Go Zinx: its robots in our world, and the same walk in both worlds.
//!
//! Where there is no `go`, each test says by name that it was skipped.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::port::ReservedPort;
use crate::common::process::Process;
use crate::common::{Peer, Watchdog, wait_until};
use crate::world_player::{News, Player, World};

#[test]
fn robots_of_go_walk_and_talk_in_our_world() {
    let _watchdog = Watchdog::start(LIMIT);
    for workers in ["1", "2"] {
        let world = World::start(workers);
        let port = world.tcp.port().to_string();
        let Some(robot) = build("robot", |go| go.replace("8999", &port)) else { return };
        let robots = Process::spawn(&mut Command::new(robot));
        // Each lives for ten seconds, and does one or the other every second.
        wait_until("robots are there, walk and talk", || {
            let printed = robots.printed();
            let said = |what: &str| printed.matches(what).count();
            said(" online.. at(") >= 3 && said(" Walking...") >= 3 && said("说的话是: hello 我是player ") >= 3
        });
        assert!(robots.printed().contains("msg ID :202"));
        // They are seen by ours, and seen no more once they have gone.
        let mut player = world.player();
        drop(robots);
        while player.seen.len() > 1 {
            player.hear();
        }
        world.stop();
    }
}

#[test]
fn players_are_told_what_the_server_of_go_tells_them() {
    let _watchdog = Watchdog::start(LIMIT);
    let Some(program) = build("server", str::to_string) else { return };
    let port = ReservedPort::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mmo_game");
    std::fs::create_dir_all(folder.join("conf")).unwrap();
    let conf = format!(r#"{{"Host": "127.0.0.1", "TcpPort": {}, "WorkerPoolSize": 10}}"#, port.number());
    std::fs::write(folder.join("conf/zinx.json"), conf).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "cd \"$0\" && exec \"$1\""]).arg(&folder).arg(program);
    let _theirs = Process::spawn(&mut command);
    // Not a connection more: one that ends at once is a player there that never leaves, or panics.
    let mut first = Err(ErrorKind::NotFound.into());
    wait_until("it listens", || {
        first = TcpStream::connect(port.address);
        first.is_ok()
    });
    let told = walk(first.unwrap(), port.address);
    assert!(told[0].contains(&News::Gone(2)) && told[1].contains(&News::Gone(1)), "{told:?}");
    let ours = World::start("2");
    assert_eq!(walk(Peer::connect(ours.tcp).stream, ours.tcp), told);
    ours.stop();
}

/// What two players are told of each other, who walk out of sight, into sight, talk, and end. They are called 1 and 2.
fn walk(first: TcpStream, server: SocketAddr) -> [Vec<News>; 2] {
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut one = Player::enters(Peer { stream: first });
    one.walk(100.0, 100.0);
    let mut two = Player::enters(Peer::connect(server));
    let pids = [one.pid, two.pid];
    two.walk(110.0, 100.0);
    one.catch_up();
    let mut told = [Vec::new(), Vec::new()];
    // Their columns begin at 85, 117, 149; their rows at 75, 91, 107, 123.
    for place in
        [(116.0, 100.0), (117.0, 100.0), (149.0, 100.0), (148.9, 122.0), (148.0, 123.0), (85.0, 107.0)]
    {
        two.walk(place.0, place.1);
        told[1].extend(two.catch_up());
        told[0].extend(one.catch_up());
    }
    one.say("hello");
    told[1].push(two.hear());
    one.walk(404.0, 394.0);
    told[1].extend(two.catch_up());
    one.walk(100.0, 107.0);
    told[0].extend(one.catch_up());
    drop(two);
    told[0].push(one.hear());
    let news = told.map(|news| news.into_iter().map(|news| renamed(news, pids)));
    let [of_one, of_two] = news;
    let is_itself = |news: &News, who: i32| matches!(news, News::IsSeen(pid, _) if *pid == who);
    [of_one.filter(|news| !is_itself(news, 1)).collect(), of_two.filter(|news| !is_itself(news, 2)).collect()]
}

/// With 1 and 2 for the players. The server of Go also shows a player to itself if it jumps: that is left out.
fn renamed(news: News, pids: [i32; 2]) -> News {
    let name = |pid: i32| 1 + i32::from(pid == pids[1]);
    match news {
        News::IsSeen(pid, at) => News::IsSeen(name(pid), at),
        News::HasMoved(pid, at) => News::HasMoved(name(pid), at),
        News::Says(pid, said) => News::Says(name(pid), said),
        News::Gone(pid) => News::Gone(name(pid)),
    }
}

/// Builds the server, or the robots, of the release of Go Zinx that the other tests talk to, from the Go module proxy. `None`, with a word, if
/// there is no `go`.
fn build(what: &str, change: impl Fn(&str) -> String) -> Option<PathBuf> {
    let interop = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/go");
    run(Path::new(interop), &["mod", "download", "github.com/aceld/zinx"])?;
    let zinx = run(Path::new(interop), &["list", "-m", "-f", "{{.Dir}}", "github.com/aceld/zinx"])?;
    let zinx = Path::new(zinx.trim());
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, source) = (place.join(format!("mmo_{what}")), place.join(format!("mmo_{what}.go")));
    let file = if what == "robot" { "client_AI_robot.go" } else { "server.go" };
    let text = std::fs::read_to_string(zinx.join("zinx_app_demo/mmo_game").join(file)).unwrap();
    std::fs::write(&source, change(&text)).unwrap();
    let [to, from] = [&program, &source].map(|path| path.display().to_string());
    run(zinx, &["build", "-tags", what, "-o", &to, &from])?;
    Some(program)
}

/// What `go` prints.
fn run(folder: &Path, arguments: &[&str]) -> Option<String> {
    match Command::new("go").current_dir(folder).args(arguments).output() {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).unwrap()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(std::env::var_os("CI").is_none(), "go {arguments:?}: {why}");
            skip(&format!("go {arguments:?} fails: {why}"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => skip("there is no go"),
        Err(error) => panic!("{error}"),
    }
}

fn skip<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {}, because {why}", std::thread::current().name().unwrap_or("a test"));
    None
}

const LIMIT: Duration = Duration::from_secs(600);
