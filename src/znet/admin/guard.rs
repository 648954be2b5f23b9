//! Which requests are allowed: with a token, those that carry it; without one, those of programs on this machine, but of no web page.

use crate::http::{Request, Response};
use crate::zconf::is_of_this_machine;

pub(super) struct Guard<'a> {
    token: &'a str,
}

impl<'a> Guard<'a> {
    /// Demands this token; none if it is empty.
    pub(super) const fn new(token: &'a str) -> Self {
        Self { token }
    }

    /// The error response, if not even the live page is allowed, which tells nothing.
    pub(super) fn check_page(&self, request: &Request) -> Result<(), Response> {
        // A page whose name has been made to mean this machine is asked for by that name.
        if self.token.is_empty() && !is_of_this_machine(request.header("Host").unwrap_or_default()) {
            return Err(Response::error(403, "ask for 127.0.0.1, [::1] or localhost by that name"));
        }
        Ok(())
    }

    /// The error response, if the request is not allowed.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        self.check_page(request)?;
        let host = request.header("Host").unwrap_or_default();
        if !self.token.is_empty() && !self.has_token(request) {
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
    fn a_secret_is_compared_whole() {
        assert!(is_same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secret!", b"Secret"] {
            assert!(!is_same(other, b"secret"));
        }
    }
}
