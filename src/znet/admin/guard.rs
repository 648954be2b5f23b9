//! Who may ask: with a token, whoever has it; without one, programs of this machine, and no web page.

use crate::http::{Request, Response};

pub(super) struct Guard {
    token: String,
}

impl Guard {
    /// Asks for a token, or for none if it is empty.
    pub(super) fn new(token: &str) -> Self {
        Self { token: token.to_string() }
    }

    /// The answer to one who may not ask.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        let host = request.header("Host").unwrap_or_default();
        if self.token.is_empty() {
            // A page whose name has been made to mean this machine is asked for by that name.
            if !is_of_this_machine(host) {
                return Err(Response::error(403, "ask for 127.0.0.1, [::1] or localhost by that name"));
            }
        } else if !self.has_token(request) {
            let refused = Response::error(401, "Authorization: Bearer TOKEN is needed, with AdminToken");
            return Err(refused.with_header("WWW-Authenticate", "Bearer"));
        }
        if request.method() == "POST" && comes_from_a_page_of_others(request, host) {
            return Err(Response::error(403, "a page of another site may not do this"));
        }
        Ok(())
    }

    fn has_token(&self, request: &Request) -> bool {
        let Some((scheme, given)) = request.header("Authorization").and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("Bearer") && is_same(given.trim().as_bytes(), self.token.as_bytes())
    }
}

/// Compares in a time that depends on the length alone.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let differs = given.iter().zip(secret).fold(0, |differs, (one, other)| differs | (one ^ other));
    given.len() == secret.len() && std::hint::black_box(differs) == 0
}

fn is_of_this_machine(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !host.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A browser says of what site the page is that asks.
fn comes_from_a_page_of_others(request: &Request, host: &str) -> bool {
    let other_origin = request.header("Origin").is_some_and(|origin| {
        origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
    });
    let other_site =
        request.header("Sec-Fetch-Site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    other_origin || other_site
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in ["127.0.0.1", "127.0.0.1:7778", "localhost:1", "LOCALHOST", "[::1]", "[::1]:7778"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:7778", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:1"]
        {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_secret_is_compared_whole() {
        assert!(is_same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secret!", b"Secret"] {
            assert!(!is_same(other, b"secret"));
        }
    }
}
