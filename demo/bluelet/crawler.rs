//! bluelet's crawler, in four variants, each timed: every page takes a tenth of a second to come, so what waits for
//! them at once is done in that time. The pages come from a server in this program.
//!
//! Run it: `cargo run --example bluelet_crawler [port]`; any free port by default.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "three variants are there to block")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zinx::green::{self, StreamServer, bluelet};

const USERNAMES: [&str; 5] = ["samps", "b33ts", "twitter", "twitterapi", "Support"];

type Pages = io::Result<BTreeMap<String, String>>;
type Variant = fn(SocketAddr) -> Pages;

/// Answers any request after a while.
fn webserver(mut stream: green::TcpStream, _: SocketAddr) -> io::Result<()> {
    let mut request = [0; 1024];
    let n = stream.read(&mut request)?;
    let path = String::from_utf8_lossy(&request[..n]).split(' ').nth(1).unwrap_or_default().to_string();
    green::sleep(Duration::from_millis(100));
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nlatest of {}", path.trim_start_matches('/'))
}

fn request(username: &str) -> String {
    format!("GET /{username} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn body(response: &[u8]) -> io::Result<String> {
    let response = String::from_utf8_lossy(response);
    let (_head, body) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(body.to_string())
}

fn green_fetch(address: SocketAddr, username: &str) -> io::Result<String> {
    let mut conn = bluelet::connect(&address.ip().to_string(), address.port())?;
    conn.sendall(request(username))?;
    let mut response = Vec::new();
    loop {
        let data = conn.recv(4096)?;
        if data.is_empty() {
            return body(&response);
        }
        response.extend(data);
    }
}

fn blocking_fetch(address: SocketAddr, username: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request(username).as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    body(&response)
}

fn run_bluelet(address: SocketAddr) -> Pages {
    bluelet::run(move || {
        let crawl = |name| bluelet::spawn(move || Ok((String::from(name), green_fetch(address, name)?)));
        let fetching = USERNAMES.map(crawl);
        fetching.into_iter().map(|greenlet| greenlet.get().map_err(io::Error::other)?).collect()
    })
}

fn run_sequential(address: SocketAddr) -> Pages {
    USERNAMES.iter().map(|name| Ok(((*name).to_string(), blocking_fetch(address, name)?))).collect()
}

fn run_threaded(address: SocketAddr) -> Pages {
    let fetch = |name| std::thread::spawn(move || Ok((String::from(name), blocking_fetch(address, name)?)));
    let threads = USERNAMES.map(fetch);
    threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| io::Error::other("a thread panicked"))?)
        .collect()
}

fn run_processes(address: SocketAddr) -> Pages {
    let start = |name| -> io::Result<(&str, Child)> {
        let mut program = Command::new(std::env::current_exe()?);
        let program = program.args([&address.port().to_string(), "fetch", name]);
        Ok((name, program.stdout(Stdio::piped()).spawn()?))
    };
    let children = USERNAMES.map(start).into_iter().collect::<io::Result<Vec<_>>>()?;
    let finish = |(name, child): (&str, Child)| {
        let output = child.wait_with_output()?;
        Ok((name.to_string(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    children.into_iter().map(finish).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let port = args.first().map_or(Ok(0), |port| port.parse())?;
    if let [_, _, name] = &args[..] {
        print!("{}", blocking_fetch(SocketAddr::from(([127, 0, 0, 1], port)), name)?);
        return Ok(());
    }
    let server = StreamServer::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    server.start(webserver)?;
    let variants: [(&str, Variant); 4] = [
        ("bluelet", run_bluelet),
        ("sequential", run_sequential),
        ("threading", run_threaded),
        ("multiprocessing", run_processes),
    ];
    let mut pages = BTreeMap::new();
    for (name, variant) in variants {
        let start = Instant::now();
        pages = variant(server.local_addr())?;
        println!("{name}: {:.2} seconds", start.elapsed().as_secs_f64());
    }
    println!();
    for (name, page) in &pages {
        println!("{name}: {page}");
    }
    Ok(())
}
