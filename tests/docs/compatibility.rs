//! The tables of `docs/compatibility.md`: nothing is left open, every row names tests, each test named exists and is run
//! by `cargo test`, and the Chinese page says the same.

use std::fs;
use std::path::Path;

#[test]
fn every_row_names_a_test_that_is_run() {
    let rows = rows("docs/compatibility.md");
    for cells in &rows {
        let feature = &cells[0];
        let named = named(cells);
        assert!(!named.is_empty(), "{feature} names no test");
        for name in named {
            let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("{feature}: {name}"));
            let source = read(&format!("tests/{file}.rs"));
            // An attribute between the two, `ignore` or another, would be a test that is not always run.
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "{feature}: there is no test {name}");
        }
    }
    assert!(rows.len() > 100, "{} rows", rows.len());
}

#[test]
fn no_cell_is_open() {
    for page in ["docs/compatibility.md", "docs/zh/compatibility.md"] {
        for cells in rows(page) {
            for cell in &cells[..4] {
                let open = OPEN.iter().any(|word| cell.to_lowercase().contains(word));
                assert!(!cell.is_empty() && !open, "{page}: {cells:?}");
            }
        }
    }
}

#[test]
fn both_languages_have_the_same_rows() {
    let tests = |page| rows(page).iter().map(|cells| named(cells).join(" ")).collect::<Vec<_>>();
    assert_eq!(tests("docs/compatibility.md"), tests("docs/zh/compatibility.md"));
}

/// The rows of all tables but their titles, in cells. A table of figures has another title, and is left out.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let tables = text.split("\n\n").filter(|part| TITLES.iter().any(|title| part.starts_with(title)));
    let lines = tables.flat_map(|table| table.lines().skip(2));
    lines
        .map(|row| {
            let cells: Vec<_> =
                row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
            assert_eq!(cells.len(), 5, "{page}: {row}");
            cells
        })
        .collect()
}

fn named(cells: &[String]) -> Vec<String> {
    cells[4].split('`').skip(1).step_by(2).map(String::from).collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const TITLES: [&str; 4] = ["| feature |", "| what |", "| 功能 |", "| 内容 |"];

/// What a cell says that was not filled.
const OPEN: [&str; 7] = ["not checked", "later", "todo", "tbd", "?", "未核对", "以后"];
