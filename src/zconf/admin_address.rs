//! Where the admin plane listens, and whether it needs a token.

use std::net::IpAddr;

use super::Config;
use crate::error::config::ConfigProblem;

impl Config {
    /// The address and port of the admin plane; `None` if there is none.
    pub(crate) fn admin_address(&self) -> Option<&str> {
        let is_off = self.admin.is_empty() || self.admin.eq_ignore_ascii_case("off");
        (!is_off).then_some(self.admin.as_str())
    }
}

/// What is wrong with keys that each are right.
pub(super) fn problems_between(config: &Config) -> Option<ConfigProblem> {
    let address = config.admin_address()?;
    let is_open = !is_of_this_machine(address) && config.admin_token.is_empty();
    is_open.then(|| ConfigProblem {
        key: "AdminToken".to_string(),
        found: "nothing".to_string(),
        expected: format!(
            "a token, because Admin {address} may be reached from other machines; or Admin: 127.0.0.1:7778"
        ),
        ..ConfigProblem::default()
    })
}

/// Whether a host, perhaps with a port behind it, can only be this machine. Of names, that is known of `localhost` alone.
pub(crate) fn is_of_this_machine(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !host.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_needs_a_token() {
        let problems = |admin: &str, token: &str| {
            let mut config = Config::default();
            (config.admin, config.admin_token) = (admin.to_string(), token.to_string());
            config.validate().is_err()
        };
        for here in ["", "off", "127.0.0.1:7778", "127.9.9.9:0", "[::1]:7778", "localhost:1"] {
            assert!(!problems(here, ""), "{here}");
        }
        for open in ["0.0.0.0:7778", "[::]:7778", "192.168.1.1:7778", "example.com:7778"] {
            assert!(
                problems(open, "") && problems(open, "short") && !problems(open, "0123456789abcdef"),
                "{open}"
            );
        }
        for bad in ["7778", "127.0.0.1", "127.0.0.1:70000", "::1:7778", ":7778", "http://localhost:1"] {
            assert!(problems(bad, "0123456789abcdef"), "{bad}");
        }
    }

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
}
