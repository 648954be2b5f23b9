//! Where a configuration comes from, and what there is to say about it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::field::Scalar;
use super::reload::Place;

/// Where a configuration comes from. All are equal: two configurations are the same when their keys are.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// Where it can be read again; `None` if it was made in code.
    pub(super) place: Option<Arc<Place>>,
    /// The variables that set a key, in alphabetical order.
    pub(super) variables: Vec<String>,
    /// The keys that were set, in order, and by which layer.
    pub(super) taken: Vec<Taken>,
    /// What its user should know.
    pub(super) warnings: Vec<String>,
    /// Whether the warnings have been logged, on this copy or another.
    pub(super) told: Arc<AtomicBool>,
}

/// A key that a layer has set.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) key: &'static str,
    pub(super) value: Scalar,
    pub(super) source: Source,
}

/// The layers below code.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    File,
    Environment,
}

impl Origin {
    /// Logs the warnings once. While there is no logger, they are kept.
    pub(super) fn tell(&self) {
        if log::max_level() < log::Level::Warn || self.told.swap(true, Ordering::AcqRel) {
            return;
        }
        for warning in &self.warnings {
            log::warn!(target: "zinx::zconf", "{warning}");
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// `zinx.yaml, then ZINX_HOST, ZINX_TCPPORT`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => file.display().fmt(f)?,
            None => f.write_str("defaults")?,
        }
        if self.variables.is_empty() { Ok(()) } else { write!(f, ", then {}", self.variables.join(", ")) }
    }
}
