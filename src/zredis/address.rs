//! Where a Redis is, and how a connection to it begins.

use std::io;

use redis::{Cmd, ConnectionAddr, IntoConnectionInfo, cmd};

/// A Redis, from its URL.
pub(crate) struct Address {
    host: String,
    port: u16,
    greeting: Vec<Cmd>,
}

impl Address {
    /// # Errors
    ///
    /// What is wrong with the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let info = url.into_connection_info().map_err(|error| error.to_string())?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err("only redis:// is possible".to_string());
        };
        let (settings, mut greeting) = (info.redis_settings(), Vec::new());
        if let Some(password) = settings.password() {
            let mut auth = cmd("AUTH");
            if let Some(user) = settings.username() {
                auth.arg(user);
            }
            auth.arg(password);
            greeting.push(auth);
        }
        if settings.db() != 0 {
            greeting.push(cmd("SELECT").arg(settings.db()).clone());
        }
        Ok(Self { host: host.clone(), port: *port, greeting })
    }

    /// What a new connection says first.
    pub(super) fn greeting(&self) -> &[Cmd] {
        &self.greeting
    }

    pub(super) fn connect(&self) -> io::Result<crate::green::TcpStream> {
        let target = format!("{}:{}", self.host, self.port);
        crate::green::TcpStream::connect_timeout(target, super::link::LIMIT)
    }
}

/// For the log: without the password.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_as_whom() {
        let address = Address::parse("redis://ann:secret@cache:7000/2").unwrap();
        assert_eq!(address.to_string(), "cache:7000");
        let said: Vec<_> = address.greeting().iter().map(Cmd::get_packed_command).collect();
        assert_eq!(
            said.concat(),
            b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"
        );
        assert!(Address::parse("redis://127.0.0.1").unwrap().greeting().is_empty());
        for bad in ["redis://", "rediss://host", "unix:///tmp/x", "redis://host:70000"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
