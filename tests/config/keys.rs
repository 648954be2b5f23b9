//! The configuration: layers, keys, limits, and what a bad one is told.

use std::fs;
use std::path::{Path, PathBuf};

use zinx::Error;
use zinx::zconf::{Config, ConfigErrors, MaxConnPolicy, Mode, PackKind, QueueFull, WorkerMode};

#[test]
fn shipped_file_equals_the_defaults() {
    let shipped = Config::from_yaml(include_str!("../../zinx.yaml")).unwrap();
    assert_eq!(shipped, Config::default());
    assert!(shipped.warnings().is_empty());
    shipped.validate().unwrap();
}

#[test]
fn defaults_are_the_promised_ones() {
    let config = Config::default();
    assert_eq!((config.host.as_str(), config.tcp_port, config.worker_pool_size), ("127.0.0.1", 7777, 0));
    assert_eq!((config.name.as_str(), config.version.as_str()), ("ZinxServerApp", "V1.0"));
    assert_eq!((config.max_packet_size, config.max_conn, config.max_msg_chan_len), (4096, 12_000, 1024));
    assert_eq!((config.max_msg_chan_bytes, config.max_queued_bytes), (1 << 20, 256 << 20));
    assert_eq!((config.queue_full, config.queue_wait_ms), (QueueFull::Wait, 5000));
    assert_eq!(
        (config.first_frame_timeout_ms, config.frame_timeout_ms, config.idle_timeout_ms),
        (15_000, 10_000, 0)
    );
    assert_eq!((config.write_timeout_ms, config.drain_ms, config.backlog), (10_000, 5000, 4096));
    assert_eq!((config.max_conn_policy, config.data_pack), (MaxConnPolicy::Close, PackKind::LtvLittleEndian));
    assert_eq!((config.workers, config.stack_bytes, config.handle_signals), (0, 0, true));
    assert_eq!((config.mode, config.worker_mode), (Mode::TCP, WorkerMode::Hash));
}

#[test]
fn empty_text_is_the_defaults() {
    for text in ["", "# nothing\n", "---\n", "{}"] {
        assert_eq!(Config::from_yaml(text).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn keys_may_be_written_in_any_case_and_zero_empty_and_false_count() {
    let text = "TCPPort: 0\nNAME: ''\nhandlesignals: false\nMaxPackageSize: 0\nqueuefull: Drop_Oldest\n";
    let config = Config::from_yaml(text).unwrap();
    assert_eq!((config.tcp_port, config.name.as_str(), config.handle_signals), (0, "", false));
    assert_eq!((config.max_packet_size, config.queue_full), (0, QueueFull::DropOldest));
}

#[test]
fn words_are_understood() {
    for (word, value) in [
        ("wait", QueueFull::Wait),
        ("fail", QueueFull::Fail),
        ("drop_oldest", QueueFull::DropOldest),
        ("disconnect", QueueFull::Disconnect),
    ] {
        assert_eq!(Config::from_yaml(&format!("QueueFull: {word}")).unwrap().queue_full, value);
    }
    let text = "DataPack: tlv_big_endian\nMaxConnPolicy: wait\nMode: ''\nWorkerMode: DynamicBind";
    let config = Config::from_yaml(text).unwrap();
    assert_eq!((config.data_pack, config.max_conn_policy), (PackKind::TlvBigEndian, MaxConnPolicy::Wait));
    assert_eq!((config.mode, config.worker_mode), (Mode::TCP_AND_WEBSOCKET, WorkerMode::DynamicBind));
    assert_eq!(Config::from_yaml("WorkerMode: ''").unwrap().worker_mode, WorkerMode::Hash);
}

#[test]
fn an_old_zinx_json_loads_unchanged() {
    let text = r#"{
        "Name": "zinx server", "Host": "0.0.0.0", "TCPPort": 8999, "WsPort": 9000, "MaxConn": 3,
        "WorkerPoolSize": 10, "MaxWorkerTaskLen": 1024, "MaxPacketSize": 4096, "Mode": "tcp",
        "LogDir": "./mylog", "LogFile": "zinx.log", "LogSaveDays": 7, "LogCons": true,
        "LogIsolationLevel": 3, "LogDebugClose": false, "LogLevel": "error", "HeartbeatMax": 10
    }"#;
    let dir = Folder::new("json");
    dir.write("conf/zinx.json", text);
    let (config, warnings) = Config::load_from(dir.path(), NO_ENVIRONMENT).unwrap();
    assert_eq!((config.host.as_str(), config.tcp_port, config.max_conn), ("0.0.0.0", 8999, 3));
    assert_eq!((config.worker_pool_size, config.log_file.as_str(), config.log_cons), (10, "zinx.log", true));
    assert!(config.warnings().is_empty());
    assert_eq!(
        warnings,
        [
            "LogDebugClose is a key of old versions of Zinx and has no effect; remove it",
            "LogLevel is a key of old versions of Zinx and has no effect; remove it",
        ]
    );
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = "\
# a comment
Host: 10
TcpPort: 65536
maxconn: many
MaxCon: 5
Version: 1.0
QueueFull: drop
QueueWaitMs: -1
HandleSignals: 1
StackBytes: 16383
Backlog: 0
Name:
MAXCONN: 7
Mode: [tcp]
DrainMs: 99999999999999999999
Workers: {a: 1, a: 2}
";
    let expected = r#"zinx.yaml:2: Host: found 10, expected an address or a host name without a port, which is set by TcpPort
zinx.yaml:3: TcpPort: found 65536, expected a whole number from 0 to 65535
zinx.yaml:4: maxconn: found "many", expected a whole number from 1 to 16777216
zinx.yaml:5: MaxCon: found an unknown key, expected a known one: the nearest is MaxConn
zinx.yaml:6: Version: found 1.0, expected text, in quotes if it looks like a number, true, false or null
zinx.yaml:7: QueueFull: found "drop", expected one of wait, fail, drop_oldest, disconnect
zinx.yaml:8: QueueWaitMs: found -1, expected a whole number from 0 to 2678400000
zinx.yaml:9: HandleSignals: found 1, expected true or false
zinx.yaml:10: StackBytes: found 16383, expected 0 or a whole number from 16384 to 1073741824
zinx.yaml:11: Backlog: found 0, expected a whole number from 1 to 65535
zinx.yaml:12: Name: found nothing, expected text, in quotes if it looks like a number, true, false or null
zinx.yaml:13: MAXCONN: found the key again, expected MaxConn only once: line 4 sets it already
zinx.yaml:14: Mode: found a list, expected one of tcp, websocket, kcp, several with commas between them, or "" for tcp and websocket
zinx.yaml:15: DrainMs: found 99999999999999999999, expected a whole number from 0 to 2678400000
zinx.yaml:16: Workers: found a map, expected a whole number from 0 to 1024"#;
    let dir = Folder::new("all");
    dir.write("zinx.yaml", text);
    let errors = errors(Config::from_file(dir.path().join("zinx.yaml")));
    assert_eq!(dir.relative(&errors), expected);
    assert_eq!(errors.problems().len(), 15);
    assert_eq!(errors.problems()[2].line, Some(4));
    assert_eq!(errors.problems()[2].key, "maxconn");
}

#[test]
fn the_file_of_another_program_is_refused_in_time() {
    let text: String = (1..=2000).map(|number| format!("key{number}: 1\n")).collect();
    let errors = errors(Config::from_yaml(&text));
    let lines: Vec<_> = errors.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines.len(), 2000);
    assert_eq!(lines[..100], (1..=100).map(Some).collect::<Vec<_>>());
    assert_eq!(lines[100..], [None; 1900]);
}

#[test]
fn repeated_keys_name_both_lines_also_in_json_and_under_another_name() {
    let cases = [
        (
            "MaxConn: 1\n\nMaxConn: 1\n",
            "line 3: MaxConn: found the key again, expected MaxConn only once: line 1 sets it already",
        ),
        (
            "{\n\"MaxPacketSize\": 1,\n\"MaxPackageSize\": 2}",
            "line 3: MaxPackageSize: found the key again, expected MaxPacketSize only once: line 2 sets it already",
        ),
        (
            r#"{"TcpPort":1,"TCPPort":2}"#,
            "line 1: TCPPort: found the key again, expected TcpPort only once: line 1 sets it already",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(errors(Config::from_yaml(text)).to_string(), message);
    }
}

#[test]
fn broken_yaml_gives_file_and_line() {
    let dir = Folder::new("broken");
    dir.write("zinx.yaml", "Host: a\nTcpPort: 1\n  MaxConn: 2\n");
    let errors = errors(Config::load_from(dir.path(), NO_ENVIRONMENT));
    let message = dir.relative(&errors);
    assert!(
        message.starts_with("zinx.yaml:3: found broken YAML (mapping values are not allowed"),
        "{message}"
    );
    assert!(message.ends_with("expected lines of the form \"Key: value\", or one JSON object"), "{message}");
    for text in ["- a\n- b\n", "just text", "a: 1\n---\nb: 2\n", "{\"Host\": \"a\"", "5", "!tag {Host: a}"] {
        assert_eq!(self::errors(Config::from_yaml(text)).problems().len(), 1, "{text:?}");
    }
}

#[test]
fn layers_override_each_other_in_order() {
    let dir = Folder::new("layers");
    let load =
        |environment: &[(&str, &str)]| Config::load_from(dir.path(), environment.iter().copied()).unwrap().0;
    assert_eq!(load(&[]), Config::default());
    dir.write("conf/zinx.json", r#"{"TcpPort": 1, "MaxConn": 1}"#);
    assert_eq!((load(&[]).tcp_port, load(&[]).max_conn), (1, 1));
    dir.write("zinx.yaml", "TcpPort: 2");
    assert_eq!((load(&[]).tcp_port, load(&[]).max_conn), (2, 12_000));
    dir.write("other.yaml", "TcpPort: 3\nName: other\n");
    let other = ("ZINX_CONFIG_FILE_PATH", "other.yaml");
    assert_eq!(load(&[other]).tcp_port, 3);
    let config = load(&[other, ("ZINX_TCPPORT", "4"), ("ZINX_NAME", "12"), ("ZINX_QUEUEFULL", "fail")]);
    assert_eq!((config.tcp_port, config.name.as_str(), config.queue_full), (4, "12", QueueFull::Fail));
    let config = load(&[("ZINX_CONFIG_FILE_PATH", ""), ("ZINX_HANDLESIGNALS", "false"), ("PATH", "x")]);
    assert_eq!((config.tcp_port, config.handle_signals), (2, false));
}

#[test]
fn a_missing_file_that_is_named_is_an_error() {
    let dir = Folder::new("missing");
    let named = [("ZINX_CONFIG_FILE_PATH", "gone.yaml"), ("ZINX_MAXCONN", "0")];
    let errors = errors(Config::load_from(dir.path(), named));
    let message = dir.relative(&errors);
    let (first, second) = message.split_once('\n').unwrap();
    assert!(first.starts_with("gone.yaml: ZINX_CONFIG_FILE_PATH: found no readable file ("), "{first}");
    assert!(first.ends_with("), expected a readable file of UTF-8 text"), "{first}");
    assert_eq!(second, "ZINX_MAXCONN: found 0, expected a whole number from 1 to 16777216");
    assert_eq!(self::errors(Config::from_file(dir.path().join("gone.yaml"))).problems().len(), 1);
    // A folder is there, but it is no file: passing over it would hide a mistake.
    fs::create_dir(dir.path().join("zinx.yaml")).unwrap();
    assert_eq!(self::errors(Config::load_from(dir.path(), NO_ENVIRONMENT)).problems().len(), 1);
}

#[test]
fn a_file_that_is_not_utf8_gives_its_line() {
    let dir = Folder::new("utf8");
    fs::write(dir.path().join("zinx.yaml"), b"Host: a\nName: \xff\n").unwrap();
    let errors = errors(Config::load_from(dir.path(), NO_ENVIRONMENT));
    let message = "zinx.yaml:2: found bytes that are not UTF-8, expected a readable file of UTF-8 text";
    assert_eq!(dir.relative(&errors), message);
}

#[test]
fn bad_variables_are_problems_and_unknown_ones_are_warnings() {
    let dir = Folder::new("environment");
    let bad = [
        ("ZINX_TCPPORT", "x"),
        ("ZINX_MODE", "udp"),
        ("ZINX_MAXPACKETSIZE", "1"),
        ("ZINX_MAXPACKAGESIZE", "2"),
    ];
    let expected = "\
ZINX_MAXPACKETSIZE: found the key again, expected MaxPacketSize only once: it is set already
ZINX_MODE: found \"udp\", expected one of tcp, websocket, kcp, several with commas between them, or \"\" for tcp and websocket
ZINX_TCPPORT: found \"x\", expected a whole number from 0 to 65535";
    assert_eq!(errors(Config::load_from(dir.path(), bad)).to_string(), expected);
    let unknown = [("ZINX_MAX_CONN", "1"), ("zinx_maxconn", "x"), ("ZINXMAXCONN", "x")];
    let (config, warnings) = Config::load_from(dir.path(), unknown).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(warnings, ["ZINX_MAX_CONN is not a variable of zinx: the nearest is ZINX_MAXCONN"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_a_problem_not_a_panic() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let raw = || OsString::from_vec(vec![b'a', 0xff]);
    let dir = Folder::new("raw");
    let environment = [(OsString::from("ZINX_NAME"), raw()), (raw(), raw())];
    let message = errors(Config::load_from(dir.path(), environment)).to_string();
    assert!(message.starts_with("ZINX_NAME: found text that is not UTF-8, expected text"), "{message}");
}

#[test]
fn a_secret_that_is_refused_is_not_shown() {
    let told = |text: &str| errors(Config::from_yaml(text)).to_string();
    for bad in ["tops3cret", "tops3cret with a space in it"] {
        let told = told(&format!("AdminToken: {bad}"));
        let expected = "line 1: AdminToken: found \"(not shown)\", expected 16 or more ";
        assert!(told.starts_with(expected), "{told}");
        let mut config = Config::default();
        config.admin_token = bad.to_string();
        assert!(!errors(config.validate()).to_string().contains("tops3cret"));
    }
    for (bad, shown) in [
        ("http://:tops3cret@cache:6379", "http://(not shown)@cache:6379"),
        ("ann:tops3cret@cache", "(not shown)@cache"),
        ("redis://:tops3cret and a space@cache", "redis://(not shown)@cache"),
    ] {
        let told = told(&format!("Cluster: \"{bad}\""));
        assert!(told.starts_with(&format!("line 1: Cluster: found \"{shown}\", expected a URL ")), "{told}");
    }
    let number = told("AdminToken: 1234567890123456");
    assert!(
        number.starts_with("line 1: AdminToken: found what is no text (not shown), expected "),
        "{number}"
    );
}

#[test]
fn values_set_in_code_are_validated() {
    let mut config = Config::default();
    config.max_conn = 0;
    config.host.clear();
    config.max_packet_size = u32::MAX;
    config.stack_bytes = 1;
    config.max_msg_chan_bytes = 1; // Smaller than a frame is allowed: a frame always fits an empty queue.
    let expected = "\
Host: found \"\", expected an address or a host name without a port, which is set by TcpPort
MaxConn: found 0, expected a whole number from 1 to 16777216
MaxPacketSize: found 4294967295, expected a whole number from 0 to 1073741824
StackBytes: found 1, expected 0 or a whole number from 16384 to 1073741824";
    assert_eq!(errors(config.validate()).to_string(), expected);
}

#[test]
fn keys_of_features_that_are_not_built_in_give_one_warning_each() {
    let text = "RequestPoolMode: true\nIOReadBuffSize: 10\nKcpPort: 9002\nKcpInterval: 10\nWsPath: /a\nMaxConn: 5\nCertFile: a.pem\n";
    let expected = "KcpPort 9002 has no effect: this program is built without the cargo feature `kcp`; remove it or set 9001";
    let expected = if cfg!(feature = "kcp") { Vec::new() } else { vec![expected] };
    assert_eq!(Config::from_yaml(text).unwrap().warnings(), expected);
}

/// A transport that is not built in is no warning: nobody would be served on it, or in plain text.
#[test]
fn a_server_does_not_start_with_a_transport_that_is_not_built_in() {
    let start = |text: &str| {
        let mut config = Config::from_yaml(text).unwrap();
        (config.tcp_port, config.ws_port) = (0, 0);
        let server = zinx::new_server_with_config(config).unwrap();
        zinx::ziface::IServer::start(&server).unwrap_err().to_string()
    };
    if cfg!(not(feature = "kcp")) {
        let expected = "Mode: found \"tcp,kcp\", expected no kcp, or zinx built with the cargo feature `kcp`";
        assert_eq!(start("Mode: tcp,kcp"), expected);
    }
    if cfg!(not(feature = "websocket")) {
        for (mode, shown) in [("''", "tcp,websocket"), ("websocket", "websocket")] {
            let expected = format!(
                "Mode: found \"{shown}\", expected no websocket, or zinx built with the cargo feature `websocket`"
            );
            assert_eq!(start(&format!("Mode: {mode}")), expected);
        }
    }
    if cfg!(not(feature = "tls")) {
        let expected =
            "CertFile: found \"a.pem\", expected nothing, or zinx built with the cargo feature `tls`";
        assert_eq!(start("CertFile: a.pem\nPrivateKeyFile: a.key"), expected);
    }
}

#[test]
fn a_file_that_nests_deep_or_multiplies_itself_is_refused_in_time() {
    let deep = format!("MaxConn: {}", "[".repeat(5_000));
    let closed = format!("MaxConn: {}{}", "[".repeat(500), "]".repeat(500));
    let json = format!("{{\"MaxConn\": {}{}}}", "{\"a\":".repeat(500), "1".to_string() + &"}".repeat(500));
    // Ten to the twentieth, if anybody unfolded it.
    let mut bomb = "a0: &a0 [1]\n".to_string();
    for n in 1..20 {
        let of = n - 1;
        bomb += &format!(
            "a{n}: &a{n} [*a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}]\n"
        );
    }
    for text in [deep, closed, json, bomb] {
        let start = std::time::Instant::now();
        assert!(!errors(Config::from_yaml(&text)).problems().is_empty());
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn a_long_text_without_keys_is_told_in_short() {
    let problems = errors(Config::from_yaml(&"no key at all ".repeat(1000))).to_string();
    assert!(
        problems.starts_with("line 1: found broken YAML (invalid type: string \"no key at all"),
        "{problems}"
    );
    assert!(problems.len() < 300, "{problems}");
}

#[test]
fn a_byte_order_mark_and_escaped_pairs_are_no_obstacle() {
    for text in [
        "\u{feff}TcpPort: 1234\nName: game\n",
        "\u{feff}---\nTcpPort: 1234\n",
        "\u{feff}# a comment\r\nTcpPort: 1234\r\n",
        "\u{feff}{\"TcpPort\": 1234}",
        r#"{"Name": "\ud83c\udfae", "TcpPort": 1234}"#,
    ] {
        assert_eq!(Config::from_yaml(text).unwrap().tcp_port, 1234, "{text:?}");
    }
    assert_eq!(Config::from_yaml(r#"{"Name": "\ud83c\udfae"}"#).unwrap().name, "🎮");
    // Lines are still those of the file.
    let text = "\u{feff}{\n\"Name\": \"\\ud83c\\udfae\",\n\"TcpPort\": 65536}";
    assert_eq!(errors(Config::from_yaml(text)).problems()[0].line, Some(3));
    let dir = Folder::new("mark");
    dir.write("zinx.yaml", "\u{feff}TcpPort: 1234\nName: game\n");
    assert_eq!(Config::load_from(dir.path(), NO_ENVIRONMENT).unwrap().0.name, "game");
    fs::write(dir.path().join("zinx.yaml"), b"\xff\xfeN\0").unwrap();
    let errors = errors(Config::load_from(dir.path(), NO_ENVIRONMENT));
    let message = "zinx.yaml: found text in UTF-16, expected a readable file of UTF-8 text";
    assert_eq!(dir.relative(&errors), message);
}

#[test]
fn the_first_file_is_read_and_the_others_are_named() {
    let dir = Folder::new("names");
    let names = ["conf/zinx.json", "conf/zinx.yml", "conf/zinx.yaml", "zinx.json", "zinx.yml", "zinx.yaml"];
    for (number, name) in names.iter().enumerate() {
        dir.write(name, &format!("{{\"TcpPort\": {number}}}"));
        let (config, warnings) = Config::load_from(dir.path(), NO_ENVIRONMENT).unwrap();
        assert_eq!(usize::from(config.tcp_port), number);
        assert_eq!(config.origin(), dir.path().join(name).display().to_string());
        let not_read =
            |other: &&str| format!("{other} is not read, because there is {name}: keep one of them");
        assert_eq!(warnings, names[..number].iter().rev().map(not_read).collect::<Vec<_>>());
    }
    // A file that is named is a decision: no word about the others.
    let named = [("ZINX_CONFIG_FILE_PATH", "conf/zinx.yml"), ("ZINX_TCPPORT", "7"), ("ZINX_NAME", "x")];
    let (config, warnings) = Config::load_from(dir.path(), named).unwrap();
    let path = dir.path().join("conf/zinx.yml");
    assert_eq!(config.origin(), format!("{}, then ZINX_NAME, ZINX_TCPPORT", path.display()));
    assert_eq!(warnings, [""; 0]);
    assert_eq!(Config::default().origin(), "defaults");
}

#[test]
fn a_file_called_conf_holds_no_configuration() {
    let folder = Folder::new("conf-file");
    fs::remove_dir(folder.path().join("conf")).unwrap();
    folder.write("conf", "not a folder\n");
    let (config, warnings) = Config::load_from(folder.path(), NO_ENVIRONMENT).unwrap();
    assert_eq!((config, warnings), (Config::default(), vec![]));
    folder.write("zinx.yaml", "TcpPort: 5\n");
    let (config, warnings) = Config::load_from(folder.path(), NO_ENVIRONMENT).unwrap();
    assert_eq!((config.tcp_port, warnings), (5, vec![]));
}

#[test]
fn a_host_with_a_port_is_told_where_the_port_goes() {
    let dir = Folder::new("host");
    let errors = errors(Config::load_from(dir.path(), [("ZINX_HOST", "127.0.0.1:7810")]));
    let expected = "ZINX_HOST: found \"127.0.0.1:7810\", expected an address or a host name without a port, which is set by TcpPort";
    assert_eq!(errors.to_string(), expected);
}

fn errors<T: std::fmt::Debug>(result: zinx::Result<T>) -> ConfigErrors {
    match result {
        Err(Error::Config(errors)) => errors,
        other => panic!("expected problems, got {other:?}"),
    }
}

/// A folder of its own for a test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zinx-config-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("conf")).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// The message with the paths as seen from this folder.
    fn relative(&self, errors: &ConfigErrors) -> String {
        errors.to_string().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NO_ENVIRONMENT: [(&str, &str); 0] = [];
