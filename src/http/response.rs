//! An answer: its status, its headers and its body.

use std::io::{self, Write};

use serde::Serialize;

/// What is answered.
pub(crate) struct Response {
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What comes behind the body, as it comes to be.
    stream: Option<Box<Stream>>,
}

/// Writes until there is no more to write, or the client is gone.
type Stream = dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send;

#[derive(Serialize)]
struct ErrorBody {
    error: String,
}

impl Response {
    /// A value as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let text = serde_json::to_vec_pretty(value);
        match text {
            Ok(body) => Self::of(200, "application/json", body),
            Err(error) => Self::of(500, TEXT, error.to_string().into_bytes()),
        }
    }

    /// Metrics, in the text format of OpenMetrics.
    pub(crate) fn open_metrics(text: String) -> Self {
        Self::of(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text.into_bytes())
    }

    /// Text.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::of(status, TEXT, text.into().into_bytes())
    }

    /// Text that goes out as it is written. The end of the connection is its end.
    pub(crate) fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        Self { stream: Some(Box::new(write)), ..Self::of(200, TEXT, Vec::new()) }
    }

    /// A page for a browser.
    pub(crate) fn html(text: String) -> Self {
        Self::of(200, "text/html; charset=utf-8", text.into_bytes())
    }

    /// What is wrong with the request, as JSON: `{"error": ..}`.
    pub(crate) fn error(status: u16, error: impl Into<String>) -> Self {
        Self { status, ..Self::json(&ErrorBody { error: error.into() }) }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether it goes out bit by bit.
    pub(super) const fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    const fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body, stream: None }
    }

    pub(super) fn write(self, out: &mut impl Write, with_body: bool) -> io::Result<()> {
        let status = self.status;
        let length = match self.stream {
            None => format!("Content-Length: {}\r\n", self.body.len()),
            Some(_) => String::new(),
        };
        let mut bytes = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {}\r\n{length}Connection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n",
            reason(status),
            self.content_type
        );
        for (name, value) in &self.headers {
            bytes.extend([name, ": ", value.as_str(), "\r\n"]);
        }
        bytes.push_str("\r\n");
        // In one piece: on a machine that is too busy, the time for the answer may be over between two.
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(if with_body { &self.body } else { &[] });
        out.write_all(&bytes)?;
        match self.stream.filter(|_| with_body) {
            Some(stream) => stream(out),
            None => Ok(()),
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
