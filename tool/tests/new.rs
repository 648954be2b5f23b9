//! `zinx new`: what it makes, and what it refuses. The servers of the templates are built and tested here as they are; `.ci/new` builds
//! the projects.

#![expect(clippy::disallowed_methods, reason = "tests are plain threads")]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

#[path = "../templates/chat/server.rs"]
mod chat;
#[path = "../templates/device/server.rs"]
mod device;
#[path = "../templates/echo/server.rs"]
mod echo;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{watchdog, zinx};

/// An empty folder.
fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn new(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        zinx().current_dir(folder).arg("new").args(args).output().unwrap();
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    (status.code(), said)
}

#[test]
fn a_name_may_be_a_word_of_the_templates() {
    let _watchdog = watchdog();
    let folder = empty("new-words");
    for name in ["myZINX", "NAMES"] {
        assert_eq!(new(&folder, &[name]).0, Some(0));
        let manifest = fs::read_to_string(folder.join(name).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains(&format!("name = \"{name}\"\n")) && !manifest.contains("= ZINX"),
            "{manifest}"
        );
    }
}

#[test]
fn a_name_may_be_a_word_of_yaml() {
    let _watchdog = watchdog();
    let folder = empty("new-yaml");
    for name in ["null", "NULL", "yes"] {
        assert_eq!(new(&folder, &[name]).0, Some(0));
        let checked = zinx().arg("check").arg(folder.join(name).join("zinx.yaml")).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    }
}

#[test]
fn each_template_makes_a_project_that_knows_its_name_and_where_zinx_is() {
    let _watchdog = watchdog();
    let folder = empty("new-templates");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap();
    for template in ["echo", "chat", "device"] {
        let name = format!("my-{template}");
        let (code, said) = new(&folder, &[&name, "--template", template]);
        assert!(code == Some(0) && said.contains(&format!("cd {name}\n")), "{said}");
        let read = |file: &str| fs::read_to_string(folder.join(&name).join(file)).unwrap();
        assert!(read("Cargo.toml").contains(&format!("name = \"{name}\"")));
        assert!(read("Cargo.toml").contains(&format!("zinx = {{ path = \"{}\" }}", root.display())));
        assert!(read("zinx.yaml").contains(&format!("Name: \"{name}\"\n")));
        assert!(read("README.md").contains(&format!("`zinx new {name} --template {template}`")));
        assert_eq!(read("src/main.rs"), include_str!("../templates/main.rs"));
        for file in ["Cargo.toml", "README.md", "zinx.yaml", ".gitignore"] {
            let text = read(file);
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            let left = words.find(|word| ["NAME", "ZINX", "TEMPLATE", "TRY"].contains(word));
            assert_eq!(left, None, "{file}");
        }
        let checked = zinx().arg("check").arg(folder.join(&name).join("zinx.yaml")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&checked.stdout).lines().count(), 1, "{checked:?}");
    }
}

#[test]
fn zinx_comes_from_a_folder_or_a_repository() {
    let _watchdog = watchdog();
    let folder = empty("new-sources");
    let url = "https://example.com/a\"b.git";
    assert_eq!(new(&folder, &["of-git", "--git", url]).0, Some(0));
    let manifest = fs::read_to_string(folder.join("of-git/Cargo.toml")).unwrap();
    assert!(manifest.contains("zinx = { git = \"https://example.com/a\\\"b.git\" }"), "{manifest}");
    let (code, said) = new(&folder, &["of-path", "--path", "of-git"]);
    assert_eq!((code, said.as_str()), (Some(1), "zinx: there is no zinx in of-git\n"));
    assert!(!folder.join("of-path").exists());
    assert_eq!(new(&folder, &["both", "--path", ".", "--git", url]).0, Some(2));
}

#[test]
fn a_name_that_cannot_be_one_is_refused_and_nothing_is_made() {
    let _watchdog = watchdog();
    let folder = empty("new-names");
    for (name, says) in [
        ("", "begins with a letter"),
        ("7up", "begins with a letter"),
        ("a/b", "begins with a letter"),
        ("..", "begins with a letter"),
        ("名字", "begins with a letter"),
        ("zinx", "is taken"),
        ("Std", "is taken"),
        ("proc-macro", "is taken"),
        ("match", "is taken"),
        (&"x".repeat(65), "at most 64"),
    ] {
        let (code, said) = new(&folder, &[name]);
        assert!(code == Some(2) && said.contains(says), "{name:?}: {said}");
    }
    assert_eq!(new(&folder, &["ok", "--template", "none"]).0, Some(2));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn what_is_there_already_stays() {
    let _watchdog = watchdog();
    let folder = empty("new-existing");
    fs::create_dir(folder.join("demo")).unwrap();
    fs::write(folder.join("file"), "mine").unwrap();
    for name in ["demo", "file"] {
        let (code, said) = new(&folder, &[name]);
        assert_eq!(code, Some(1));
        assert_eq!(said, format!("zinx: {name} is here already: choose another name, or remove it\n"));
    }
    assert_eq!(fs::read_dir(folder.join("demo")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "mine");
}
