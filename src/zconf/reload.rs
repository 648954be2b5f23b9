//! A configuration read again from where it came, and what has changed in it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::Config;
use super::admin_address::problems_between;
use super::field::Scalar;
use super::keys::{self, Change, KEYS, Key};
use super::layers::Layers;
use super::values::shown;
use crate::error::Result;
use crate::error::config::ConfigErrors;

/// What a server has found when it read its configuration again: see [`Server::reload`](crate::Server::reload).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reload {
    from: String,
    changed: Vec<ConfigChange>,
    unchanged: Vec<ConfigChange>,
}

/// A key whose value differs from the one that the server runs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigChange {
    key: &'static str,
    old: String,
    new: String,
    takes_effect: TakesEffect,
}

/// When a new value of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TakesEffect {
    /// It has already, for all connections.
    AtOnce,
    /// It has, for connections that are made from now on.
    ForNewConnections,
    /// When the server is started again.
    AfterRestart,
    /// Never: the program sets this key itself, and what is set in code comes last.
    SetInCode,
}

/// Where a configuration can be read again.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The file that these variables or this directory offer, and these variables.
    Directory(PathBuf, Vec<(OsString, OsString)>),
    File(PathBuf),
}

impl Reload {
    /// What was read, for a person: `zinx.yaml, then ZINX_TCPPORT`. `code` if the configuration was made in code: then there is
    /// nothing to read.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The keys whose new values are in effect.
    pub fn changed(&self) -> &[ConfigChange] {
        &self.changed
    }

    /// The keys that have a new value where it was read, but keep the old one.
    pub fn unchanged(&self) -> &[ConfigChange] {
        &self.unchanged
    }
}

impl ConfigChange {
    /// The key, as it is written in `zinx.yaml`.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The value that the server ran with, texts in quotes. A secret is not shown.
    pub fn old_value(&self) -> &str {
        &self.old
    }

    /// The value that was read.
    pub fn new_value(&self) -> &str {
        &self.new
    }

    /// When the new value takes effect.
    pub const fn takes_effect(&self) -> TakesEffect {
        self.takes_effect
    }
}

/// `MaxConn: 50, now 100, for new connections`, `TcpPort: 7777 stays, 7778 needs a restart`.
impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new, takes_effect } = self;
        match takes_effect {
            TakesEffect::AtOnce => write!(f, "{key}: {old}, now {new}"),
            TakesEffect::ForNewConnections => write!(f, "{key}: {old}, now {new}, for new connections"),
            TakesEffect::AfterRestart => write!(f, "{key}: {old} stays, {new} needs a restart"),
            TakesEffect::SetInCode => write!(f, "{key}: {old} stays, not {new}: the program sets this key"),
        }
    }
}

impl Config {
    /// This configuration with the changes that a server which runs can take, as they are read now. A key that was set in code,
    /// or is one of `set_in_code`, keeps its value.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem.
    pub(crate) fn read_again(&self, set_in_code: &[&str]) -> Result<(Self, Reload)> {
        let Some(fresh) = self.origin.place.as_deref().map(Place::read).transpose()? else {
            let nothing = Reload { from: "code".to_string(), changed: Vec::new(), unchanged: Vec::new() };
            return Ok((self.clone(), nothing));
        };
        fresh.tell_warnings();
        let mut merged = fresh.clone();
        merged.origin.taken.clear();
        let mut reload = Reload { from: fresh.origin(), changed: Vec::new(), unchanged: Vec::new() };
        for key in KEYS {
            let is_set_in_code = set_in_code.contains(&key.name);
            merged.take_key(key, self, &fresh, is_set_in_code, &mut reload);
        }
        ConfigErrors::none_of(problems_between(&merged).into_iter().collect())?;
        Ok((merged, reload))
    }

    /// Takes one key: from `fresh`, if a server that runs with `running` can take it.
    fn take_key(
        &mut self,
        key: &Key,
        running: &Self,
        fresh: &Self,
        is_set_in_code: bool,
        reload: &mut Reload,
    ) {
        let (old, new, read_before) = (running.scalar(key), fresh.scalar(key), running.read(key));
        let is_set_in_code = is_set_in_code || old != read_before;
        let takes_effect = if is_set_in_code {
            TakesEffect::SetInCode
        } else {
            key.change.takes_effect(running.has_tls_with(fresh))
        };
        let keeps = matches!(takes_effect, TakesEffect::SetInCode | TakesEffect::AfterRestart);
        let is_new = new != if is_set_in_code { read_before } else { old.clone() };
        // What was read before goes with the value, so that the next reload compares with the same.
        let from = if keeps && (is_new || is_set_in_code) { running } else { fresh };
        (key.get_mut)(self).take(&from.scalar(key), key.rule);
        let taken = from.origin.taken.iter().rev().find(|taken| taken.key == key.name);
        self.origin.taken.extend(taken.cloned());
        if is_new {
            let (old, new) = (shown(key.name, old).to_string(), shown(key.name, new).to_string());
            let change = ConfigChange { key: key.name, old, new, takes_effect };
            if keeps { reload.unchanged.push(change) } else { reload.changed.push(change) }
        }
    }

    /// Whether ports that have begun with TLS go on so with what was read now.
    fn has_tls_with(&self, fresh: &Self) -> bool {
        let is_set_in_code = || keys::find("CertFile").is_some_and(|key| self.scalar(key) != self.read(key));
        !self.cert_file.is_empty() && (!fresh.cert_file.is_empty() || is_set_in_code())
    }

    fn scalar(&self, key: &Key) -> Scalar {
        (key.get)(self).scalar()
    }

    /// The value that the layers have given a key, before the program changed it.
    fn read(&self, key: &Key) -> Scalar {
        let taken = self.origin.taken.iter().rev().find(|taken| taken.key == key.name);
        taken.map_or_else(|| Self::default().scalar(key), |taken| taken.value.clone())
    }
}

impl Change {
    const fn takes_effect(self, has_tls: bool) -> TakesEffect {
        match self {
            Self::AtOnce => TakesEffect::AtOnce,
            Self::Tls if !has_tls => TakesEffect::AfterRestart,
            Self::NewConnections | Self::Tls => TakesEffect::ForNewConnections,
            Self::Restart => TakesEffect::AfterRestart,
        }
    }
}

impl Place {
    pub(super) fn directory(dir: &Path, environment: &[(OsString, OsString)]) -> Arc<Self> {
        let ours = environment.iter().filter(|(name, _)| name.to_string_lossy().starts_with("ZINX_"));
        Arc::new(Self::Directory(absolute(dir), ours.cloned().collect()))
    }

    pub(super) fn file(path: &Path) -> Arc<Self> {
        Arc::new(Self::File(absolute(path)))
    }

    fn read(&self) -> Result<Config> {
        let mut layers = Layers::default();
        match self {
            Self::Directory(dir, environment) => layers.take_file_and_environment(dir, environment.clone()),
            Self::File(path) => layers.take_file(path, ""),
        }
        layers.finish().map(|(config, _)| config)
    }
}

/// The same place, wherever the program goes meanwhile.
fn absolute(path: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(changes: &[ConfigChange]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    /// A configuration that was read from `before`, then changed by `set`, then read again from `after`.
    fn read_again(before: &str, set: impl Fn(&mut Config), after: &str) -> (Config, Reload) {
        let mut running = Config::from_yaml(before).unwrap();
        set(&mut running);
        let name = format!("zinx-reload-{:?}-{}.yaml", std::thread::current().id(), std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, after).unwrap();
        running.origin.place = Some(Place::file(&file));
        let (merged, reload) = running.read_again(&["RateBytes"]).unwrap();
        // Once more: what stays is named again, what has changed is not.
        let (_, again) = merged.clone().read_again(&["RateBytes"]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((again.changed(), again.unchanged()), (&[][..], reload.unchanged()));
        (merged, reload)
    }

    #[test]
    fn what_can_change_does_and_the_rest_is_named() {
        let after = "MaxConn: 20\nTcpPort: 8000\nDrainMs: 7\nName: old\n";
        let (config, reload) = read_again("MaxConn: 10\nName: old\nHeartbeatMax: 3", |_| {}, after);
        assert_eq!(
            (config.max_conn, config.tcp_port, config.drain_ms, config.heartbeat_max),
            (20, 7777, 7, 10)
        );
        let changed =
            ["MaxConn: 10, now 20, for new connections", "HeartbeatMax: 3, now 10", "DrainMs: 5000, now 7"];
        assert_eq!(changes(reload.changed()), changed);
        assert_eq!(changes(reload.unchanged()), ["TcpPort: 7777 stays, 8000 needs a restart"]);
    }

    #[test]
    fn what_is_set_in_code_stays() {
        let set = |config: &mut Config| (config.max_conn, config.idle_timeout_ms) = (5, 9);
        let (config, reload) = read_again("MaxConn: 10", set, "MaxConn: 20\nRateBytes: 4");
        assert_eq!((config.max_conn, config.idle_timeout_ms, config.rate_bytes), (5, 9, 0));
        let unchanged = [
            "MaxConn: 5 stays, not 20: the program sets this key",
            "RateBytes: 0 stays, not 4: the program sets this key",
        ];
        assert_eq!(
            (changes(reload.changed()), changes(reload.unchanged())),
            (vec![], unchanged.map(String::from).to_vec())
        );
    }

    #[test]
    fn a_port_without_tls_stays_so_and_secrets_are_not_shown() {
        let (_, reload) =
            read_again("", |_| {}, "CertFile: a\nPrivateKeyFile: b\nAdminToken: 0123456789abcdef");
        assert_eq!(changes(reload.changed()), ["AdminToken: \"\", now \"(not shown)\""]);
        assert_eq!(reload.unchanged().len(), 2);
        let (config, reload) =
            read_again("CertFile: a\nPrivateKeyFile: b", |_| {}, "CertFile: c\nPrivateKeyFile: b");
        assert_eq!((config.cert_file.as_str(), reload.unchanged().len()), ("c", 0));
    }

    #[test]
    fn a_port_whose_certificate_is_set_in_code_takes_the_rest() {
        let set = |config: &mut Config| {
            (config.cert_file, config.private_key_file) = ("a".to_string(), "b".to_string());
        };
        let (config, reload) = read_again("", set, "Alpn: game");
        assert_eq!(changes(reload.changed()), ["Alpn: \"\", now \"game\", for new connections"]);
        assert_eq!((config.cert_file.as_str(), config.private_key_file.as_str()), ("a", "b"));
        let (config, reload) = read_again("CertFile: a\nPrivateKeyFile: b", |_| {}, "Alpn: game");
        assert_eq!(
            (config.cert_file.as_str(), reload.unchanged().len()),
            ("a", 3),
            "without TLS after a restart"
        );
    }
}
