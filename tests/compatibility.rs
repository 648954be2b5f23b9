//! The tables of `docs/compatibility.md`: every row names a test, and each test named exists.

use std::fs;
use std::path::Path;

#[test]
fn every_row_names_a_test_that_exists() {
    let page = read("docs/compatibility.md");
    let mut rows = 0;
    for row in page.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| feature") && !line.starts_with("| what ")
    }) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let &[feature, .., tests] = &cells[..] else { panic!("{row}") };
        assert_eq!(cells.len(), 5, "{feature}");
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{feature} names no test");
        for name in named {
            let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("{feature}: {name}"));
            let source = read(&format!("tests/{file}.rs"));
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "{feature}: there is no test {name}");
        }
        rows += 1;
    }
    assert!(rows > 80, "{rows} rows");
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
