//! English that no page uses: see the table in `docs/glossary.md` for the words that it does use.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_english_page_uses_the_words_that_are_left_out() {
    let mut found = Vec::new();
    for page in pages() {
        let prose = words_of(&fs::read_to_string(root().join(&page)).unwrap());
        for phrase in LEFT_OUT {
            if prose.contains(&format!(" {phrase} ")) {
                found.push(format!("{}: {phrase}", page.display()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn phrases_are_found_across_lines_and_not_in_code() {
    let text = "It waits for\never.\n\n```text\nin vain\n```\n\n| `mend()` | (nobody) |\n";
    let words = words_of(text);
    assert!(words.contains(" for ever ") && words.contains(" nobody "), "{words}");
    assert!(!words.contains(" in vain ") && !words.contains(" mend "), "{words}");
}

/// The words of a page in lower case, each between blanks: without blocks of code, and without what is in backticks.
fn words_of(text: &str) -> String {
    let mut in_block = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    });
    let prose: Vec<_> = lines.collect();
    let outside: Vec<_> = prose.join(" ").split('`').step_by(2).map(str::to_lowercase).collect();
    let words = outside.join(" ` ");
    let words = words.split(|c: char| !c.is_alphanumeric() && c != '`' && c != '\'');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

/// The English pages. `CHANGELOG.md` and `docs/design.md` are records: they stay as they were written.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<_> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(PathBuf::from).into();
    for folder in ["docs", "docs/tutorial"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
        pages.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages.retain(|page| !page.ends_with("design.md"));
    pages
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the pages used to say, and what they say instead.
const LEFT_OUT: [&str; 18] = [
    "comes of it",    // outcome
    "what comes of",  // the outcome of
    "mend",           // fix
    "mended",         // fixed
    "for ever",       // forever, or no limit
    "in vain",        // without success, or the time is up
    "nobody",         // no one, no other connection
    "nobody's",       //
    "somebody",       // someone, a client
    "everybody",      // all, every connection
    "by whomever",    // whoever closes it
    "its kin",        // similar calls
    "be it that",     // even if
    "of chance",      // random
    "and beside it",  // and in a second terminal
    "a connection a", // per connection
    "a message a",    // per message
    "goes on on",     // continues on
];
