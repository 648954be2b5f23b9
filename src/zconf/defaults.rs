//! The defaults: those of Go Zinx, except for `Host`, `TcpPort` and `WorkerPoolSize`, and those of our own keys.

use super::origin::Origin;
use super::{Config, MaxConnPolicy, Mode, Networks, OverRate, PackKind, QueueFull, WorkerMode};

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_string(),
            tcp_port: 7777,
            backlog: 4096,
            name: "ZinxServerApp".to_string(),
            version: "V1.0".to_string(),
            handle_signals: true,

            max_conn: 12_000,
            max_conn_policy: MaxConnPolicy::Close,
            max_conn_per_address: 0,
            max_groups_per_conn: 1024,
            last_word_msg_id: 0,

            data_pack: PackKind::LtvLittleEndian,
            max_packet_size: 4096,

            max_msg_chan_len: 1024,
            max_msg_chan_bytes: 1 << 20,
            max_queued_bytes: 256 << 20,
            queue_full: QueueFull::Wait,
            queue_wait_ms: 5000,

            first_frame_timeout_ms: 15_000,
            frame_timeout_ms: 10_000,
            idle_timeout_ms: 0,
            write_timeout_ms: 10_000,
            heartbeat_max: 10,
            drain_ms: 5000,

            call_grace_ms: 1000,
            max_kept_messages: 1024,
            max_kept_bytes: 1 << 20,

            resume_ms: 0,
            resume_frames: 1024,
            resume_bytes: 256 << 10,
            max_away: 0,
            max_away_per_address: 0,

            over_rate: OverRate::Wait,
            rate_messages: 0,
            rate_bytes: 0,
            rate_address_messages: 0,
            rate_address_bytes: 0,
            rate_addresses: 65_536,

            ban_faults: 0,
            ban_connects: 0,
            ban_ms: 300_000,
            ban_addresses: 65_536,

            workers: 0,
            stack_bytes: 0,
            max_stacks: 0,

            worker_pool_size: 0,
            max_worker_task_len: 1024,
            worker_mode: WorkerMode::Hash,
            router_slices_mode: false,
            request_pool_mode: false,
            io_read_buff_size: 1024,

            mode: Mode::TCP,
            ws_port: 9000,
            ws_path: "/".to_string(),
            ws_origins: String::new(),
            ws_protocols: String::new(),
            ws_text_msg_id: 0,
            ws_binary_msg_id: 0,
            cert_file: String::new(),
            private_key_file: String::new(),
            client_ca_file: String::new(),
            client_cert_optional: false,
            alpn: String::new(),
            proxy_protocol: false,
            trusted_proxies: Networks::default(),
            handshake_timeout_ms: 5000,
            max_handshakes: 1024,

            kcp_port: 9001,
            kcp_ack_no_delay: false,
            kcp_stream_mode: true,
            kcp_no_delay: 1,
            kcp_interval: 10,
            kcp_resend: 2,
            kcp_nc: 1,
            kcp_send_window: 32,
            kcp_recv_window: 32,
            kcp_fec_data_shards: 0,
            kcp_fec_parity_shards: 0,

            log_dir: "./log".to_string(),
            log_file: String::new(),
            log_save_days: 0,
            log_file_size: 64 << 20,
            log_cons: false,
            log_isolation_level: 0,

            admin: String::new(),
            admin_token: String::new(),

            cluster: String::new(),
            cluster_ca_file: String::new(),
            node_name: String::new(),
            cluster_prefix: "zinx".to_string(),

            origin: Origin::default(),
        }
    }
}
