//! Reading the configuration again while the server runs.
//!
//! What can fail comes first and changes nothing. Then the new configuration replaces the old one, and what goes by values of its
//! own is told: the limits looked at for each message, the rates, the heartbeat, the rules of WebSocket, the certificates, the
//! level of the log.

#[cfg(not(feature = "tls"))]
use std::convert::Infallible;

use super::core::Core;
use super::needs::check_limits;
use super::notify;
use super::server::Server;
use super::transports;
use crate::error::Result;
use crate::zconf::{Config, Reload};
use crate::zlog;
#[cfg(feature = "tls")]
use crate::znet::transport::certificates::Current;

impl Server {
    /// Reads the configuration again from where it came, and takes what can change while the server runs. SIGHUP and the admin
    /// plane's `/reload` do the same. Connections stay; `docs/operations.md` lists which keys change, and for whom.
    ///
    /// A key that was set in code keeps its value, as at the start. A configuration that was made in code alone cannot be read
    /// again; the files of certificates are. Before the start it does the same, but certificates are read by the start.
    ///
    /// It reads files, so a handler should call it on a thread for [`blocking`](crate::green::blocking) work.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with every problem of the file and of the environment, and
    /// [`Error::Io`](crate::Error::Io) if certificates cannot be used. Nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::Config;
    ///
    /// # fn main() -> zinx::Result<()> {
    /// # let file = std::env::temp_dir().join(format!("zinx-doc-reload-{}.yaml", std::process::id()));
    /// std::fs::write(&file, "MaxConn: 100")?;
    /// let server = zinx::new_server_with_config(Config::from_file(&file)?)?;
    /// std::fs::write(&file, "MaxConn: 200\nTcpPort: 9999")?;
    /// let reload = server.reload()?;
    /// assert_eq!(reload.changed()[0].to_string(), "MaxConn: 100, now 200, for new connections");
    /// assert_eq!(reload.unchanged()[0].to_string(), "TcpPort: 7777 stays, 9999 needs a restart");
    /// # std::fs::remove_file(&file)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload(&self) -> Result<Reload> {
        self.core().reload()
    }
}

impl Core {
    /// Reads the configuration again, and says in the log what has become of it.
    pub(crate) fn reload(&self) -> Result<Reload> {
        // Before the start, and in a stop, the manager is told something else.
        let tells = self.is_running();
        if tells {
            notify::reloading();
        }
        let reload = self.read_again().inspect_err(|error| {
            log::error!("reload: nothing has changed: {error}");
        });
        if tells {
            notify::reloaded();
        }
        reload
    }

    fn read_again(&self) -> Result<Reload> {
        // One after the other. Nothing below waits for a coroutine: it reads files.
        let _one = self.reloading.lock();
        let before = self.config();
        let set_in_code = if self.talk().rates.are_set_in_code() { RATES } else { &[] };
        let (config, reload) = before.read_again(set_in_code)?;
        transports::check(&config)?;
        let certificates = self.read_certificates(&config)?;
        self.take_config(&before, config);
        self.take_certificates(certificates);
        say(&reload);
        Ok(reload)
    }

    fn take_config(&self, before: &Config, config: Config) {
        self.bounds().set(&config);
        self.talk().rates.configure(&config);
        if let Some(heart) = self.heart() {
            heart.configure(config.heartbeat_max);
        }
        #[cfg(feature = "websocket")]
        self.ws_rules.configure(&config);
        if config.log_isolation_level != before.log_isolation_level {
            zlog::set_isolation_level(config.log_isolation_level);
        }
        let more = config.max_conn > before.max_conn;
        self.set_config(config);
        if more {
            check_limits(&self.config());
        }
        // A connection may be over a shorter limit of time already, and one that waits for a place may have it.
        self.clock().due_by(0);
        self.backoff().end_pause();
    }

    #[cfg(feature = "tls")]
    fn read_certificates(&self, config: &Config) -> Result<Option<Current>> {
        self.certificates.get().map(|certificates| certificates.prepare(config)).transpose()
    }

    #[cfg(feature = "tls")]
    fn take_certificates(&self, read: Option<Current>) {
        read.into_iter()
            .zip(self.certificates.get())
            .for_each(|(read, certificates)| certificates.take(read));
    }

    #[cfg(not(feature = "tls"))]
    const fn read_certificates(&self, _: &Config) -> Result<Option<Infallible>> {
        Ok(None)
    }

    #[cfg(not(feature = "tls"))]
    const fn take_certificates(&self, _: Option<Infallible>) {}
}

fn say(reload: &Reload) {
    let (from, changed, unchanged) = (reload.from(), reload.changed(), reload.unchanged());
    log::info!("reload: {from}: {} keys have changed, {} have not", changed.len(), unchanged.len());
    changed.iter().for_each(|change| log::info!("reload: {change}"));
    unchanged.iter().for_each(|change| log::warn!("reload: {change}"));
}

/// The keys that `set_rate_limits` stands for.
const RATES: &[&str] =
    &["OverRate", "RateMessages", "RateBytes", "RateAddressMessages", "RateAddressBytes", "RateAddresses"];
