//! The configuration of a server: defaults < file < environment < code, checked once and passed down.
//!
//! Nothing here is global: a [`Config`] is a value, two servers may have two. Keys have Zinx's names, so an old
//! `zinx.json` loads unchanged (JSON is YAML); every problem is reported with file, line, key, what was found and
//! what was expected, all at once. This module does not open sockets, resolve names or start anything.
//!
//! ```
//! use zinx::zconf::{Config, QueueFull};
//!
//! # fn main() -> zinx::Result<()> {
//! let mut config = Config::from_yaml("TcpPort: 0\nQueueFull: drop_oldest\n")?;
//! assert_eq!(config.queue_full, QueueFull::DropOldest);
//!
//! config.max_conn = 0;
//! let error = config.validate().unwrap_err();
//! assert_eq!(error.to_string(), "MaxConn: found 0, expected a whole number from 1 to 16777216");
//! # Ok(())
//! # }
//! ```

// What users hold: the struct and its choices.
mod admin_address;
mod choices;
mod config;
mod defaults;
mod mode;
mod networks;
mod origin;
mod values;

// From text to fields: the layers in order, the reader of YAML, the table of keys, what a field accepts.
mod field;
mod keys;
mod layers;
mod nearest;
mod yaml;

// Read again, while a server runs with it.
mod reload;

pub use crate::error::config::{ConfigErrors, ConfigProblem};
#[cfg(feature = "admin")]
pub(crate) use admin_address::is_of_this_machine;
pub use choices::{MaxConnPolicy, OverRate, PackKind, QueueFull, WorkerMode};
pub use config::Config;
pub use mode::Mode;
pub use networks::Networks;
pub use reload::{ConfigChange, Reload, TakesEffect};
pub use values::ConfigValue;
pub(crate) use values::without_password;
