//! The fault table of `docs/reliability.md`: it has every row, and the tests it names exist.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_fault_has_its_row_and_what_is_said_to_be_shown_names_a_test() {
    let page = read("docs/reliability.md");
    let rows: Vec<Vec<_>> = page
        .lines()
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .filter(|cells: &Vec<&str>| cells.len() == 4 && cells[0].parse::<usize>().is_ok())
        .collect();
    let numbers: Vec<_> = rows.iter().map(|cells| cells[0].to_string()).collect();
    assert_eq!(numbers, (1..=FAULTS).map(|n| n.to_string()).collect::<Vec<_>>());
    for cells in rows {
        assert!(["shown", "in part", "open"].contains(&cells[2]), "row {}: {}", cells[0], cells[2]);
        assert_eq!(
            cells[2] == "open",
            cells[3].is_empty(),
            "row {}: {} with {:?}",
            cells[0],
            cells[2],
            cells[3]
        );
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let page = read("docs/reliability.md");
    let named: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.rsplit_once("::"))
        .filter(|(file, _)| !["file", "group/file"].contains(file))
        .collect();
    assert!(named.len() > FAULTS, "only {} tests are named", named.len());
    for (file, test) in named {
        // Tests in a module of a folder are named with it.
        let source = read(&format!("tests/{}.rs", file.replace("::", "/")));
        assert!(source.contains(&format!("#[test]\nfn {test}()")), "there is no test {file}::{test}");
    }
}

fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rows of the fault table.
const FAULTS: usize = 59;
