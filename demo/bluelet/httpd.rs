//! bluelet's web server: files and folders below a root, one coroutine a request.
//!
//! Run it: `cargo run --example bluelet_httpd [port] [root]`, and open <http://127.0.0.1:8000/>.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use zinx::green::{self, bluelet};

const INDEX_FILENAME: &str = "index.html";
const MAX_HEADERS: usize = 100;

struct Response {
    status: &'static str,
    kind: &'static str,
    body: Vec<u8>,
}

/// Reads one request and answers it.
fn webrequest(conn: &mut bluelet::Connection, root: &Path) -> io::Result<()> {
    let request = conn.readline("\n")?;
    for _ in 0..MAX_HEADERS {
        let line = conn.readline("\n")?;
        if line.trim_ascii().is_empty() {
            let request = String::from_utf8_lossy(&request).trim_end().to_string();
            // The client chooses what stands in it: no control characters for the terminal.
            println!("{}", request.escape_debug());
            let root = root.to_path_buf();
            // Files block: not on a worker.
            let Response { status, kind, body } = green::blocking(move || respond(&request, &root));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            conn.sendall(head)?;
            return conn.sendall(body);
        }
    }
    conn.sendall("HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
}

fn respond(request: &str, root: &Path) -> Response {
    let mut words = request.split(' ');
    let (Some(method), Some(target), Some(_version)) = (words.next(), words.next(), words.next()) else {
        return page("400 Bad Request", "Bad request.");
    };
    if method != "GET" {
        return page("405 Method Not Allowed", "Only GET.");
    }
    let path = target.split('?').next().unwrap_or_default();
    file_below(root, path)
        .and_then(|file| show(&file, path).ok())
        .unwrap_or_else(|| page("404 Not Found", "Not found."))
}

/// The file or folder that `path` names, unless it lies outside `root`, by `..` or by a link.
fn file_below(root: &Path, path: &str) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let file = root.join(decode(path)?.trim_start_matches('/')).canonicalize().ok()?;
    file.starts_with(&root).then_some(file)
}

/// Undoes `%20` and its like.
fn decode(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn show(file: &Path, path: &str) -> io::Result<Response> {
    let index = file.join(INDEX_FILENAME);
    let file = if index.is_file() { &index } else { file };
    if file.is_dir() {
        return list(file, path.trim_end_matches('/'));
    }
    Ok(Response { status: "200 OK", kind: mime_type(file), body: fs::read(file)? })
}

fn list(folder: &Path, path: &str) -> io::Result<Response> {
    let names: io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names: Vec<_> = names?.iter().map(|name| escape(&name.to_string_lossy())).collect();
    names.sort();
    let path = escape(path);
    let items: String =
        names.iter().map(|name| format!("<li><a href=\"{path}/{name}\">{name}</a></li>")).collect();
    let body = format!(
        "<html><head><title>{path}/</title></head><body><h1>{path}/</h1><ul>{items}</ul></body></html>"
    );
    Ok(Response { status: "200 OK", kind: "text/html", body: body.into_bytes() })
}

fn page(status: &'static str, text: &str) -> Response {
    let body = format!("<html><head><title>{status}</title></head><body><h1>{text}</h1></body></html>");
    Response { status, kind: "text/html", body: body.into_bytes() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn mime_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        _ => "text/plain",
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::builder().filter_level(log::LevelFilter::Info).init();
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(8000), |port| port.parse())?;
    let root = PathBuf::from(args.next().unwrap_or_else(|| ".".to_string()));
    Ok(bluelet::run(move || bluelet::server("", port, move |conn| webrequest(conn, &root)))?)
}
