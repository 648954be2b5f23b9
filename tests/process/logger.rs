//! Log files: levels, setting aside by size and by day, deleting by age, and a disk that is full.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::child::{in_child, in_child_after, in_child_with, stderr_of_child};
use crate::common::{config, frame, start, wait_until};
use zinx::{Config, Error, zlog};

#[test]
fn lines_have_time_level_and_place_and_levels_are_left_out() {
    in_child("logger::lines_have_time_level_and_place_and_levels_are_left_out", || {
        let config = logging("levels", |config| config.log_isolation_level = 1);
        zlog::init(&config).unwrap();
        assert!(matches!(zlog::init(&config), Err(Error::AlreadyStarted { .. })));
        log::debug!("not this");
        log::info!("an {} line", "information");
        log::warn!(target: "may::scheduler", "of the runtime");
        log::info!(target: "may::scheduler", "not that either");
        log::error!("an error line");
        log::logger().flush();
        let text = read(&config);
        let lines: Vec<_> = text.lines().collect();
        let (time, rest) = lines[0].split_at("2026/01/31 14:05:06.123".len());
        assert!(time.chars().enumerate().all(|(at, c)| match at {
            4 | 7 => c == '/',
            10 => c == ' ',
            13 | 16 => c == ':',
            19 => c == '.',
            _ => c.is_ascii_digit(),
        }));
        assert!(rest.starts_with(" [INFO]logger.rs:") && rest.ends_with(": an information line"), "{rest}");
        assert!(lines[1].ends_with(": of the runtime") && lines[2].contains(" [ERROR]logger.rs:"));
        assert_eq!(lines.len(), 3, "{text}");
    });
}

#[test]
fn a_full_file_is_set_aside_and_no_line_is_lost() {
    in_child("logger::a_full_file_is_set_aside_and_no_line_is_lost", || {
        let config = logging("size", |config| config.log_file_size = 2000);
        zlog::init(&config).unwrap();
        for n in 0..200 {
            log::info!("line {n:03} of two hundred");
        }
        log::logger().flush();
        let mut files = aside(&config);
        assert!(files.len() >= 5, "{files:?}");
        files.sort();
        files.push(path(&config));
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 2000));
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let all = (0..200).all(|n| text.contains(&format!("line {n:03} of")));
        assert!(all && text.lines().count() == 200, "{text}");
    });
}

#[test]
fn old_files_are_deleted_and_each_day_has_its_own() {
    in_child("logger::old_files_are_deleted_and_each_day_has_its_own", || {
        let config = logging("age", |config| config.log_save_days = 3);
        let folder = Path::new(&config.log_dir);
        let days_ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600 + 60);
        let make = |name: &str, at: SystemTime| {
            fs::write(folder.join(name), "what it holds\n").unwrap();
            File::options().append(true).open(folder.join(name)).unwrap().set_modified(at).unwrap();
        };
        let (old, young) = ("zinx-2020-01-01T00-00-00.000.log", "zinx-2020-01-02T00-00-00.000-1.log");
        make(old, days_ago(3));
        make(young, days_ago(2));
        make("zinx-of-another.log", days_ago(30));
        make("zinx.log", days_ago(1));
        zlog::init(&config).unwrap();
        log::info!("today");
        log::logger().flush();
        let there = |name: &str| folder.join(name).exists();
        assert!(!there(old) && there(young) && there("zinx-of-another.log"));
        assert!(read(&config).ends_with(": today\n") && !read(&config).contains("what it holds"));
        assert_eq!(aside(&config).len(), 2, "yesterday's file, and the young one");
    });
}

#[test]
fn old_files_are_deleted_also_in_the_working_directory() {
    in_child("logger::old_files_are_deleted_also_in_the_working_directory", || {
        let mut config = logging("here", |config| config.log_save_days = 3);
        std::env::set_current_dir(&config.log_dir).unwrap();
        config.log_dir = String::new();
        let old = "zinx-2020-01-01T00-00-00.000.log";
        fs::write(old, "what it holds\n").unwrap();
        let at = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
        File::options().append(true).open(old).unwrap().set_modified(at).unwrap();
        zlog::init(&config).unwrap();
        assert!(!Path::new(old).exists() && Path::new("zinx.log").exists());
    });
}

#[test]
fn an_old_file_is_appended_to_where_none_are_deleted() {
    in_child("logger::an_old_file_is_appended_to_where_none_are_deleted", || {
        let config = logging("append", |_| {});
        fs::write(path(&config), "before\n").unwrap();
        zlog::init(&config).unwrap();
        log::info!("after");
        log::logger().flush();
        let text = read(&config);
        assert!(text.starts_with("before\n") && text.ends_with(": after\n"), "{text}");
    });
}

#[test]
fn a_full_disk_stops_no_server() {
    in_child("logger::a_full_disk_stops_no_server", || {
        // Every write to it fails as on a full disk.
        let mut full = config();
        full.log_dir = "/dev".to_string();
        full.log_file = "full".to_string();
        zlog::init(&full).unwrap();
        let running = start(config(), |_| {});
        let mut peer = running.connect();
        for _ in 0..200 {
            peer.send(&frame(404, b"logged, as far as that goes"));
            log::warn!("one more line");
            peer.check_echo();
        }
        log::logger().flush();
    });
}

#[test]
fn a_disk_that_was_full_is_written_to_again() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("logger-small-disk");
    drop(fs::create_dir_all(&folder));
    // A disk of its own, of 64 KiB.
    let mount = format!("mount -t tmpfs -o size=64k none {}", folder.display());
    in_child_after("logger::a_disk_that_was_full_is_written_to_again", &["unshare", "-rm"], &mount, || {
        let mut config = config();
        config.log_dir = folder.to_string_lossy().into_owned();
        config.log_file = "zinx.log".to_string();
        zlog::init(&config).unwrap();
        let running = start(self::config(), |_| {});
        log::warn!("before");
        log::logger().flush();
        fs::write(folder.join("else"), [7; 1 << 20]).unwrap_err();
        for _ in 0..200 {
            log::warn!("{}", "lost, or most of them ".repeat(10));
        }
        log::logger().flush();
        running.connect().check_echo();
        fs::remove_file(folder.join("else")).unwrap();
        log::warn!("after");
        log::logger().flush();
        let text = read(&config);
        assert!(text.contains(": before\n") && text.contains(": after\n"), "{text}");
    });
}

#[test]
fn a_file_that_is_deleted_or_moved_away_is_opened_again() {
    in_child("logger::a_file_that_is_deleted_or_moved_away_is_opened_again", || {
        let config = logging("gone", |config| config.log_file_size = 100_000);
        zlog::init(&config).unwrap();
        let (here, there) = (path(&config), path(&config).with_file_name("moved"));
        let gone: [(&str, &dyn Fn()); 4] = [
            ("deleted", &|| fs::remove_file(&here).unwrap()),
            ("moved", &|| fs::rename(&here, &there).unwrap()),
            ("replaced", &|| {
                fs::rename(&here, &there).unwrap();
                fs::write(&here, "another one\n").unwrap();
            }),
            ("deleted with its folder", &|| fs::remove_dir_all(&config.log_dir).unwrap()),
        ];
        for (how, go) in gone {
            log::info!("before it was {how}");
            log::logger().flush();
            go();
            wait_until("a line that can be read", || {
                log::info!("after it was {how}");
                log::logger().flush();
                fs::read_to_string(&here).is_ok_and(|text| text.contains(&format!("after it was {how}\n")))
            });
        }
        // Somebody has cut it: what was in it no longer counts.
        log::info!("{}", "x".repeat(80_000));
        log::logger().flush();
        File::options().write(true).open(&here).unwrap().set_len(0).unwrap();
        wait_until("a file that is not full", || {
            log::info!("{}", "x".repeat(300));
            log::logger().flush();
            fs::metadata(&here).unwrap().len() > 90_000 || !aside(&config).is_empty()
        });
        assert_eq!(aside(&config), [] as [PathBuf; 0]);
    });
}

#[test]
fn no_line_is_lost_where_a_full_file_was_deleted_and_stderr_hears_nothing() {
    let name = "logger::no_line_is_lost_where_a_full_file_was_deleted_and_stderr_hears_nothing";
    let said = stderr_of_child(name, &[], || {
        let config = logging("full-and-gone", |config| config.log_file_size = 2000);
        zlog::init(&config).unwrap();
        log::info!("before");
        log::logger().flush();
        fs::remove_file(path(&config)).unwrap();
        for n in 0..200 {
            log::info!("{n} {}", "x".repeat(60));
        }
        log::logger().flush();
        let files = fs::read_dir(&config.log_dir).unwrap().map(|file| file.unwrap().path());
        let lines: usize = files.map(|file| fs::read_to_string(file).unwrap().lines().count()).sum();
        // Those before the first look are in the file that is gone.
        assert!((180..=200).contains(&lines), "{lines}");
    });
    assert!(!said.contains("log file"), "{said}");
}

#[test]
fn a_file_of_another_day_is_set_aside_also_after_a_clock_jump() {
    in_child("logger::a_file_of_another_day_is_set_aside_also_after_a_clock_jump", || {
        let config = logging("jump", |config| config.log_save_days = 30);
        let folder = Path::new(&config.log_dir);
        let ahead = SystemTime::now() + Duration::from_secs(400 * 24 * 3600);
        let (old, young) = ("zinx-2020-01-01T00-00-00.000.log", "zinx-2999-01-01T00-00-00.000.log");
        for name in ["zinx.log", old, young] {
            fs::write(folder.join(name), "from the future\n").unwrap();
            File::options().append(true).open(folder.join(name)).unwrap().set_modified(ahead).unwrap();
        }
        zlog::init(&config).unwrap();
        log::info!("today");
        log::info!("today again");
        log::logger().flush();
        assert!(!read(&config).contains("future") && read(&config).lines().count() == 2);
        assert!(!folder.join(old).exists() && folder.join(young).exists(), "its name says how old it is");
        let files = fs::read_dir(folder).unwrap().count();
        assert_eq!(files, 3, "the file, the one that was set aside, and the young one");
    });
}

#[test]
fn a_device_is_never_set_aside() {
    in_child("logger::a_device_is_never_set_aside", || {
        let config = logging("device", |config| (config.log_file_size, config.log_save_days) = (100, 1));
        std::os::unix::fs::symlink("/dev/null", path(&config)).unwrap();
        zlog::init(&config).unwrap();
        for n in 0..100 {
            log::info!("line {n}");
        }
        log::logger().flush();
        assert_eq!(fs::read_dir(&config.log_dir).unwrap().count(), 1);
    });
}

#[test]
fn trace_is_written_only_if_rust_log_asks_for_it() {
    in_child_with("logger::trace_is_written_only_if_rust_log_asks_for_it", &[("RUST_LOG", "")], || {
        let config = logging("no-trace", |_| {});
        zlog::init(&config).unwrap();
        start(self::config(), |_| {}).connect().check_echo();
        log::debug!("debug");
        log::logger().flush();
        assert!(read(&config).contains(": debug\n") && !read(&config).contains("[TRACE]"));
    });
}

#[test]
fn rust_log_comes_before_the_isolation_level() {
    let directives = "info,zinx::tutorial=trace,quiet=off,what?=no";
    in_child_with("logger::rust_log_comes_before_the_isolation_level", &[("RUST_LOG", directives)], || {
        let config = logging("rust-log", |config| config.log_isolation_level = 4);
        zlog::init(&config).unwrap();
        start(self::config(), |_| {}).connect().check_echo();
        log::error!(target: "quiet", "not this");
        log::debug!("not that");
        log::info!("information");
        log::logger().flush();
        let text = read(&config);
        assert!(text.contains("[TRACE]tutorial.rs:") && text.ends_with(": information\n"), "{text}");
        assert!(!text.contains("not this") && !text.contains("not that"), "{text}");
        assert!(text.lines().next().unwrap().contains("RUST_LOG: found \"what?=no\", expected "), "{text}");
    });
}

#[test]
fn the_warnings_of_the_load_are_the_first_lines() {
    let env = [("ZINX_MAXCON", "5"), ("ZINX_KCPPORT", "1"), ("ZINX_TCPPORT", "0"), ("RUST_LOG", "")];
    in_child_with("logger::the_warnings_of_the_load_are_the_first_lines", &env, || {
        let mut loaded = Config::load().unwrap();
        let config = logging("warnings", |_| {});
        (loaded.log_dir, loaded.log_file) = (config.log_dir.clone(), config.log_file.clone());
        zlog::init(&loaded).unwrap();
        // They are said once, also if a server starts with a copy.
        start(loaded, |_| {}).connect().check_echo();
        log::logger().flush();
        let text = read(&config);
        let mut lines = text.lines();
        if cfg!(not(feature = "kcp")) {
            let expected = "KcpPort 1 has no effect: this program is built without the cargo feature `kcp`; \
                            remove it or set 9001";
            assert!(lines.next().unwrap().ends_with(expected), "{text}");
        }
        assert!(
            lines
                .next()
                .unwrap()
                .ends_with("ZINX_MAXCON is not a variable of zinx: the nearest is ZINX_MAXCONN"),
            "{text}"
        );
        assert_eq!(text.matches("ZINX_MAXCON ").count(), 1, "{text}");
    });
}

#[test]
fn no_text_looks_like_a_line_that_it_is_not() {
    in_child("logger::no_text_looks_like_a_line_that_it_is_not", || {
        let config = logging("forged", |_| {});
        zlog::init(&config).unwrap();
        log::info!("first\n2026/01/31 14:05:06.123 [ERROR]server.rs:1: forged\r\n\u{1b}[2Jclear\n");
        log::logger().flush();
        let text = read(&config);
        let (_, said) = text.split_once(": ").unwrap();
        assert_eq!(
            said,
            "first\n    2026/01/31 14:05:06.123 [ERROR]server.rs:1: forged\\r\n    \\u{1b}[2Jclear\n"
        );
    });
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let mut config = logging("open", |_| {});
    config.log_dir = path(&config).to_string_lossy().into_owned();
    fs::write(&config.log_dir, "a file, not a folder").unwrap();
    let error = zlog::init(&config).unwrap_err().to_string();
    assert!(error.starts_with(&format!("open {}/zinx.log: ", config.log_dir)), "{error}");
}

/// A configuration that logs to a file in an empty folder.
fn logging(name: &str, change: impl FnOnce(&mut Config)) -> Config {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("logger-{name}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    let mut config = config();
    config.log_dir = folder.to_string_lossy().into_owned();
    config.log_file = "zinx.log".to_string();
    change(&mut config);
    config
}

fn path(config: &Config) -> PathBuf {
    Path::new(&config.log_dir).join(&config.log_file)
}

fn read(config: &Config) -> String {
    fs::read_to_string(path(config)).unwrap()
}

/// The files set aside.
fn aside(config: &Config) -> Vec<PathBuf> {
    let entries = fs::read_dir(&config.log_dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("zinx-20")).collect()
}
