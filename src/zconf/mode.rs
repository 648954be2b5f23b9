//! Which transports a server listens on.

use std::fmt;

use super::field::{Field, Rule, Scalar};

/// Which transports a server listens on: `Mode`, their names with commas between them. TCP alone is the default, as `tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode(u8);

impl Mode {
    /// `tcp`: TCP, or TLS if there is a certificate.
    pub const TCP: Self = Self(1);
    /// `websocket`: WebSocket, over TLS if there is a certificate.
    pub const WEBSOCKET: Self = Self(2);
    /// `kcp`: KCP over UDP.
    pub const KCP: Self = Self(4);
    /// The empty word: TCP and WebSocket.
    pub const TCP_AND_WEBSOCKET: Self = Self::TCP.and(Self::WEBSOCKET);

    /// The transports of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all transports of `other` are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn of_word(word: &str) -> Option<Self> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.trim()));
        named.map(|(_, mode)| *mode)
    }
}

/// The names, with commas between them.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().filter(|(_, mode)| self.has(*mode)).map(|(name, _)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::TCP
    }
}

impl Field for Mode {
    fn take(&mut self, value: &Scalar, _rule: Rule) -> bool {
        let Scalar::Text(text) = value else { return false };
        let taken = if text.is_empty() {
            Some(Self::TCP_AND_WEBSOCKET)
        } else {
            let words = text.split(',').map(Self::of_word);
            words.reduce(|all, one| Some(all?.and(one?))).flatten()
        };
        taken.inspect(|mode| *self = *mode).is_some()
    }

    fn expected(&self, _rule: Rule) -> String {
        "one of tcp, websocket, kcp, several with commas between them, or \"\" for tcp and websocket"
            .to_string()
    }

    fn scalar(&self) -> Scalar {
        Scalar::Text(self.to_string())
    }
}

const NAMES: [(&str, Mode); 3] = [("tcp", Mode::TCP), ("websocket", Mode::WEBSOCKET), ("kcp", Mode::KCP)];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Mode> {
        let mut mode = Mode::default();
        mode.take(&Scalar::Text(text.into()), Rule::Any).then_some(mode)
    }

    #[test]
    fn names_in_any_case_and_number_and_the_empty_word() {
        assert_eq!(read("WebSocket"), Some(Mode::WEBSOCKET));
        assert_eq!(read(""), Some(Mode::TCP_AND_WEBSOCKET));
        assert_eq!(read("kcp, TCP"), Some(Mode::TCP.and(Mode::KCP)));
        for bad in ["udp", "tcp,", ",", "tcp websocket", "tcp,udp"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(Mode::TCP_AND_WEBSOCKET.scalar(), Scalar::Text("tcp,websocket".into()));
        assert!(Mode::TCP_AND_WEBSOCKET.has(Mode::TCP) && !Mode::TCP.has(Mode::TCP_AND_WEBSOCKET));
    }
}
