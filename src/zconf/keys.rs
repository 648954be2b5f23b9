//! The table of keys: name, field, what it accepts, and what has to be built in.

use super::Config;
use super::field::{Field, Rule};

/// A key of the configuration.
pub(super) struct Key {
    /// The name as it is written in `zinx.yaml`.
    pub(super) name: &'static str,
    pub(super) get: fn(&Config) -> &dyn Field,
    pub(super) get_mut: fn(&mut Config) -> &mut dyn Field,
    pub(super) rule: Rule,
    pub(super) state: State,
    pub(super) change: Change,
}

/// Whether setting a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Now,
    /// It has, if zinx is built with the cargo feature `kcp`. Without that it is accepted, with a warning.
    Kcp,
}

/// When a server that runs goes by a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    AtOnce,
    NewConnections,
    Restart,
    /// For new connections, but a port that has begun without TLS, or with it, goes on so.
    Tls,
}

/// Finds the key of this name, in any case, or of its other name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let name =
        ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| name);
    KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// Whether an old `zinx.json` may hold this key, which Go Zinx itself ignores.
pub(super) fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
}

macro_rules! key {
    ($name:literal, $field:ident, $rule:expr, $state:ident, $change:ident) => {
        Key {
            name: $name,
            get: |config| &config.$field,
            get_mut: |config| &mut config.$field,
            rule: $rule,
            state: State::$state,
            change: Change::$change,
        }
    };
}

/// Every key, grouped as in `zinx.yaml`.
pub(super) static KEYS: &[Key] = &[
    key!("Host", host, Rule::Host, Now, Restart),
    key!("TcpPort", tcp_port, Rule::Any, Now, Restart),
    key!("Backlog", backlog, Rule::From(1, 65_535), Now, Restart),
    key!("Name", name, Rule::Any, Now, Restart),
    key!("Version", version, Rule::Any, Now, Restart),
    key!("HandleSignals", handle_signals, Rule::Any, Now, Restart),
    key!("MaxConn", max_conn, Rule::From(1, MILLIONS), Now, NewConnections),
    key!("MaxConnPolicy", max_conn_policy, Rule::Any, Now, NewConnections),
    key!("MaxConnPerAddress", max_conn_per_address, Rule::From(0, MILLIONS), Now, NewConnections),
    key!("MaxGroupsPerConn", max_groups_per_conn, Rule::From(1, MILLIONS), Now, AtOnce),
    key!("LastWordMsgId", last_word_msg_id, Rule::Any, Now, AtOnce),
    key!("DataPack", data_pack, Rule::Any, Now, Restart),
    key!("MaxPacketSize", max_packet_size, Rule::From(0, GIB), Now, Restart),
    key!("MaxMsgChanLen", max_msg_chan_len, Rule::From(1, MILLIONS), Now, AtOnce),
    key!("MaxMsgChanBytes", max_msg_chan_bytes, Rule::From(1, TIB), Now, AtOnce),
    key!("MaxQueuedBytes", max_queued_bytes, Rule::From(1, TIB), Now, AtOnce),
    key!("QueueFull", queue_full, Rule::Any, Now, AtOnce),
    key!("QueueWaitMs", queue_wait_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("FirstFrameTimeoutMs", first_frame_timeout_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("FrameTimeoutMs", frame_timeout_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("IdleTimeoutMs", idle_timeout_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("WriteTimeoutMs", write_timeout_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("HeartbeatMax", heartbeat_max, Rule::From(0, MONTH_MS / 1000), Now, AtOnce),
    key!("DrainMs", drain_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("CallGraceMs", call_grace_ms, Rule::From(0, MONTH_MS), Now, AtOnce),
    key!("MaxKeptMessages", max_kept_messages, Rule::From(1, MILLIONS), Now, AtOnce),
    key!("MaxKeptBytes", max_kept_bytes, Rule::From(1, TIB), Now, AtOnce),
    key!("ResumeMs", resume_ms, Rule::From(0, MONTH_MS), Now, NewConnections),
    key!("ResumeFrames", resume_frames, Rule::From(1, MILLIONS), Now, NewConnections),
    key!("ResumeBytes", resume_bytes, Rule::From(1, TIB), Now, NewConnections),
    key!("MaxAway", max_away, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("MaxAwayPerAddress", max_away_per_address, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("OverRate", over_rate, Rule::Any, Now, AtOnce),
    key!("RateMessages", rate_messages, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("RateBytes", rate_bytes, Rule::From(0, TIB), Now, AtOnce),
    key!("RateAddressMessages", rate_address_messages, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("RateAddressBytes", rate_address_bytes, Rule::From(0, TIB), Now, AtOnce),
    key!("RateAddresses", rate_addresses, Rule::From(1, MILLIONS), Now, AtOnce),
    key!("BanFaults", ban_faults, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("BanConnects", ban_connects, Rule::From(0, MILLIONS), Now, AtOnce),
    key!("BanMs", ban_ms, Rule::From(1, MONTH_MS), Now, AtOnce),
    key!("BanAddresses", ban_addresses, Rule::From(1, MILLIONS), Now, AtOnce),
    key!("Workers", workers, Rule::From(0, 1024), Now, Restart),
    key!("StackBytes", stack_bytes, Rule::ZeroOr(16 << 10, GIB), Now, Restart),
    key!("MaxStacks", max_stacks, Rule::ZeroOr(16, MILLIONS), Now, Restart),
    key!("WorkerPoolSize", worker_pool_size, Rule::From(0, 65_535), Now, Restart),
    key!("MaxWorkerTaskLen", max_worker_task_len, Rule::From(1, MILLIONS), Now, Restart),
    key!("WorkerMode", worker_mode, Rule::Any, Now, Restart),
    key!("RouterSlicesMode", router_slices_mode, Rule::Any, Now, AtOnce),
    key!("RequestPoolMode", request_pool_mode, Rule::Any, Now, AtOnce),
    key!("IOReadBuffSize", io_read_buff_size, Rule::From(1, 16 << 20), Now, AtOnce),
    key!("CertFile", cert_file, Rule::Any, Now, Tls),
    key!("PrivateKeyFile", private_key_file, Rule::Any, Now, Tls),
    key!("ClientCaFile", client_ca_file, Rule::Any, Now, Tls),
    key!("ClientCertOptional", client_cert_optional, Rule::Any, Now, Tls),
    key!("Alpn", alpn, Rule::Any, Now, Tls),
    key!("HandshakeTimeoutMs", handshake_timeout_ms, Rule::From(0, MONTH_MS), Now, NewConnections),
    key!("MaxHandshakes", max_handshakes, Rule::From(1, MILLIONS), Now, NewConnections),
    key!("Mode", mode, Rule::Any, Now, Restart),
    key!("WsPort", ws_port, Rule::Any, Now, Restart),
    key!("WsPath", ws_path, Rule::Filled, Now, NewConnections),
    key!("WsOrigins", ws_origins, Rule::Any, Now, NewConnections),
    key!("WsProtocols", ws_protocols, Rule::Any, Now, NewConnections),
    key!("WsTextMsgId", ws_text_msg_id, Rule::Any, Now, Restart),
    key!("WsBinaryMsgId", ws_binary_msg_id, Rule::Any, Now, Restart),
    key!("ProxyProtocol", proxy_protocol, Rule::Any, Now, NewConnections),
    key!("TrustedProxies", trusted_proxies, Rule::Any, Now, NewConnections),
    key!("KcpPort", kcp_port, Rule::Any, Kcp, Restart),
    key!("KcpACKNoDelay", kcp_ack_no_delay, Rule::Any, Kcp, Restart),
    key!("KcpStreamMode", kcp_stream_mode, Rule::Any, Kcp, Restart),
    key!("KcpNoDelay", kcp_no_delay, Rule::From(0, 1), Kcp, Restart),
    key!("KcpInterval", kcp_interval, Rule::From(1, 5000), Kcp, Restart),
    key!("KcpResend", kcp_resend, Rule::From(0, 65_535), Kcp, Restart),
    key!("KcpNc", kcp_nc, Rule::From(0, 1), Kcp, Restart),
    key!("KcpSendWindow", kcp_send_window, Rule::From(1, 65_535), Kcp, Restart),
    key!("KcpRecvWindow", kcp_recv_window, Rule::From(1, 65_535), Kcp, Restart),
    key!("KcpFecDataShards", kcp_fec_data_shards, Rule::From(0, 255), Kcp, Restart),
    key!("KcpFecParityShards", kcp_fec_parity_shards, Rule::From(0, 255), Kcp, Restart),
    key!("LogDir", log_dir, Rule::Any, Now, Restart),
    key!("LogFile", log_file, Rule::Any, Now, Restart),
    key!("LogSaveDays", log_save_days, Rule::From(0, 36_500), Now, Restart),
    key!("LogFileSize", log_file_size, Rule::From(0, TIB), Now, Restart),
    key!("LogCons", log_cons, Rule::Any, Now, Restart),
    key!("LogIsolationLevel", log_isolation_level, Rule::From(0, 255), Now, AtOnce),
    key!("Admin", admin, Rule::Endpoint, Now, Restart),
    key!("AdminToken", admin_token, Rule::Token, Now, AtOnce),
    key!("Cluster", cluster, Rule::Redis, Now, Restart),
    key!("ClusterCaFile", cluster_ca_file, Rule::Any, Now, Restart),
    key!("NodeName", node_name, Rule::Label { or_nothing: true }, Now, Restart),
    key!("ClusterPrefix", cluster_prefix, Rule::Label { or_nothing: false }, Now, Restart),
];

/// Other names of keys: the tutorial writes `MaxPackageSize`.
const ALIASES: &[(&str, &str)] = &[("MaxPackageSize", "MaxPacketSize")];

/// Keys in configurations that come with Go Zinx, which no version of it reads any more.
const IGNORED: &[&str] = &["LogDebugClose", "LogLevel"];

/// Far above what a machine holds, far below what overflows a sum: connections, messages, tasks.
const MILLIONS: u64 = 1 << 24;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// 31 days: a longer timeout is a slip of the pen.
const MONTH_MS: u64 = 31 * 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::yaml;
    use super::*;

    #[test]
    fn keys_are_found_in_any_case() {
        for (name, expected) in [
            ("TcpPort", "TcpPort"),
            ("TCPPort", "TcpPort"),
            ("tcpport", "TcpPort"),
            ("MAXPACKAGESIZE", "MaxPacketSize"),
        ] {
            assert_eq!(find(name).map(|key| key.name), Some(expected));
        }
        assert!(find("Tcp_Port").is_none());
        assert!(is_ignored("logdebugclose") && find("LogDebugClose").is_none());
    }

    #[test]
    fn names_are_unique_and_their_fields_too() {
        let mut config = Config::default();
        let names: HashSet<_> = KEYS.iter().map(|key| key.name.to_lowercase()).collect();
        let fields: HashSet<_> =
            KEYS.iter().map(|key| std::ptr::from_ref((key.get)(&config)).addr()).collect();
        assert_eq!((names.len(), fields.len()), (KEYS.len(), KEYS.len()));
        for key in KEYS {
            let got = std::ptr::from_ref((key.get)(&config)).addr();
            assert_eq!(got, std::ptr::from_mut((key.get_mut)(&mut config)).addr(), "{}", key.name);
        }
    }

    #[test]
    fn the_shipped_file_lists_every_key_in_order_with_its_default() {
        let entries = yaml::entries(include_str!("../../zinx.yaml")).ok().unwrap();
        let defaults = Config::default();
        let table: Vec<_> =
            KEYS.iter().map(|key| (key.name.to_string(), (key.get)(&defaults).scalar())).collect();
        assert_eq!(entries, table);
    }

    #[test]
    fn the_table_of_operations_says_when_each_key_changes() {
        let pages = [
            (
                include_str!("../../docs/operations.md"),
                ["at once", "for new connections", "for new connections, if TLS was on", "needs a restart"],
            ),
            (
                include_str!("../../docs/zh/operations.md"),
                ["立即生效", "对新连接生效", "对新连接生效（之前已开 TLS）", "需要重启"],
            ),
        ];
        for (page, words) in pages {
            let changes = [Change::AtOnce, Change::NewConnections, Change::Tls, Change::Restart];
            let mut listed = HashSet::new();
            for (change, word) in changes.into_iter().zip(words) {
                let row = page.lines().find_map(|line| line.strip_prefix(&format!("| {word} |")));
                let keys = row.unwrap_or_else(|| panic!("no row {word:?}")).split('`').skip(1).step_by(2);
                for name in keys {
                    let key = find(name).unwrap_or_else(|| panic!("{name} is no key"));
                    assert_eq!((key.change, key.name), (change, name));
                    assert!(listed.insert(name), "{name} stands there twice");
                }
            }
            let missing: Vec<_> = KEYS.iter().filter(|key| !listed.contains(key.name)).collect();
            assert!(missing.is_empty(), "{:?}", missing.iter().map(|key| key.name).collect::<Vec<_>>());
        }
    }
}
