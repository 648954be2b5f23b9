//! A request: its method, path, parameters and headers.

use std::io::{self, Read};

/// What a peer asks for.
pub(crate) struct Request {
    method: String,
    path: String,
    parameters: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// Why there is no request.
pub(super) enum Bad {
    /// The peer is gone, or too slow.
    Gone(io::Error),
    /// It asks for what is not understood: the status, and why.
    Request(u16, String),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl Request {
    /// Reads one, with its body, which is thrown away.
    pub(super) fn read(stream: &mut impl Read) -> Result<Self, Bad> {
        let mut bytes = Vec::new();
        loop {
            if let Some((request, head)) = Self::parse(&bytes)? {
                request.skip_body(stream, bytes.len() - head)?;
                return Ok(request);
            }
            if bytes.len() >= MAX_HEAD {
                return Err(Bad::Request(431, format!("a head of more than {MAX_HEAD} bytes")));
            }
            let mut some = [0; 2048];
            match stream.read(&mut some)? {
                0 => return Err(Bad::Gone(io::ErrorKind::UnexpectedEof.into())),
                n => bytes.extend_from_slice(some.get(..n).unwrap_or_default()),
            }
        }
    }

    /// The request in these bytes, and how long its head is. `None` if the head is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Bad> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Bad::Request(431, format!("more than {MAX_HEADERS} headers")));
            }
            Err(error) => return Err(Bad::Request(400, format!("not HTTP: {error}"))),
        };
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |header: &httparse::Header<'_>| {
            (header.name.to_string(), String::from_utf8_lossy(header.value).into_owned())
        };
        let request = Self {
            method: parsed.method.unwrap_or_default().to_string(),
            path: path.to_string(),
            parameters: query.split('&').filter(|pair| !pair.is_empty()).map(parameter).collect(),
            headers: parsed.headers.iter().map(text).collect(),
        };
        Ok(Some((request, head)))
    }

    fn skip_body(&self, stream: &mut impl Read, received: usize) -> Result<(), Bad> {
        if self.header("Transfer-Encoding").is_some() {
            return Err(Bad::Request(411, "a body without Content-Length".to_string()));
        }
        let Some(len) = self.header("Content-Length") else { return Ok(()) };
        let len: u64 = len.parse().map_err(|_| Bad::Request(400, "a bad Content-Length".to_string()))?;
        if len > MAX_BODY {
            return Err(Bad::Request(413, format!("a body of more than {MAX_BODY} bytes")));
        }
        let left = len.saturating_sub(received as u64);
        io::copy(&mut stream.take(left), &mut io::sink())?;
        Ok(())
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// The parts of the path between its slashes, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The first parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names of all parameters.
    pub(crate) fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn parameter(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
}

/// Replaces each `%` and its two digits by the byte that they mean.
fn decode(text: &str) -> String {
    let (mut bytes, mut left) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, rest)) = left.split_first() {
        let escaped = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.contains('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        left = if escaped.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
const MAX_BODY: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Request, u16> {
        Request::read(&mut &*bytes).map_err(|bad| match bad {
            Bad::Gone(_) => 0,
            Bad::Request(status, _) => status,
        })
    }

    #[test]
    fn parameters_and_segments_are_decoded() {
        let head = b"GET /userz/a%2Fb%20c/kick?name=%e4%b8%ad+x&flag&bad=%zz%4 HTTP/1.1\r\nhost: x\r\n\r\n";
        let request = read(head).ok().unwrap();
        assert_eq!(request.segments(), ["userz", "a/b c", "kick"]);
        let named = |name| request.parameter(name);
        assert_eq!((named("name"), named("flag"), named("bad")), (Some("中 x"), Some(""), Some("%zz%4")));
        assert_eq!((named("none"), request.header("HOST"), request.method()), (None, Some("x"), "GET"));
    }

    #[test]
    fn what_is_no_request_gets_its_status_at_every_cut() {
        let whole = b"POST /drain HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
        assert!(read(whole).is_ok());
        let head = whole.len() - b"body".len();
        for cut in 0..head {
            assert_eq!(read(&whole[..cut]).err(), Some(0), "{cut}");
        }
        assert_eq!(read(b"hello\r\n\r\n").err(), Some(400));
        assert_eq!(read(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").err(), Some(411));
        assert_eq!(read(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").err(), Some(400));
        assert_eq!(read(b"GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n").err(), Some(413));
        assert_eq!(read(&[b"GET /", &vec![b'x'; MAX_HEAD][..]].concat()).err(), Some(431));
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(read(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()).err(), Some(431));
    }
}
