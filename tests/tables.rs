//! What the tables of `docs/` say is so: names are those of the code, keys and defaults those of the configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use zinx::Config;

#[test]
fn every_rust_name_of_the_porting_tables_is_real() {
    let sources = sources(Path::new("src"));
    let mut checked = 0;
    for page in PORTING.into_iter().chain(GREEN) {
        for row in rows(page, |head| head.get(1).is_some_and(|title| title == "Rust")) {
            let ours = spans(&row[1]);
            assert!(!ours.is_empty() || row[1].is_empty(), "{page}: {row:?}");
            // What is said of it names other things of ours, and things of Rust's.
            let said =
                spans(&row[2]).into_iter().filter(|name| is_name(name) && !OF_RUST.contains(&name.as_str()));
            for name in ours.into_iter().chain(said) {
                assert!(is_real(&name, &sources), "{page}: {name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn the_lines_set_beside_the_originals_are_those_of_the_hook_demo() {
    let demo = squeeze(&read("demo/hook/server.rs"));
    for page in PORTING {
        let rows = rows(page, |head| head.get(1).is_some_and(|title| title.contains("demo/hook/server.rs")));
        assert!(rows.len() > 10, "{page}");
        for line in rows.iter().flat_map(|row| spans(&row[1])) {
            assert!(demo.contains(&squeeze(&line)), "{page}: {line}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_default() {
    // That the file has every key with its default is a test of `zconf` itself.
    let file: BTreeMap<_, _> = read("zinx.yaml").lines().filter_map(entry).collect();
    for (page, later) in [("docs/configuration.md", "*later*"), ("docs/zh/configuration.md", "*以后*")] {
        let rows = rows(page, |head| head.len() == 4);
        let told: BTreeMap<_, _> =
            rows.iter().map(|row| (spans(&row[0])[0].clone(), spans(&row[1])[0].clone())).collect();
        assert_eq!(told, file, "{page}");
        for row in rows {
            let key = &spans(&row[0])[0];
            assert_eq!(row[3].starts_with(later), has_no_effect(key), "{page}: {key}");
        }
    }
}

/// Whether a change of this key gives a warning: its feature does not exist yet.
fn has_no_effect(key: &str) -> bool {
    let default = Config::default();
    let values = "0 7 65536 true false other tlv_big_endian fail wait close Bind kcp";
    let mut changed = values
        .split(' ')
        .filter_map(|value| Config::from_yaml(&format!("{key}: {value}")).ok())
        .filter(|config| *config != default);
    !changed.next().unwrap_or_else(|| panic!("no other value for {key}")).warnings().is_empty()
}

/// `Key: value   # remark`
fn entry(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split('#').next()?.split_once(':')?;
    Some((key.to_string(), value.trim().to_string()))
}

/// The rows of those tables of a page whose head is `wanted`, without their head.
fn rows(page: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<Vec<String>> {
    let text = read(page);
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let in_table = line.starts_with('|') && lines.peek().is_some_and(|next| next.starts_with("|---"));
        if !in_table {
            continue;
        }
        let is_wanted = wanted(&cells(line));
        lines.next();
        while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
            if is_wanted {
                found.push(cells(row));
            }
        }
    }
    found
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect()
}

/// What stands between backticks.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn is_name(span: &str) -> bool {
    span.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':') && !span.starts_with(char::is_numeric)
}

/// Whether the code declares `name` (an item, a field, a variant); of `Type::name`, whether a file that names the type does.
fn is_real(name: &str, sources: &[String]) -> bool {
    let (owner, name) = name.rsplit_once("::").unwrap_or(("", name));
    let mut files = sources.iter().filter(|text| has_word(text, owner));
    files.any(|text| {
        DECLARED.iter().any(|before| has_word_after(text, before, name))
            || [",", " {", "("].iter().any(|after| text.contains(&format!("\n    {name}{after}")))
    })
}

fn has_word(text: &str, word: &str) -> bool {
    word.is_empty() || has_word_after(text, "", word)
}

fn has_word_after(text: &str, before: &str, word: &str) -> bool {
    text.match_indices(&format!("{before}{word}")).any(|(at, found)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        !text[..at].ends_with(is_part) && !text[at + found.len()..].starts_with(is_part)
    })
}

/// The text of every source file below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(page)).unwrap()
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const PORTING: [&str; 4] = [
    "docs/porting-from-python.md",
    "docs/porting-from-go.md",
    "docs/zh/porting-from-python.md",
    "docs/zh/porting-from-go.md",
];

const GREEN: [&str; 2] = ["docs/gevent.md", "docs/zh/gevent.md"];

/// What stands before a name where an item, a field or another name is declared.
const DECLARED: [&str; 9] = ["const ", "fn ", "struct ", "enum ", "trait ", "type ", "mod ", "pub ", "as "];

/// Names of the language and its library.
const OF_RUST: [&str; 16] = [
    "Arc",
    "Bytes",
    "Duration",
    "Mutex",
    "None",
    "Option",
    "Read",
    "Result",
    "SocketAddr",
    "String",
    "Write",
    "false",
    "join",
    "return",
    "std::thread::sleep",
    "u64",
];
