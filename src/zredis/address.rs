//! Where a Redis is, and how a connection to it begins.

#[cfg(feature = "tls")]
use std::sync::Arc;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Value, cmd};
#[cfg(feature = "tls")]
use rustls::ClientConfig;

use super::sentinels;
use super::stream::Stream;
use crate::green::TcpStream;

/// A Redis, from its URL.
#[derive(Clone)]
pub(crate) struct Address {
    /// Where it is; with a [`service`](Self::service), where its sentinels are.
    hosts: Vec<Host>,
    /// The name by which the sentinels know it.
    service: Option<String>,
    greeting: Vec<Cmd>,
    is_encrypted: bool,
    /// Whom connections trust that are encrypted.
    #[cfg(feature = "tls")]
    trust: Option<Arc<ClientConfig>>,
}

/// A name or an address, and a port.
pub(super) type Host = (String, u16);

impl Address {
    /// Reads `redis://user:password@host:port/db`, or `redis+sentinel://user:password@host:port,host:port/service/db`; with
    /// `rediss` in place of `redis` if it is encrypted.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, or that it needs another build.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("there is no ://")?;
        let (is_encrypted, has_sentinels) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err("it begins with redis://, rediss:// or redis+sentinel://".to_string()),
        };
        if is_encrypted && cfg!(not(feature = "tls")) {
            return Err(format!("{scheme}:// needs zinx built with the cargo feature `tls`"));
        }
        let (hosts, service, info) = if has_sentinels { behind_sentinels(rest)? } else { one(rest)? };
        let greeting = greeting(&info, has_sentinels);
        Ok(Self {
            hosts,
            service,
            greeting,
            is_encrypted,
            #[cfg(feature = "tls")]
            trust: None,
        })
    }

    /// Whether connections need somebody to [trust](Self::trusting).
    #[cfg(feature = "tls")]
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The same; connections trust whom `config` says.
    #[cfg(feature = "tls")]
    pub(crate) fn trusting(self, config: Arc<ClientConfig>) -> Self {
        Self { trust: Some(config), ..self }
    }

    /// Whether the Redis may become another one at any time.
    pub(super) const fn has_sentinels(&self) -> bool {
        self.service.is_some()
    }

    /// Where the Redis is now. Sentinels may take twice the [limit](super::link::LIMIT) to say so: to connect, and to answer.
    pub(super) fn find(&self) -> Result<Host, String> {
        match &self.service {
            Some(service) => sentinels::master(self, &self.hosts, service),
            None => self.hosts.first().cloned().ok_or_else(|| "it is nowhere".to_string()),
        }
    }

    /// What a new connection says first.
    pub(super) fn greeting(&self) -> &[Cmd] {
        &self.greeting
    }

    /// What is wrong with the answers to that. Sentinels may name a Redis that is no master any more, or not yet.
    pub(super) fn check(&self, answers: &[Value]) -> Result<(), String> {
        match answers.last() {
            Some(Value::Array(role)) if self.has_sentinels() => match role.first() {
                Some(Value::BulkString(role)) if role == b"master" => Ok(()),
                _ => Err("it is not the master".to_string()),
            },
            _ => Ok(()),
        }
    }

    /// Connects, without the handshake of TLS.
    pub(super) fn connect((host, port): &Host) -> Result<TcpStream, String> {
        let connected = TcpStream::connect_timeout((host.clone(), *port), super::link::LIMIT);
        connected.map_err(|error| format!("{host}:{port}: {error}"))
    }

    /// Makes the connection to `host` one that can be used. With TLS that waits for the other side.
    pub(super) fn secure(&self, host: &Host, socket: TcpStream) -> Result<Stream, String> {
        if !self.is_encrypted {
            return Ok(Stream::plain(socket));
        }
        #[cfg(feature = "tls")]
        if let Some(trust) = &self.trust {
            let stream = Stream::encrypted(socket, Arc::clone(trust), &host.0);
            return stream.map_err(|error| format!("{}:{}: {error}", host.0, host.1));
        }
        // A URL that asks for it is refused where it cannot be.
        Err(format!("nobody is trusted to be {}", host.0))
    }
}

/// The host and the answers of a plain URL.
fn one(rest: &str) -> Result<Parts, String> {
    let info = parse_plain(rest)?;
    Ok((vec![host_of(&info)?], None, info))
}

/// The sentinels, the name of the service, and the rest as that of a plain URL.
fn behind_sentinels(rest: &str) -> Result<Parts, String> {
    let expected = "a list of sentinels is followed by /service or /service/db";
    let (who, path) = rest.split_once('/').ok_or(expected)?;
    let (service, db) = path.split_once('/').unwrap_or((path, "0"));
    if service.is_empty() {
        return Err(expected.to_string());
    }
    let (user, list) = who.rsplit_once('@').map_or(("", who), |(user, list)| (user, list));
    let host = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        host_of(&parse_plain(&format!("{host}{port}"))?)
    };
    let hosts = list.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
    let separator = if user.is_empty() { "" } else { "@" };
    Ok((hosts, Some(service.to_string()), parse_plain(&format!("{user}{separator}localhost/{db}"))?))
}

type Parts = (Vec<Host>, Option<String>, ConnectionInfo);

fn parse_plain(rest: &str) -> Result<ConnectionInfo, String> {
    format!("redis://{rest}").into_connection_info().map_err(|error| error.to_string())
}

fn host_of(info: &ConnectionInfo) -> Result<Host, String> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => Ok((host.clone(), *port)),
        _ => Err("it has no host".to_string()),
    }
}

fn greeting(info: &ConnectionInfo, has_sentinels: bool) -> Vec<Cmd> {
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
    if has_sentinels {
        greeting.push(cmd("ROLE"));
    }
    greeting
}

/// For the log: without the password.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{service} of the sentinels at ")?;
        }
        for (at, (host, port)) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}:{port}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

const SENTINEL_PORT: u16 = 26379;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(address: &Address) -> Vec<u8> {
        address.greeting().iter().flat_map(Cmd::get_packed_command).collect()
    }

    #[test]
    fn a_url_says_where_and_as_whom() {
        let address = Address::parse("redis://ann:secret@cache:7000/2").unwrap();
        assert_eq!(address.to_string(), "cache:7000");
        assert_eq!(
            said(&address),
            b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"
        );
        assert!(Address::parse("redis://127.0.0.1").unwrap().greeting().is_empty());
        for bad in ["redis://", "cache:7000", "unix:///tmp/x", "redis://host:70000", "redis+tls://host"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_with_sentinels_names_all_of_them_and_the_service() {
        let address = Address::parse("redis+sentinel://:secret@one:7000,two,[::1]:3/cache/2").unwrap();
        assert_eq!(address.to_string(), "cache of the sentinels at one:7000, two:26379, ::1:3");
        assert_eq!(
            said(&address),
            b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*1\r\n$4\r\nROLE\r\n"
        );
        let simple = Address::parse("redis+sentinel://one/cache").unwrap();
        assert_eq!(
            (simple.to_string().as_str(), said(&simple)),
            ("cache of the sentinels at one:26379", b"*1\r\n$4\r\nROLE\r\n".to_vec())
        );
        for bad in ["one", "one/", "/cache", "one,/cache", "one/cache/x", "one:70000/cache"] {
            assert!(Address::parse(&format!("redis+sentinel://{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_answers_as_a_replica_is_left() {
        let role =
            |role: &str| Value::Array(vec![Value::BulkString(role.as_bytes().to_vec()), Value::Int(0)]);
        let sentinels = Address::parse("redis+sentinel://one/cache").unwrap();
        assert!(sentinels.check(&[Value::Okay, role("master")]).is_ok());
        assert!(sentinels.check(&[Value::Okay, role("slave")]).is_err());
        assert!(Address::parse("redis://one").unwrap().check(&[]).is_ok());
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_url_that_is_to_be_encrypted_names_what_it_needs() {
        for url in ["rediss://cache", "rediss+sentinel://one/cache"] {
            let why = Address::parse(url).err().unwrap();
            assert!(why.ends_with("needs zinx built with the cargo feature `tls`"), "{why}");
        }
    }
}
