//! The configuration itself: one field per key, and the ways to get one.

use std::ffi::OsString;
use std::path::Path;

use super::admin_address::problems_between;
use super::keys::{KEYS, Key, State};
use super::layers::Layers;
use super::origin::Origin;
use super::values::shown;
use super::{MaxConnPolicy, Mode, Networks, OverRate, PackKind, QueueFull, WorkerMode};
use crate::error::Result;
use crate::error::config::{ConfigErrors, ConfigProblem};

/// The configuration of one server: one field per key, named as the key in snake_case.
///
/// Get one from [`Config::load`] or [`Config::default`], then assign fields: what is set in code comes last. Sizes
/// are in bytes, durations in milliseconds unless a field says otherwise. A field marked *kcp* needs the cargo
/// feature `kcp`: without it, it is accepted and, when changed, listed by [`Config::warnings`].
#[doc(alias = "GlobalObject")]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Address or host name to listen on, not empty. Default `127.0.0.1`: this machine only (Go: `0.0.0.0`).
    pub host: String,
    /// Port to listen on. Default 7777 (Go: 8999). 0: any free port.
    pub tcp_port: u16,
    /// Connections that the system holds until they are accepted, from 1 to 65535. Default 4096.
    pub backlog: u32,
    /// Name of the server in logs. Default `ZinxServerApp`.
    pub name: String,
    /// Version of the user's application, in logs. Default `V1.0`.
    pub version: String,
    /// Whether `serve` turns SIGTERM, SIGINT and SIGQUIT into a graceful stop, reads the configuration again on
    /// SIGHUP, and ignores SIGUSR1 and SIGUSR2. Default true.
    pub handle_signals: bool,

    /// Most connections at a time, from 1 to 16777216. Default 12000.
    pub max_conn: usize,
    /// What happens to one connection too many. Default `close`.
    pub max_conn_policy: MaxConnPolicy,
    /// Most connections at a time from one address (for IPv6, from one /64), to 16777216; one too many is closed. Default
    /// 0: no limit.
    pub max_conn_per_address: usize,
    /// Most groups that one connection may be in, from 1 to 16777216. Default 1024.
    pub max_groups_per_conn: usize,
    /// Message id of a last frame by which a peer is told why it is closed, in words, if it is over a limit: too many
    /// connections, a rate, a timeout, a frame too large. Default 0: nothing is said.
    pub last_word_msg_id: u32,

    /// How messages are framed. Default `ltv_little_endian`.
    pub data_pack: PackKind,
    /// Largest payload accepted from a peer, in bytes, to 1 GiB; a larger one closes the connection. Also written
    /// `MaxPackageSize`. Default 4096. 0: only messages without payload (in Go: no limit).
    pub max_packet_size: u32,

    /// Most messages queued to one peer, from 1 to 16777216. Default 1024.
    pub max_msg_chan_len: usize,
    /// Most bytes queued to one peer, from 1 to 1 TiB. A frame of any allowed size fits an empty queue, also when it
    /// is larger than this. Default 1 MiB.
    pub max_msg_chan_bytes: usize,
    /// Most bytes that all peers together can make the server hold, from 1 to 1 TiB: queued frames, frames kept for a resume,
    /// messages kept for handlers, frames that arrive, requests that wait. When it is reached, the largest and slowest are
    /// disconnected. Default 256 MiB.
    pub max_queued_bytes: usize,
    /// What a send does when the queue is full. Default `wait`.
    pub queue_full: QueueFull,
    /// Longest wait for room in a full queue, in milliseconds, to 31 days. Default 5000. 0: no limit.
    pub queue_wait_ms: u64,

    /// Longest time from connecting to the end of the first frame, in milliseconds, to 31 days. Default 15000, so that
    /// peers that say nothing do not keep all places. 0: off, for a server whose clients only listen. A client does not
    /// time its server so.
    pub first_frame_timeout_ms: u64,
    /// Longest time from the first to the last byte of a frame, in milliseconds, to 31 days. Default 10000. 0: off.
    pub frame_timeout_ms: u64,
    /// Longest time without a byte from the peer, in milliseconds, to 31 days. Default 0: off.
    pub idle_timeout_ms: u64,
    /// Longest time for which no byte leaves although some wait, in milliseconds, to 31 days; it begins again with each byte
    /// that leaves. Default 10000. 0: off.
    pub write_timeout_ms: u64,
    /// Longest time without a sign of life once heartbeats run, in **seconds**, to 31 days. Default 10. 0: off.
    /// Two intervals of the heartbeat if they are longer.
    pub heartbeat_max: u64,
    /// Longest time a stop waits for handlers and for queued messages, in milliseconds, to 31 days. Default 5000. 0: no
    /// limit, a peer that does not read may then hold up the stop (`abort` does not drain).
    pub drain_ms: u64,

    /// Time for which an answer that came too late is not taken for the next one with the same message id, in
    /// milliseconds, to 31 days. Default 1000. 0: the next call asks at once.
    pub call_grace_ms: u64,
    /// Most messages kept for later while a handler waits for another, from 1 to 16777216. Default 1024.
    pub max_kept_messages: usize,
    /// Most bytes of payload kept so, from 1 to 1 TiB. Default 1 MiB.
    pub max_kept_bytes: usize,

    /// How long a connection that has lost its peer waits for it to come back and resume, in milliseconds, to 31 days.
    /// Default 0: it closes. On a client: whether it asks for that, and how long it tries.
    pub resume_ms: u64,
    /// Most frames kept to be sent again to a peer that comes back, from 1 to 16777216. Default 1024.
    pub resume_frames: usize,
    /// Most bytes kept so for each connection, from 1 to 1 TiB. Default 256 KiB.
    pub resume_bytes: usize,

    /// Most connections whose peer is away, to 16777216. If there is one too many, the one goes whose peer was there for
    /// the shortest time. Default 0: as many as `MaxConn`.
    pub max_away: usize,
    /// Most of them from one address (for IPv6, from one /64), to 16777216. Default 0: a quarter of `MaxAway`.
    pub max_away_per_address: usize,

    /// What happens to a connection that sends more than its rate. Default `wait`.
    pub over_rate: OverRate,
    /// Messages a connection may send in a second, to 16777216. Default 0: no limit.
    pub rate_messages: u32,
    /// Bytes a connection may send in a second, heads included, to 1 TiB. Default 0: no limit.
    pub rate_bytes: u64,
    /// Messages that all connections of one address (for IPv6, of one /64) may send in a second, to 16777216. Default 0:
    /// no limit.
    pub rate_address_messages: u32,
    /// Bytes they may send in a second, to 1 TiB. Default 0: no limit.
    pub rate_address_bytes: u64,
    /// Addresses remembered for that, from 1 to 16777216; those not heard of for longest are forgotten. Default 65536.
    pub rate_addresses: usize,

    /// Faults of one address (for IPv6, of one /64) within a minute, beyond which it is refused for `BanMs`, to 16777216: bad frames,
    /// failed handshakes, frames that do not come in time, rates not kept with `OverRate: close`, and what
    /// `report_fault` is called for. Default 0: off.
    pub ban_faults: usize,
    /// Connections of one address within a minute, beyond which it is refused for `BanMs`, to 16777216. Default 0: off.
    pub ban_connects: usize,
    /// How long an address is refused, in milliseconds, from 1 to 31 days. Default 300000.
    pub ban_ms: u64,
    /// Addresses that are counted, and addresses that are refused, from 1 to 16777216; beyond that the first are forgotten. Default
    /// 65536.
    pub ban_addresses: usize,

    /// Threads that run coroutines, to 1024; one value per process. Default 0: as many as cores.
    pub workers: usize,
    /// Stack of a coroutine, in bytes, 0 or from 16 KiB to 1 GiB; one value per process. Default 0: 64 KiB in release
    /// builds, 256 KiB in debug builds.
    pub stack_bytes: usize,
    /// Most stacks of the process at a time, 0 or from 16 to 16777216: coroutines, and handlers that wait; a connection at
    /// rest has none. While all are in use, connections with new messages wait for their turn. Default 0: as many as
    /// `vm.max_map_count` allows.
    pub max_stacks: usize,

    /// Workers that run handlers, to 65535. Default 0: handlers run on their connection's own coroutine (Go: 10).
    pub worker_pool_size: usize,
    /// Most requests queued to one worker, from 1 to 16777216. While so many wait, its connections are not
    /// read from. Default 1024.
    pub max_worker_task_len: usize,
    /// How connections are given to workers. Default `Hash`.
    pub worker_mode: WorkerMode,
    /// Whether routers are slices of handlers. Default false. Here both kinds stand side by side, so it changes nothing.
    pub router_slices_mode: bool,
    /// Whether requests are reused. Default false. Here no request is allocated for a message, so it changes
    /// nothing.
    pub request_pool_mode: bool,
    /// Bytes of a connection's read buffer, from 1 to 16 MiB. Default 1024. Here connections own none: a read takes all
    /// there is, up to 256 KiB, into a buffer of the thread, so it changes nothing.
    pub io_read_buff_size: usize,

    /// Transports to listen on. Default `tcp`. WebSocket and KCP need the cargo features `websocket` and `kcp`. A server does not start if
    /// one of them is not built in.
    pub mode: Mode,
    /// Port for WebSocket. Default 9000. 0: any free port.
    pub ws_port: u16,
    /// Path for WebSocket, not empty; others are answered by 404. Default `/`.
    pub ws_path: String,
    /// Origins of the pages that may connect over WebSocket, such as `https://game.example`, with commas between them; others are
    /// answered by 403, programs that are no browsers name none and may come in. Default empty: all may.
    pub ws_origins: String,
    /// Sub-protocols that the server speaks over WebSocket, best first, with commas between them: it names the first that the client
    /// names too. Default empty: none.
    pub ws_protocols: String,
    /// Message id of WebSocket's text messages: each is one message, without a head, and one that is sent under this id leaves as a
    /// text, which has to be UTF-8. Default 0: they are refused.
    pub ws_text_msg_id: u32,
    /// Message id of WebSocket's binary messages, if each is to be one message, without a head. Default 0: they carry a stream of
    /// frames with heads, cut into messages in any way.
    pub ws_binary_msg_id: u32,
    /// File with the certificate of the server and those between it and its authority, in PEM: `TcpPort` speaks TLS then. Needs
    /// the cargo feature `tls`. Default empty: no TLS.
    pub cert_file: String,
    /// File with its private key, in PEM. Default empty: no TLS.
    pub private_key_file: String,
    /// File with the certificates of the authorities that vouch for clients, in PEM: a client has to have one then. Default empty:
    /// clients need none.
    pub client_ca_file: String,
    /// Whether a client may also come without a certificate if `ClientCaFile` is set; a bad one is refused all the same. Default
    /// false.
    pub client_cert_optional: bool,
    /// Protocols that the server speaks over TLS (ALPN), best first, with commas between them. A client that names others alone is
    /// refused; one that names none is not. Default empty: names play no part.
    pub alpn: String,
    /// Longest time for the handshake of a transport that has one, in milliseconds, to 31 days. Default 5000. 0: no limit.
    pub handshake_timeout_ms: u64,
    /// Most handshakes in progress, from 1 to 16777216; one more ends the oldest. Default 1024.
    pub max_handshakes: usize,

    /// Whether the proxies of `TrustedProxies` begin each connection with a PROXY header, of version 1 or 2: that is demanded of them
    /// then. Of others it is not read. Default false.
    pub proxy_protocol: bool,
    /// Networks of the proxies that say for which client they speak: by a PROXY header (`ProxyProtocol`), and over WebSocket by
    /// `X-Forwarded-For`. What others say of it is ignored. Default: none.
    pub trusted_proxies: Networks,

    /// Port for KCP, of UDP; *kcp*. Default 9001. 0: any free port.
    pub kcp_port: u16,
    /// Whether KCP acknowledges at once, and not within a step of its clock; *kcp*. Default false.
    pub kcp_ack_no_delay: bool,
    /// Whether KCP joins small messages into one segment; *kcp*. Default true.
    pub kcp_stream_mode: bool,
    /// 1: KCP retransmits fast; *kcp*. Default 1. 0: off.
    pub kcp_no_delay: u32,
    /// Step of KCP's clock, in milliseconds, from 1 to 5000; less than 10 counts as 10; *kcp*. Default 10.
    pub kcp_interval: u32,
    /// Later acknowledgements after which KCP sends a segment again, to 65535; *kcp*. Default 2. 0: off.
    pub kcp_resend: u32,
    /// 1: KCP sends without congestion control; *kcp*. Default 1. 0: with it.
    pub kcp_nc: u32,
    /// KCP's send window, in packets, from 1 to 65535; *kcp*. Default 32.
    pub kcp_send_window: u32,
    /// KCP's receive window, in packets, from 1 to 65535: so many are held for a program that does not read, and once more if
    /// they come in disorder; *kcp*. Default 32.
    pub kcp_recv_window: u32,
    /// Data shards of KCP's error correction, to 255; the same at both ends; *kcp*. Default 0: none.
    pub kcp_fec_data_shards: u32,
    /// Parity shards of KCP's error correction, to 255, so many of which are sent behind each group of data; *kcp*. Default 0:
    /// none.
    pub kcp_fec_parity_shards: u32,

    /// Folder of log files. Default `./log`.
    pub log_dir: String,
    /// Name of the log file. Default empty: stderr.
    pub log_file: String,
    /// Days after which log files are deleted, to 36500. Default 0: never.
    pub log_save_days: u32,
    /// Size at which a new log file is begun, in bytes, to 1 TiB. Default 64 MiB. 0: never.
    pub log_file_size: u64,
    /// Whether what goes to the log file goes to stdout too. Default false.
    pub log_cons: bool,
    /// Lowest level logged, to 255. Default 0: everything but trace. 1: no debug, 2: no info, 3: no warnings. `RUST_LOG`
    /// comes before it.
    pub log_isolation_level: u32,

    /// Address and port of the admin plane, such as `127.0.0.1:7778`; one that is not of this machine alone needs
    /// `AdminToken`. Needs the cargo feature `admin`. Default empty: none, except that `zinx serve` takes `127.0.0.1:7778`;
    /// `off`: none there either.
    pub admin: String,
    /// What requests to the admin plane carry in `Authorization: Bearer ..`, at least 16 characters. Default empty: nothing.
    pub admin_token: String,

    /// The Redis that joins this server with others into a cluster: `redis://:password@host:6379/0`, or
    /// `redis+sentinel://:password@host:26379,host:26379/service/0`; `rediss` in place of `redis` if it speaks TLS. Needs the
    /// cargo feature `redis`, with TLS also `tls`, and `NodeName`. Default empty: one node, without Redis.
    pub cluster: String,
    /// File with the certificates of the authorities that vouch for a Redis with TLS, in PEM. Default empty: those that this
    /// machine trusts.
    pub cluster_ca_file: String,
    /// The name of this server among the nodes of its cluster, no other's; it is required with `cluster`. Default empty: without
    /// a cluster, `Name`.
    pub node_name: String,
    /// What the keys in Redis begin with: servers with another prefix are another cluster. Default `zinx`.
    pub cluster_prefix: String,

    pub(super) origin: Origin,
}

impl Config {
    /// Loads the configuration of this process: defaults < file < environment.
    ///
    /// The file is the one that `ZINX_CONFIG_FILE_PATH` names. Without that variable it is the first of `zinx.yaml`,
    /// `zinx.yml`, `zinx.json`, `conf/zinx.yaml`, `conf/zinx.yml` and `conf/zinx.json` in the working directory, and
    /// there is a warning for each other one that is there too. A key is overridden by the environment variable `ZINX_`
    /// + the key in capitals, for example `ZINX_TCPPORT=0`.
    ///
    /// Warnings are logged. While no logger is installed they are kept, and logged by [`zlog::init`](crate::zlog::init)
    /// or when a server starts.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem of the file and of the environment.
    pub fn load() -> Result<Self> {
        let (config, _) = Self::load_from(Path::new(""), std::env::vars_os())?;
        config.tell_warnings();
        Ok(config)
    }

    /// Loads the configuration as [`Config::load`] does, from another directory and another environment.
    ///
    /// Returns the warnings too, and logs nothing yet: those of [`Config::warnings`], one for every unknown `ZINX_`
    /// variable (another program may own it), one for every key of an old `zinx.json` that Go Zinx ignores too, one for
    /// every file that was not read because another comes first.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_from<N, V>(
        dir: &Path,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(Self, Vec<String>)>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut layers = Layers::default();
        layers.take_file_and_environment(dir, environment);
        layers.finish()
    }

    /// Loads defaults < this file, without the environment. Warnings are logged as those of [`Config::load`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem, also when the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let mut layers = Layers::default();
        layers.take_file(path.as_ref(), "");
        let (config, _) = layers.finish()?;
        config.tell_warnings();
        Ok(config)
    }

    /// Reads defaults < this text, YAML or JSON. Logs nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let mut layers = Layers::default();
        layers.take_text(text, None);
        layers.finish().map(|(config, _)| config)
    }

    /// Checks every field against the limits of its key: for values set in code, as a server does before it starts.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem.
    pub fn validate(&self) -> Result<()> {
        let mut scratch = self.clone();
        let mut problems = Vec::new();
        for key in KEYS {
            let (field, value) = ((key.get_mut)(&mut scratch), (key.get)(self).scalar());
            if !field.take(&value, key.rule) {
                problems.push(ConfigProblem {
                    key: key.name.to_string(),
                    found: shown(key.name, value).to_string(),
                    expected: field.expected(key.rule),
                    ..ConfigProblem::default()
                });
            }
        }
        problems.extend(problems_between(self));
        ConfigErrors::none_of(problems)
    }

    /// Lists the keys that differ from their default although their feature is not built in, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let defaults = Self::default();
        KEYS.iter().filter_map(|key| self.warning(key, &defaults)).collect()
    }

    /// Says where the values come from, for a person: `zinx.yaml, then ZINX_TCPPORT`, or `defaults`. What was set in code
    /// is not part of it.
    pub fn origin(&self) -> String {
        self.origin.to_string()
    }

    /// Logs the warnings of the load, once, when there is a logger.
    pub(crate) fn tell_warnings(&self) {
        self.origin.tell();
    }

    fn warning(&self, key: &Key, defaults: &Self) -> Option<String> {
        let (value, default) = ((key.get)(self).scalar(), (key.get)(defaults).scalar());
        let name = key.name;
        let has_effect = match key.state {
            State::Now => true,
            State::Kcp => cfg!(feature = "kcp"),
        };
        (!has_effect && value != default).then(|| {
            format!(
                "{name} {value} has no effect: this program is built without the cargo feature `kcp`; remove it or set {default}"
            )
        })
    }
}
