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
}

/// Whether setting a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Now,
    /// It has, if zinx is built with the cargo feature `kcp`. Without that it is accepted, with a warning.
    Kcp,
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
    ($name:literal, $field:ident, $rule:expr, $state:ident) => {
        Key {
            name: $name,
            get: |config| &config.$field,
            get_mut: |config| &mut config.$field,
            rule: $rule,
            state: State::$state,
        }
    };
}

/// Every key, grouped as in `zinx.yaml`.
pub(super) static KEYS: &[Key] = &[
    key!("Host", host, Rule::Host, Now),
    key!("TcpPort", tcp_port, Rule::Any, Now),
    key!("Backlog", backlog, Rule::From(1, 65_535), Now),
    key!("Name", name, Rule::Any, Now),
    key!("Version", version, Rule::Any, Now),
    key!("HandleSignals", handle_signals, Rule::Any, Now),
    key!("MaxConn", max_conn, Rule::From(1, MILLIONS), Now),
    key!("MaxConnPolicy", max_conn_policy, Rule::Any, Now),
    key!("MaxConnPerAddress", max_conn_per_address, Rule::From(0, MILLIONS), Now),
    key!("MaxGroupsPerConn", max_groups_per_conn, Rule::From(1, MILLIONS), Now),
    key!("LastWordMsgId", last_word_msg_id, Rule::Any, Now),
    key!("DataPack", data_pack, Rule::Any, Now),
    key!("MaxPacketSize", max_packet_size, Rule::From(0, GIB), Now),
    key!("MaxMsgChanLen", max_msg_chan_len, Rule::From(1, MILLIONS), Now),
    key!("MaxMsgChanBytes", max_msg_chan_bytes, Rule::From(1, TIB), Now),
    key!("MaxQueuedBytes", max_queued_bytes, Rule::From(1, TIB), Now),
    key!("QueueFull", queue_full, Rule::Any, Now),
    key!("QueueWaitMs", queue_wait_ms, Rule::From(0, MONTH_MS), Now),
    key!("FirstFrameTimeoutMs", first_frame_timeout_ms, Rule::From(0, MONTH_MS), Now),
    key!("FrameTimeoutMs", frame_timeout_ms, Rule::From(0, MONTH_MS), Now),
    key!("IdleTimeoutMs", idle_timeout_ms, Rule::From(0, MONTH_MS), Now),
    key!("WriteTimeoutMs", write_timeout_ms, Rule::From(0, MONTH_MS), Now),
    key!("HeartbeatMax", heartbeat_max, Rule::From(0, MONTH_MS / 1000), Now),
    key!("DrainMs", drain_ms, Rule::From(0, MONTH_MS), Now),
    key!("CallGraceMs", call_grace_ms, Rule::From(0, MONTH_MS), Now),
    key!("MaxKeptMessages", max_kept_messages, Rule::From(1, MILLIONS), Now),
    key!("MaxKeptBytes", max_kept_bytes, Rule::From(1, TIB), Now),
    key!("ResumeMs", resume_ms, Rule::From(0, MONTH_MS), Now),
    key!("ResumeFrames", resume_frames, Rule::From(1, MILLIONS), Now),
    key!("ResumeBytes", resume_bytes, Rule::From(1, TIB), Now),
    key!("MaxAway", max_away, Rule::From(0, MILLIONS), Now),
    key!("MaxAwayPerAddress", max_away_per_address, Rule::From(0, MILLIONS), Now),
    key!("OverRate", over_rate, Rule::Any, Now),
    key!("RateMessages", rate_messages, Rule::From(0, MILLIONS), Now),
    key!("RateBytes", rate_bytes, Rule::From(0, TIB), Now),
    key!("RateAddressMessages", rate_address_messages, Rule::From(0, MILLIONS), Now),
    key!("RateAddressBytes", rate_address_bytes, Rule::From(0, TIB), Now),
    key!("RateAddresses", rate_addresses, Rule::From(1, MILLIONS), Now),
    key!("Workers", workers, Rule::From(0, 1024), Now),
    key!("StackBytes", stack_bytes, Rule::ZeroOr(16 << 10, GIB), Now),
    key!("MaxStacks", max_stacks, Rule::ZeroOr(16, MILLIONS), Now),
    key!("WorkerPoolSize", worker_pool_size, Rule::From(0, 65_535), Now),
    key!("MaxWorkerTaskLen", max_worker_task_len, Rule::From(1, MILLIONS), Now),
    key!("WorkerMode", worker_mode, Rule::Any, Now),
    key!("RouterSlicesMode", router_slices_mode, Rule::Any, Now),
    key!("RequestPoolMode", request_pool_mode, Rule::Any, Now),
    key!("IOReadBuffSize", io_read_buff_size, Rule::From(1, 16 << 20), Now),
    key!("CertFile", cert_file, Rule::Any, Now),
    key!("PrivateKeyFile", private_key_file, Rule::Any, Now),
    key!("ClientCaFile", client_ca_file, Rule::Any, Now),
    key!("ClientCertOptional", client_cert_optional, Rule::Any, Now),
    key!("Alpn", alpn, Rule::Any, Now),
    key!("HandshakeTimeoutMs", handshake_timeout_ms, Rule::From(0, MONTH_MS), Now),
    key!("MaxHandshakes", max_handshakes, Rule::From(1, MILLIONS), Now),
    key!("Mode", mode, Rule::Any, Now),
    key!("WsPort", ws_port, Rule::Any, Now),
    key!("WsPath", ws_path, Rule::Filled, Now),
    key!("WsOrigins", ws_origins, Rule::Any, Now),
    key!("WsProtocols", ws_protocols, Rule::Any, Now),
    key!("WsTextMsgId", ws_text_msg_id, Rule::Any, Now),
    key!("WsBinaryMsgId", ws_binary_msg_id, Rule::Any, Now),
    key!("ProxyProtocol", proxy_protocol, Rule::Any, Now),
    key!("TrustedProxies", trusted_proxies, Rule::Any, Now),
    key!("KcpPort", kcp_port, Rule::Any, Kcp),
    key!("KcpACKNoDelay", kcp_ack_no_delay, Rule::Any, Kcp),
    key!("KcpStreamMode", kcp_stream_mode, Rule::Any, Kcp),
    key!("KcpNoDelay", kcp_no_delay, Rule::From(0, 1), Kcp),
    key!("KcpInterval", kcp_interval, Rule::From(1, 5000), Kcp),
    key!("KcpResend", kcp_resend, Rule::From(0, 65_535), Kcp),
    key!("KcpNc", kcp_nc, Rule::From(0, 1), Kcp),
    key!("KcpSendWindow", kcp_send_window, Rule::From(1, 65_535), Kcp),
    key!("KcpRecvWindow", kcp_recv_window, Rule::From(1, 65_535), Kcp),
    key!("KcpFecDataShards", kcp_fec_data_shards, Rule::From(0, 255), Kcp),
    key!("KcpFecParityShards", kcp_fec_parity_shards, Rule::From(0, 255), Kcp),
    key!("LogDir", log_dir, Rule::Any, Now),
    key!("LogFile", log_file, Rule::Any, Now),
    key!("LogSaveDays", log_save_days, Rule::From(0, 36_500), Now),
    key!("LogFileSize", log_file_size, Rule::From(0, TIB), Now),
    key!("LogCons", log_cons, Rule::Any, Now),
    key!("LogIsolationLevel", log_isolation_level, Rule::From(0, 255), Now),
    key!("Admin", admin, Rule::Endpoint, Now),
    key!("AdminToken", admin_token, Rule::Token, Now),
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
}
