//! `zinx new`: a project outside of this repository, with a server, its tests and its configuration.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The name of the project, and of the folder that is made for it here.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What the server does to begin with.
    #[arg(long, value_name = "TEMPLATE", default_value = "echo")]
    template: Template,
    /// Uses the zinx in this folder. Without --path and --git: the one that this program was built from.
    #[arg(long, value_name = "DIR", conflicts_with = "git")]
    path: Option<PathBuf>,
    /// Uses the zinx of this git repository.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Template {
    /// Answers each message with itself.
    Echo,
    /// Users log in, join rooms, and talk to those there.
    Chat,
    /// Devices with frames of their own, a CRC, and commands that are repeated until they are confirmed.
    Device,
}

impl Template {
    const fn server(self) -> &'static str {
        match self {
            Self::Echo => include_str!("../templates/echo/server.rs"),
            Self::Chat => include_str!("../templates/chat/server.rs"),
            Self::Device => include_str!("../templates/device/server.rs"),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Chat => "chat",
            Self::Device => "device",
        }
    }

    /// What to try once it runs.
    const fn first_steps(self) -> &'static str {
        match self {
            Self::Echo => "In a second terminal, `zinx send 127.0.0.1:7777 1 hello` prints the answer.",
            Self::Chat => {
                "In further terminals, `zinx repl 127.0.0.1:7777` is a client: type `1 ann`, `10 lobby`, `11 hello`."
            }
            Self::Device => "The test in `src/server.rs` is a device: it shows what one sends and hears.",
        }
    }
}

/// Checks a name as Cargo does, so that the project can be built.
fn name(text: &str) -> Result<String, String> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !begins_well || !is_plain {
        return Err("a name begins with a letter, and has letters, digits, - and _ (a-z, 0-9)".to_string());
    }
    if text.len() > LONGEST_NAME {
        return Err(format!("a name has at most {LONGEST_NAME} letters"));
    }
    if TAKEN.contains(&text.replace('-', "_").to_lowercase().as_str()) {
        return Err("this name is taken by Rust, Cargo or zinx".to_string());
    }
    Ok(text.to_string())
}

/// Makes the project, and says how to go on.
pub(crate) fn run(order: &Order) -> ExitCode {
    match make(order) {
        Ok(()) => {
            let (name, template) = (&order.name, order.template.word());
            // Whoever reads what we print may have had enough.
            let _ = writeln!(
                io::stdout(),
                "made {name} from the template {template}; go on with\n\n  cd {name}\n  cargo test\n  cargo run"
            );
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("zinx: {words}");
            ExitCode::FAILURE
        }
    }
}

fn make(order: &Order) -> Result<(), String> {
    let zinx = dependency(order)?;
    let folder = Path::new(&order.name);
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is here already: choose another name, or remove it", folder.display())
        }
        _ => format!("make the folder {}: {error}", folder.display()),
    })?;
    let made = write(folder, order, &zinx);
    if made.is_err() {
        // It is ours, and of no use.
        let _ = fs::remove_dir_all(folder);
    }
    made
}

fn write(folder: &Path, order: &Order, zinx: &str) -> Result<(), String> {
    let fill = |text: &str| text.replace("NAME", &order.name);
    let manifest = include_str!("../templates/Cargo.toml.txt");
    // Not within what is filled in: a name, or a path, may be any word.
    let manifest = manifest
        .split_once("ZINX")
        .map_or_else(|| fill(manifest), |(before, after)| format!("{}{zinx}{}", fill(before), fill(after)));
    let readme = include_str!("../templates/README.md")
        .replace("TRY", order.template.first_steps())
        .replace("TEMPLATE", order.template.word());
    let files = [
        ("Cargo.toml", manifest),
        ("README.md", fill(&readme)),
        (".gitignore", include_str!("../templates/gitignore.txt").to_string()),
        ("zinx.yaml", fill(include_str!("../templates/zinx.yaml"))),
        ("src/main.rs", include_str!("../templates/main.rs").to_string()),
        ("src/server.rs", order.template.server().to_string()),
    ];
    let failed = |path: &Path, error: io::Error| format!("write {}: {error}", path.display());
    fs::create_dir(folder.join("src")).map_err(|error| failed(&folder.join("src"), error))?;
    files.iter().try_for_each(|(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))
    })
}

/// The value of the dependency `zinx` in Cargo.toml.
fn dependency(order: &Order) -> Result<String, String> {
    if let Some(url) = &order.git {
        return Ok(format!("{{ git = {} }}", quoted(url)));
    }
    let (folder, else_what) = match &order.path {
        Some(folder) => (folder.as_path(), ""),
        None => (Path::new(SOURCE), "; zinx is not on crates.io yet: say with --path or --git where it is"),
    };
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.lines().any(|line| line.trim() == "name = \"zinx\"") {
        return Err(format!("there is no zinx in {}{else_what}", folder.display()));
    }
    let whole = folder.canonicalize().map_err(|error| format!("find {}: {error}", folder.display()))?;
    let path = whole.to_str().ok_or_else(|| format!("{} is not in UTF-8", whole.display()))?;
    Ok(format!("{{ path = {} }}", quoted(path)))
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Where this program was built from.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const LONGEST_NAME: usize = 64;

/// Names that Cargo refuses for programs, and those that would be there twice.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "build", "const", "continue", "core", "crate", "deps", "do",
    "dyn", "else", "enum", "examples", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "incremental", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "proc_macro", "pub", "ref", "return", "self", "static", "std", "struct",
    "super", "test", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    "log", "zinx",
];
