//! `SECURITY.md`, in both languages: the defaults it rests on are the defaults, and the tests it names exist.

use std::fs;
use std::path::{Path, PathBuf};

use zinx::Config;

#[test]
fn every_default_it_names_is_the_default() {
    for page in PAGES {
        let named: Vec<_> = spans(page).into_iter().filter(|span| span.contains(": ")).collect();
        assert!(named.len() > 15, "{page} names {} defaults", named.len());
        for entry in named {
            let config = Config::from_yaml(&entry).unwrap_or_else(|problems| panic!("{page}: {problems}"));
            assert_eq!(config, Config::default(), "{page}: {entry}");
        }
    }
}

#[test]
fn every_test_it_names_exists() {
    for page in PAGES {
        let spans = spans(page);
        let named: Vec<_> = spans.iter().filter_map(|span| span.split_once("::")).collect();
        assert!(named.len() > 12, "{page} names {} tests", named.len());
        for (file, test) in named {
            let source = read(&format!("tests/{file}.rs"));
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "{page}: there is no {file}::{test}");
        }
    }
}

#[test]
fn both_languages_name_the_same() {
    let names = PAGES.map(|page| {
        let of_code = |span: &String| span.contains(": ") || span.contains("::");
        spans(page).into_iter().filter(of_code).collect::<Vec<_>>()
    });
    assert_eq!(names[0], names[1]);
}

/// What stands between backticks.
fn spans(page: &str) -> Vec<String> {
    read(page).split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const PAGES: [&str; 2] = ["SECURITY.md", "SECURITY.zh-CN.md"];
