//! A script: what is done in Redis in one step.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// A script that each new connection to Redis loads.
pub(super) struct Step(LazyLock<Script>, &'static str);

impl Step {
    pub(super) const fn new(make: fn() -> Script, code: &'static str) -> Self {
        Self(LazyLock::new(make), code)
    }

    /// The command that runs it, with this key first; arguments follow.
    pub(super) fn on(&self, key: &str) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(1).arg(key);
        command
    }

    /// The command that loads it.
    pub(super) fn load(&self) -> Cmd {
        cmd("SCRIPT").arg("LOAD").arg(self.1).clone()
    }
}

/// What each script begins with: whether a node, by what it says of itself, uses a newer connection than this one.
macro_rules! is_stale {
    () => {
        "local function is_stale(facts, connection)
  return tonumber(redis.call('HGET', facts, 'o') or 0) > tonumber(connection)
end
local STALE = 'STALE a newer connection of this node is in use'
"
    };
}

macro_rules! step {
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        pub(super) static $name: Step =
            Step::new(|| redis::Script::new(concat!(is_stale!(), $code)), concat!(is_stale!(), $code));
    };
}
