//! Every key with its value, and where that comes from.

use serde::Serialize;

use super::Config;
use super::field::Scalar;
use super::keys::{KEYS, Key};
use super::origin::Source;

/// A key of a configuration: its value, and the layer that has set it. See [`Config::values`].
#[derive(Clone, Debug, Serialize)]
pub struct ConfigValue {
    key: &'static str,
    value: Scalar,
    origin: &'static str,
}

impl ConfigValue {
    /// The key, as it is written in `zinx.yaml`.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The value, texts in quotes. A secret is not shown.
    pub fn value(&self) -> String {
        self.value.to_string()
    }

    /// The layer that has set it: `default`, `file`, `environment` or `code`.
    pub const fn origin(&self) -> &'static str {
        self.origin
    }
}

impl Config {
    /// Every key with its value and the layer that has set it, in the order of `zinx.yaml`: to show what a server runs with.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::Config;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// let mut config = Config::from_yaml("MaxConn: 10")?;
    /// config.tcp_port = 0;
    /// let origin = |key| config.values().iter().find(|value| value.key() == key).unwrap().origin();
    /// assert_eq!((origin("MaxConn"), origin("TcpPort"), origin("Host")), ("file", "code", "default"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn values(&self) -> Vec<ConfigValue> {
        let defaults = Self::default();
        let of_key = |key: &Key| {
            let value = (key.get)(self).scalar();
            let taken = self.origin.taken.iter().rev().find(|taken| taken.key == key.name);
            let origin = match taken {
                Some(taken) if taken.value == value => match taken.source {
                    Source::File => "file",
                    Source::Environment => "environment",
                },
                None if value == (key.get)(&defaults).scalar() => "default",
                _ => "code",
            };
            ConfigValue { key: key.name, value: shown(key.name, value), origin }
        };
        KEYS.iter().map(of_key).collect()
    }
}

/// A value as others may see it.
pub(super) fn shown(key: &str, value: Scalar) -> Scalar {
    match value {
        Scalar::Text(secret) if SECRETS.contains(&key) && !secret.is_empty() => {
            Scalar::Text("(not shown)".to_string())
        }
        Scalar::Whole(_) | Scalar::Other(_) if SECRETS.contains(&key) => {
            Scalar::Other("what is no text (not shown)".to_string())
        }
        Scalar::Text(url) if key == "Cluster" => Scalar::Text(without_password(&url)),
        value => value,
    }
}

/// A URL whose user and password are not shown, also if it is none.
pub(crate) fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://(not shown)@{host}"),
        (None, Some((_, host))) => format!("(not shown)@{host}"),
        _ => url.to_string(),
    }
}

const SECRETS: &[&str] = &["AdminToken"];
