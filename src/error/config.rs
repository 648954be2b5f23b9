//! What is wrong with a configuration, a line a problem.

use std::fmt;
use std::path::PathBuf;

use super::Error;

/// Every problem of a configuration, in the order found; never empty.
///
/// `Display` prints one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<ConfigProblem>,
}

impl ConfigErrors {
    /// `Ok` if there is no problem, else all of them as one error.
    pub(crate) fn none_of(problems: Vec<ConfigProblem>) -> Result<(), Error> {
        if problems.is_empty() { Ok(()) } else { Err(Error::Config(Self { problems })) }
    }

    /// Returns the problems: first those of the file, then those of the environment.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One problem of a configuration: where, what was found, what was expected.
///
/// Printed as `zinx.yaml:12: MaxConn: found "many", expected a whole number from 1 to 16777216`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The file; `None` for the environment, for a text in memory and for values set in code.
    pub file: Option<PathBuf>,
    /// The line in the file or text, from 1; `None` if there are no lines, and after the first 100 problems.
    pub line: Option<usize>,
    /// The key as it was written, or the environment variable; empty when the whole file is meant.
    pub key: String,
    /// What was found, texts in quotes.
    pub found: String,
    /// What was expected, with its limits.
    pub expected: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key.escape_debug())?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_only_the_places_it_has() {
        let mut problem = ConfigProblem { found: "x".into(), expected: "y".into(), ..Default::default() };
        assert_eq!(problem.to_string(), "found x, expected y");
        problem.key = "Max\nConn".into();
        assert_eq!(problem.to_string(), "Max\\nConn: found x, expected y");
        problem.line = Some(3);
        assert_eq!(problem.to_string(), "line 3: Max\\nConn: found x, expected y");
        problem.file = Some("a.yaml".into());
        assert_eq!(problem.to_string(), "a.yaml:3: Max\\nConn: found x, expected y");
        problem.line = None;
        assert_eq!(problem.to_string(), "a.yaml: Max\\nConn: found x, expected y");
    }
}
