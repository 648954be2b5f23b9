//! The tables of the API by purpose: those in `docs/api.md` name what those in the documentation of the code name, and these leave
//! nothing out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_overview_names_what_the_documentation_of_the_code_names() {
    for page in ["docs/api.md", "docs/zh/api.md"] {
        let text = read(page);
        let sections = text.split("\n## ").skip(2);
        let mut compared = 0;
        for (section, (source, comment)) in sections.zip(TABLES) {
            let named = section.lines().filter(|line| line.starts_with('|')).flat_map(spans).collect();
            assert_eq!(calls(named), calls(of_the_code(source, comment)), "{page}, {source}");
            compared += 1;
        }
        assert_eq!(compared, TABLES.len(), "{page}");
    }
}

#[test]
fn the_tables_of_the_code_leave_no_call_out() {
    let methods = ["impl Server {", "impl dyn IConnection {", "impl dyn IRequest + '_ {"];
    let traits = ["iserver", "iconnection", "irequest"];
    for ((methods, own), (source, comment)) in methods.into_iter().zip(traits).zip(TABLES) {
        let mut calls = BTreeSet::new();
        for text in sources(Path::new(&format!("{ROOT}/src"))) {
            // What servers and clients share is in a macro.
            let shared = methods == "impl Server {" && text.contains("macro_rules! endpoint {");
            let blocks = text.split(methods).skip(1).map(|rest| rest.split("\n}").next().unwrap());
            calls.extend(blocks.flat_map(|block| declared(block, "    pub ")));
            calls.extend(shared.then(|| declared(&text, "            pub ")).into_iter().flatten());
        }
        calls.extend(declared(&read(&format!("src/ziface/{own}.rs")), "    fn "));
        let named = of_the_code(source, comment);
        let missing: Vec<_> =
            calls.difference(&named).filter(|name| !BELOW.contains(&name.as_str())).collect();
        assert!(missing.is_empty() && calls.len() > 10, "{source}: {missing:?}");
    }
}

fn calls(mut named: BTreeSet<String>) -> BTreeSet<String> {
    named.retain(|name| !FEATURES.contains(&name.as_str()));
    named
}

/// The functions that a block declares on lines that begin so.
fn declared(block: &str, begin: &str) -> Vec<String> {
    let lines = block.lines().filter_map(|line| line.strip_prefix(begin));
    let names = lines.map(|line| line.trim_start_matches("const ").trim_start_matches("fn "));
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    names.filter_map(|line| line.split_once(|c| !is_name(c))).map(|(name, _)| name.to_string()).collect()
}

/// What the tables in the comments of a source file link to.
fn of_the_code(source: &str, comment: &str) -> BTreeSet<String> {
    let text = read(source);
    let rows = text.lines().filter_map(|line| line.strip_prefix(comment));
    rows.flat_map(|row| row.split("[`").skip(1))
        .map(|rest| rest.split('`').next().unwrap().to_string())
        .collect()
}

fn spans(row: &str) -> Vec<String> {
    row.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![fs::read_to_string(path).unwrap()] })
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where the tables are, in the order of the page's sections, behind the first of these, which is not of one type.
const TABLES: [(&str, &str); 4] = [
    ("src/znet/server/server.rs", "/// |"),
    ("src/ziface/iconnection.rs", "/// |"),
    ("src/ziface/irequest.rs", "/// |"),
    ("src/green/mod.rs", "//! |"),
];

/// Words in backticks that are no calls: cargo features (`json` is also the name of a call), and `main`.
const FEATURES: [&str; 5] = ["admin", "json", "main", "protobuf", "tls"];

/// What other calls are made of: no program has a need for them.
const BELOW: [&str; 5] =
    ["fmt", "invoke_close_callbacks", "put_close_callback", "send_bytes", "send_payload"];
