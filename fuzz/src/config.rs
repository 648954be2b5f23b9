//! The reader of configurations, given any text and any environment.

use std::path::Path;

use zinx::zconf::Config;
use zinx::{Error, Result};

/// A text, and the same bytes as lines of `NAME=value` in the environment: what is accepted is within its limits, what
/// is not is told in lines of bounded length.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    check(Config::from_yaml(&text).map(|config| {
        let warnings = config.warnings();
        (config, warnings)
    }));
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let ours = variables.filter(|(name, _)| *name != "CONFIG_FILE_PATH");
    // A folder that does not exist has no file in it.
    let nowhere = Path::new("/nowhere/at/all");
    check(Config::load_from(nowhere, ours.map(|(name, value)| (format!("ZINX_{name}"), value))));
}

fn check(outcome: Result<(Config, Vec<String>)>) {
    let lines: Vec<String> = match outcome {
        Ok((config, warnings)) => {
            config.validate().unwrap();
            warnings
        }
        Err(Error::Config(errors)) => {
            let all = errors.to_string();
            assert_eq!(all.lines().count(), errors.problems().len(), "{all}");
            errors.problems().iter().map(ToString::to_string).collect()
        }
        Err(other) => panic!("{other}"),
    };
    for line in lines {
        assert!(line.lines().count() == 1 && line.len() < LONGEST, "{line:?}");
    }
}

/// Longest line that a problem or a warning may take, in bytes.
const LONGEST: usize = 1000;
