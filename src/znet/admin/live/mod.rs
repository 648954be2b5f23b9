//! The live page: what a browser shows at `/`. One page, embedded here, which asks for nothing but this server.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::http::{Request, Response};

/// Whether a browser asks for the page. Others get the list of paths.
pub(super) fn is_asked_for(request: &Request) -> bool {
    let takes_html = request.header("Accept").is_some_and(|kinds| kinds.contains("text/html"));
    matches!(request.method(), "GET" | "HEAD") && takes_html && request.segments().is_empty()
}

/// The page. It shows nothing by itself: what it asks for needs the token, if there is one.
///
/// It runs no script and takes no style but its own, and its script may not make HTML of a text: names are chosen by peers.
pub(super) fn page() -> Response {
    let mut bytes = [0; 16];
    if getrandom(&mut bytes[..], GetRandomFlags::empty()) != Ok(bytes.len()) {
        return Response::error(500, "the system has no random numbers");
    }
    let nonce = bytes.map(|byte| format!("{byte:02x}")).concat();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let page = PAGE.replace("NONCE", &nonce).replace("STYLE", STYLE).replace("SCRIPTS", SCRIPTS);
    Response::html(page)
        .with_header("Content-Security-Policy", policy)
        .with_header("Cross-Origin-Opener-Policy", "same-origin")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Vary", "Accept")
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: &str = concat!(
    include_str!("charts.js"),
    include_str!("figures.js"),
    include_str!("tables.js"),
    include_str!("view.js"),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_page_has_one_place() {
        for place in ["STYLE", "SCRIPTS"] {
            assert_eq!(PAGE.matches(place).count(), 1, "{place}");
        }
        assert_eq!(PAGE.matches("nonce=\"NONCE\"").count(), PAGE.matches("NONCE").count());
        assert!(!STYLE.contains("SCRIPTS") && !STYLE.contains("url(") && !SCRIPTS.contains("</script"));
    }
}
