//! The layers in their order: each writes over the one before, problems and warnings add up.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::Config;
use super::admin_address::problems_between;
use super::field::{Scalar, shorten};
use super::keys::{self, KEYS, Key};
use super::nearest::nearest;
use super::origin::{Origin, Source, Taken};
use super::reload::Place;
use super::values::shown;
use super::yaml;
use crate::error::Result;
use crate::error::config::{ConfigErrors, ConfigProblem};

/// A configuration in the making.
#[derive(Default)]
pub(super) struct Layers {
    config: Config,
    /// The file that was read, and the variables that have set a key.
    file: Option<PathBuf>,
    place: Option<Arc<Place>>,
    variables: Vec<String>,
    /// The keys that were set, and by which layer.
    taken: Vec<Taken>,
    notes: Vec<String>,
    problems: Vec<ConfigProblem>,
}

impl Layers {
    /// Takes the file that the environment or the directory offers, then the environment.
    pub(super) fn take_file_and_environment(
        &mut self,
        dir: &Path,
        mut environment: Vec<(OsString, OsString)>,
    ) {
        self.place = Some(Place::directory(dir, &environment));
        // The system gives them in no order; reports should have one.
        environment.sort();
        match environment.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty()) {
            Some((name, path)) => self.take_file(&dir.join(path), &name.to_string_lossy()),
            None => self.take_first_file(dir),
        }
        self.take_environment(&environment);
    }

    /// Takes the first file of those that have a name of ours, and says of the others that they are not read.
    fn take_first_file(&mut self, dir: &Path) {
        let mut there = FILES.iter().filter(|file| is_there(&dir.join(file)));
        let Some(first) = there.next() else { return };
        self.take_file(&dir.join(first), "");
        for other in there {
            self.notes.push(format!("{other} is not read, because there is {first}: keep one of them"));
        }
    }

    /// Takes a file that must be there; `named_by` is the variable that names it, if any.
    pub(super) fn take_file(&mut self, path: &Path, named_by: &str) {
        let unreadable = |line, found: String| ConfigProblem {
            file: Some(path.to_path_buf()),
            line,
            key: named_by.to_string(),
            found,
            expected: "a readable file of UTF-8 text".to_string(),
        };
        self.place.get_or_insert_with(|| Place::file(path));
        self.file = Some(path.to_path_buf());
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.take_text(&text, Some(path)),
            Ok(Err(error)) if UTF16_MARKS.iter().any(|mark| error.as_bytes().starts_with(mark)) => {
                self.problems.push(unreadable(None, "text in UTF-16".to_string()));
            }
            Ok(Err(error)) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
                self.problems.push(unreadable(Some(line), "bytes that are not UTF-8".to_string()));
            }
            Err(error) => self.problems.push(unreadable(None, format!("no readable file ({error})"))),
        }
    }

    /// Takes YAML or JSON, which was read from `file`.
    pub(super) fn take_text(&mut self, text: &str, file: Option<&Path>) {
        let (text, file) = (yaml::tidy(text), file.map(Path::to_path_buf));
        match yaml::entries(&text) {
            Ok(entries) => self.take_entries(entries, &text, file.as_ref()),
            Err(broken) => self.problems.push(ConfigProblem {
                file,
                line: broken.line,
                key: String::new(),
                found: format!("broken YAML ({})", broken.what),
                expected: "lines of the form \"Key: value\", or one JSON object".to_string(),
            }),
        }
    }

    /// Gives the result, or every problem.
    pub(super) fn finish(self) -> Result<(Config, Vec<String>)> {
        let Self { mut config, file, place, variables, taken, notes, mut problems } = self;
        problems.extend(problems_between(&config));
        ConfigErrors::none_of(problems)?;
        let mut warnings = config.warnings();
        warnings.extend(notes);
        config.origin =
            Origin { file, place, variables, taken, warnings: warnings.clone(), told: Arc::default() };
        Ok((config, warnings))
    }

    fn take_entries(&mut self, entries: Vec<(String, Scalar)>, text: &str, file: Option<&PathBuf>) {
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for (index, (name, value)) in entries.iter().enumerate() {
            let located = self.problems.len() < LOCATED;
            let line_of = |index| if located { yaml::line_of(text, index) } else { None };
            let taken = match keys::find(name) {
                Some(key) => match seen.iter().find(|(name, _)| *name == key.name) {
                    Some((_, first)) => Err(repeated(key, line_of(*first))),
                    None => {
                        seen.push((key.name, index));
                        self.set(key, value, Source::File)
                    }
                },
                None if keys::is_ignored(name) => {
                    self.notes.push(format!(
                        "{name} is a key of old versions of Zinx and has no effect; remove it"
                    ));
                    Ok(())
                }
                None => Err(unknown(name)),
            };
            if let Err(problem) = taken {
                let (line, key) = (line_of(index), shorten(name));
                self.problems.push(ConfigProblem { file: file.cloned(), line, key, ..problem });
            }
        }
    }

    fn take_environment(&mut self, environment: &[(OsString, OsString)]) {
        let mut seen: Vec<&str> = Vec::new();
        for (variable, value) in environment {
            let Some((variable, name)) = zinx_variable(variable) else { continue };
            let Some(key) = keys::find(name) else {
                self.notes.push(unknown_variable(variable, name));
                continue;
            };
            let taken = if seen.contains(&key.name) {
                Err(repeated(key, None))
            } else {
                seen.push(key.name);
                self.variables.push(shorten(variable));
                self.set(key, &variable_value(key, &self.config, value), Source::Environment)
            };
            if let Err(problem) = taken {
                self.problems.push(ConfigProblem { key: shorten(variable), ..problem });
            }
        }
    }

    /// Sets a key; the problem has no place yet.
    fn set(&mut self, key: &Key, value: &Scalar, source: Source) -> std::result::Result<(), ConfigProblem> {
        let field = (key.get_mut)(&mut self.config);
        if field.take(value, key.rule) {
            self.taken.push(Taken { key: key.name, value: field.scalar(), source });
            return Ok(());
        }
        Err(problem(shown(key.name, value.clone()).to_string(), field.expected(key.rule)))
    }
}

/// Whether there is something at this path, readable or not: what is not readable must not be passed over. There is nothing in a
/// `conf` that is no folder.
fn is_there(path: &Path) -> bool {
    let is_none = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    !fs::metadata(path).is_err_and(|error| is_none(error.kind()))
}

/// Splits `ZINX_NAME` into itself and `NAME`; `None` for the variables of others and for the one that names the file.
fn zinx_variable(variable: &OsStr) -> Option<(&str, &str)> {
    let variable = variable.to_str().filter(|variable| *variable != FILE_VARIABLE)?;
    Some((variable, variable.strip_prefix(PREFIX)?))
}

fn variable_value(key: &Key, config: &Config, value: &OsStr) -> Scalar {
    match value.to_str() {
        Some(text) => Scalar::like(&(key.get)(config).scalar(), text),
        None => Scalar::Other("text that is not UTF-8".to_string()),
    }
}

fn unknown_variable(variable: &str, name: &str) -> String {
    let nearest = nearest(name, KEYS.iter().map(|key| key.name)).to_ascii_uppercase();
    let variable = shorten(variable);
    format!("{} is not a variable of zinx: the nearest is {PREFIX}{nearest}", variable.escape_debug())
}

fn unknown(name: &str) -> ConfigProblem {
    let nearest = nearest(name, KEYS.iter().map(|key| key.name));
    problem("an unknown key".to_string(), format!("a known one: the nearest is {nearest}"))
}

fn repeated(key: &Key, first: Option<usize>) -> ConfigProblem {
    let name = key.name;
    let first = first.map_or_else(|| "it is set".to_string(), |line| format!("line {line} sets it"));
    problem("the key again".to_string(), format!("{name} only once: {first} already"))
}

fn problem(found: String, expected: String) -> ConfigProblem {
    ConfigProblem { found, expected, ..ConfigProblem::default() }
}

/// What an environment variable that sets a key begins with.
const PREFIX: &str = "ZINX_";
/// The environment variable that names the file.
const FILE_VARIABLE: &str = "ZINX_CONFIG_FILE_PATH";
/// Where the file is looked for when no variable names it; the first that is there is taken, alone.
const FILES: &[&str] =
    &["zinx.yaml", "zinx.yml", "zinx.json", "conf/zinx.yaml", "conf/zinx.yml", "conf/zinx.json"];
/// What a text in UTF-16 begins with.
const UTF16_MARKS: &[&[u8]] = &[b"\xff\xfe", b"\xfe\xff"];
/// Problems whose line is looked for. Each costs a reading of the file: 2000 of them would take seconds, and a file
/// with that many is another program's.
const LOCATED: usize = 100;
