//! The pages of `docs/` and the READMEs: their links lead somewhere, both languages say the same, their code compiles.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let folder = page.parent().unwrap();
        for link in links(&prose(&read(&page))) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { folder.join(path) };
            let found = target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", short(&page)));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_maps_name_every_page_of_their_folder() {
    for folder in ["docs", "docs/zh", "docs/tutorial", "docs/zh/tutorial"] {
        let map = read(&root().join(folder).join("README.md"));
        let listed: BTreeSet<_> = links(&map).into_iter().collect();
        for page in names(&root().join(folder)).iter().filter(|page| *page != "README.md") {
            assert!(listed.contains(page), "{folder}/README.md does not name {page}");
        }
    }
}

/// A page has a twin unless it is one of [`ENGLISH_ONLY`]. Twins have the same code and commands, as many headings, and
/// as many rows in their tables.
#[test]
fn both_languages_say_the_same() {
    let english = |folder: &str| names(&root().join("docs").join(folder));
    for folder in ["", "tutorial"] {
        let chinese: BTreeSet<_> = names(&root().join("docs/zh").join(folder));
        let expected: BTreeSet<_> = english(folder)
            .into_iter()
            .filter(|name| !(folder.is_empty() && ENGLISH_ONLY.contains(&name.as_str())))
            .collect();
        assert_eq!(chinese, expected, "docs/zh/{folder}");
        for name in chinese {
            let path = Path::new(folder).join(name);
            let (ours, theirs) = (root().join("docs").join(&path), root().join("docs/zh").join(&path));
            assert_eq!(outline(&read(&ours)), outline(&read(&theirs)), "{}", path.display());
        }
    }
    for name in ["README", "SECURITY", "CONTRIBUTING"] {
        let twin = |end: &str| outline(&read(&root().join(format!("{name}{end}"))));
        assert_eq!(twin(".md"), twin(".zh-CN.md"), "{name}");
    }
}

#[test]
fn the_rust_code_of_every_english_page_is_compiled() {
    let compiled = read(&root().join("src/documents.rs"));
    for page in pages().iter().filter(|page| read(page).contains("\n```rust")) {
        let name = short(page);
        // A twin's code is that of its English page.
        assert!(
            name.contains("zh/") || compiled.contains(&format!("\"{name}\"")),
            "{name} is not in documents.rs"
        );
    }
}

#[test]
fn systemd_takes_the_units_of_the_deployment_page() {
    let page = read(&root().join("docs/deployment.md"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&folder).unwrap();
    let blocks = page.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for (name, unit) in ["my-shop.service", "my-shop.socket"].into_iter().zip(blocks) {
        // A program that is there.
        fs::write(folder.join(name), unit.replace("/usr/local/bin/my-shop", "/bin/true")).unwrap();
    }
    // The page's command that makes a template of the unit, without the words that need root.
    let template = page.lines().find(|line| line.starts_with("sudo sed")).unwrap().replace("sudo ", "");
    let made = Command::new("sh").args(["-c", &template]).current_dir(&folder).output().unwrap();
    assert!(String::from_utf8_lossy(&made.stdout).contains("ZINX_NODENAME=%H-%i\n"), "{made:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "./my-shop.service", "./my-shop.socket", "./my-shop@7001.service"]);
    verify.current_dir(&folder);
    let Ok(said) = verify.output() else {
        return eprintln!("skipped: the units of the deployment page, because there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let of_ours: Vec<_> = said.lines().filter(|line| line.contains("my-shop")).collect();
    assert_eq!(of_ours, Vec::<&str>::new());
}

#[test]
fn the_guides_that_the_front_page_of_the_api_names_are_there() {
    let (front, online) = (read(&root().join("src/lib.rs")), read(&root().join("src/guides.md")));
    let named = |name: &str| format!("[guide-{name}]");
    let mut guides = 0;
    for line in online.lines() {
        let (name, page) = line.split_once("]: https://docs.rs/crate/zinx/latest/source/").unwrap();
        let name = name.trim_start_matches("[guide-");
        assert!(root().join(page).exists(), "{page}");
        assert!(
            front.contains(&format!("{}: file://\", env!(\"CARGO_MANIFEST_DIR\"), \"/{page}\"", named(name))),
            "{name}"
        );
        assert!(front.contains(&format!("]{}", named(name))), "{name} is not on the page");
        guides += 1;
    }
    assert_eq!(front.matches("][guide-").count(), guides, "a guide without a link");
}

/// What twins share: blocks of code without their comments, the depths of headings, the sizes of tables and pictures.
fn outline(text: &str) -> Vec<String> {
    let mut outline = Vec::new();
    let (mut in_block, mut in_picture, mut rows) = (false, false, 0);
    for line in text.lines() {
        let is_row = !in_block && line.starts_with('|');
        if rows > 0 && !is_row {
            outline.push(format!("{rows} rows"));
            rows = 0;
        }
        if line.starts_with("```") {
            in_block = !in_block;
            // The words of a picture are in the language of its page.
            in_picture = line == "```text picture";
            outline.push(line.to_string());
        } else if in_picture {
            outline.push(String::new());
        } else if in_block {
            let code = line.split(" //").next().unwrap_or(line).split(" # ").next().unwrap_or(line);
            if !code.trim_start().starts_with("//") && !code.starts_with("# ") {
                outline.push(code.trim_end().to_string());
            }
        } else if is_row {
            rows += 1;
        } else if line.starts_with('#') {
            outline.push(line.split(' ').next().unwrap().to_string());
        }
    }
    outline
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose = prose + line + "\n";
        }
    }
    prose
}

/// The targets of the links in a text.
fn links(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_string()).collect()
}

/// The anchors that GitHub gives the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Every page: those at the top and what lies below `docs/`.
fn pages() -> Vec<PathBuf> {
    let top = ["README", "SECURITY", "CONTRIBUTING"].into_iter();
    let top = top.flat_map(|page| [format!("{page}.md"), format!("{page}.zh-CN.md")]);
    let mut pages: Vec<_> = top.map(|page| root().join(page)).collect();
    pages.push(root().join("CHANGELOG.md"));
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The pages that lie in a folder itself.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md")).collect()
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

fn short(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Records of how the project is built and measured, for those who work on it.
const ENGLISH_ONLY: [&str; 3] = ["design.md", "performance.md", "reliability.md"];
