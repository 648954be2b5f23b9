//! The architecture, kept: which module names which, how many `unsafe` blocks and thread-locals there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::imports::Imports;

pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// Lines of code that hold `word`: comments and documentation left out.
fn lines_with(folder: &str, word: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, text) in sources(folder) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(word)) {
            lines.push(format!("{}: {}", path.display(), line.trim()));
        }
    }
    lines
}

#[test]
fn lower_layers_name_no_higher_ones() {
    let forbidden = [
        ("ziface", ["crate::znet", "crate::zpack", "crate::green", "crate::zconf"].as_slice()),
        ("green", &["crate::znet", "crate::zpack", "crate::ziface", "crate::zconf"]),
        ("zpack", &["crate::znet", "crate::green"]),
        ("zconf", &["crate::znet", "crate::zpack", "crate::ziface", "crate::green"]),
        ("error", &["crate::znet", "crate::zpack", "crate::ziface", "crate::green", "crate::zconf"]),
    ];
    for (folder, names) in forbidden {
        for name in names {
            assert_eq!(lines_with(folder, name), Vec::<String>::new(), "{folder} names {name}");
        }
    }
}

#[test]
fn only_green_names_may() {
    for folder in ["ziface", "zpack", "zconf", "znet"] {
        assert_eq!(lines_with(folder, "may::"), Vec::<String>::new());
    }
}

/// So a clock that jumps moves no timeout, heartbeat or timer. Who may ask what time it is: stamps of log lines, ids
/// with a time in them, a timer set for a date. A conversion of an error only names the clock.
#[test]
fn timing_names_the_monotonic_clock_only() {
    let lines = lines_with("", "SystemTime");
    let may = [
        "src/zlog/mod.rs",
        "src/zlog/clock.rs",
        "src/zlog/file.rs",
        "src/ztimer/mod.rs",
        "src/zutils/mod.rs",
        "src/error/from.rs",
    ];
    let others: Vec<_> = lines.iter().filter(|line| !may.iter().any(|file| line.contains(file))).collect();
    assert_eq!(others, Vec::<&String>::new());
    assert!(!lines.is_empty());
}

#[test]
fn unsafe_blocks_and_the_thread_local_are_where_they_belong() {
    let in_files = |word| {
        let lines = lines_with("", word);
        let files = lines.iter().filter_map(|line| line.split_once("src/")?.1.split_once(':'));
        files.map(|(file, _)| file.to_string()).collect::<Vec<_>>()
    };
    let mut blocks = in_files("unsafe {");
    blocks.sort();
    let expected = [
        ("green/runtime/memory.rs", 2),
        ("green/runtime/overflow.rs", 6),
        ("green/runtime/start.rs", 1),
        ("ziface/data.rs", 1),
    ];
    let expected = expected.map(|(file, count)| std::iter::repeat_n(file, count));
    assert_eq!(blocks, expected.into_iter().flatten().collect::<Vec<_>>());
    assert_eq!(in_files("thread_local!"), ["green/runtime/worker.rs"]);
    let said = [
        ("ten `unsafe` blocks", &["SECURITY.md", "CONTRIBUTING.md", "docs/why.md"]),
        ("十个 `unsafe` 块", &["SECURITY.zh-CN.md", "CONTRIBUTING.zh-CN.md", "docs/zh/why.md"]),
    ];
    for (page, words) in said.iter().flat_map(|(words, pages)| pages.iter().map(move |page| (page, words))) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        assert!(blocks.len() == 10 && text.contains(words), "{page}: {words}");
    }
}

/// So that no sum of a time and a duration overflows: see `green::Until`.
#[test]
fn durations_become_times_in_one_place() {
    let mut lines = lines_with("", "Instant::now() +");
    lines.extend(lines_with("", "Instant::now().checked_add"));
    lines.retain(|line| !line.contains("green/runtime/until.rs"));
    assert_eq!(lines, Vec::<String>::new());
}

/// The front page of a folder is its `mod.rs`: what the folder is for, and its files in the order in which data travels.
/// So no file stands beside a folder of its name.
#[test]
fn every_folder_has_a_front_page() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, _) in sources("") {
        let folder = path.parent().unwrap();
        let page = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        assert!(folder == src || page.starts_with("//! "), "{} has no page", folder.display());
        assert!(!path.with_extension("").is_dir(), "{} belongs into the folder of its name", path.display());
    }
    for (path, page) in sources("znet").iter().filter(|(path, _)| path.ends_with("mod.rs")) {
        let declared = page.lines().filter_map(|line| line.strip_suffix(';')?.rsplit_once("mod "));
        for (_, name) in declared {
            let comment = page.lines().take_while(|line| !line.ends_with(&format!("mod {name};"))).last();
            assert!(comment.is_some_and(|line| line.starts_with("//")), "{}: {name}", path.display());
        }
    }
}

#[test]
fn no_file_has_more_than_400_lines() {
    let long = sources("").into_iter().filter(|(_, text)| text.lines().count() > 400);
    assert_eq!(long.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

/// So that TLS, WebSocket and KCP need changes in `transport` alone.
#[test]
fn only_the_transport_and_the_entrance_name_sockets() {
    let mut lines = Vec::new();
    for word in ["Socket", "TcpStream", "TcpListener"] {
        lines.extend(lines_with("znet", &format!("{word},")));
        lines.extend(lines_with("znet", &format!("{word}}}")));
        lines.extend(lines_with("znet", &format!("{word}>")));
        lines.extend(lines_with("znet", &format!("{word};")));
    }
    lines.retain(|line| {
        !["/znet/transport/", "/znet/enter/", "Awaits::Socket"].iter().any(|known| line.contains(known))
    });
    assert_eq!(lines, Vec::<String>::new());
}

/// A file that holds data never imports what acts on it: what `connection.rs` and `core.rs` need does not need them.
/// `.ci/imports -v` prints the whole graph.
#[test]
fn no_circle_goes_through_the_connection_or_the_core() {
    let imports = Imports::of("znet");
    for hub in ["conn/connection", "server/core"] {
        let mut needed = imports.reached_from(hub);
        needed.retain(|file| imports.has(file, hub));
        assert_eq!(needed, BTreeSet::new(), "{hub} needs files that import it");
    }
}

/// In `green`, a coroutine, what it waits for and what runs it know each other; that circle may only become smaller.
#[test]
fn circles_of_files_are_small() {
    for (module, largest) in [("znet", 2), ("green", 35)] {
        let imports = Imports::of(module);
        let circle = imports.largest_circle();
        assert!(circle.len() <= largest, "src/{module} has a circle of {}: {circle:?}", circle.len());
    }
}

/// The arrows between the folders of a module.
#[test]
fn folders_import_only_those_they_may() {
    for (module, may) in [("znet", ZNET), ("green", GREEN)] {
        let imports = Imports::of(module);
        let found = imports.between_folders();
        for (&(from, to), by) in &found {
            assert!(
                may.iter()
                    .any(|(folder, others)| *folder == from && others.split(' ').any(|other| other == to)),
                "src/{module}/{from} may not import src/{module}/{to}, but {}. Find another way, or list the new arrow \
                 in tests/docs/layout.rs and give its reason in docs/design.md",
                by.join(", ")
            );
        }
        for (from, others) in may {
            for to in others.split(' ') {
                let is_used = found.contains_key(&(*from, to));
                assert!(
                    is_used,
                    "src/{module}/{from} no longer imports {to}: take it from tests/docs/layout.rs"
                );
            }
        }
    }
}

type MayImport = &'static [(&'static str, &'static str)];

/// Which folder of `znet` may import which others. A connection has a part of its state from each stage, and each stage acts
/// on connections, so `conn` is on both sides. The files differ: see `no_circle_goes_through_the_connection_or_the_core`.
const ZNET: MayImport = &[
    ("server", "enter transport conn read route talk people cluster write resume leave admin"),
    ("enter", "server transport conn read"),
    ("transport", "conn"),
    ("conn", "server transport read route talk people write resume leave"),
    ("read", "enter transport conn route talk write resume leave"),
    ("route", "server conn people"),
    ("talk", "transport conn read route write"),
    ("people", "server conn cluster write"),
    ("cluster", "server conn route people resume"),
    ("write", "transport conn read route resume leave"),
    ("resume", "server transport conn read people cluster"),
    ("leave", "server transport conn read write"),
    ("admin", "server conn route"),
];

/// Which folder of `green` may import which others.
const GREEN: MayImport = &[
    ("runtime", "spawn sync net"),
    ("spawn", "runtime sync net"),
    ("sync", "runtime spawn"),
    ("net", "runtime spawn sync"),
    ("bluelet", "runtime spawn sync net"),
    ("backdoor", "runtime spawn sync net"),
];

/// The page "Follow one message" names a file and a function for each step.
#[test]
fn every_step_of_a_message_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/architecture.md", "docs/zh/architecture.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let steps = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, number, file, function, ..] = cells[..] else { return None };
            number.parse::<usize>().ok()?;
            Some((
                number.to_string(),
                file.trim_matches('`').to_string(),
                function.trim_matches('`').to_string(),
            ))
        });
        let steps: Vec<_> = steps.collect();
        assert!(steps.len() >= 20, "{page}: {} steps", steps.len());
        for (at, (number, file, function)) in steps.iter().enumerate() {
            assert_eq!(number, &(at + 1).to_string(), "{page}");
            let code = fs::read_to_string(root.join(file)).unwrap_or_default();
            let starts = [format!("fn {function}("), format!("fn {function}<")];
            assert!(
                starts.iter().any(|start| code.contains(start)),
                "{page}, step {number}: {file}, {function}"
            );
        }
    }
}
