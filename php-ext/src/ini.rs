//! The `trastienda.*` directives: their defaults, and their values at the moment of a call.

use std::path::PathBuf;
use std::time::Duration;

use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs};

use crate::engine;

// Every directive may be changed by `ini_set()`: several shops may share one pool of workers.
static DIRECTIVES: IniEntryDefs<6> = IniEntryDefs::new([
    IniEntryDef::new(c"trastienda.enabled", c"1", IniEntryPermission::All),
    IniEntryDef::new(c"trastienda.socket", c"/run/trastienda/agent.sock", IniEntryPermission::All),
    IniEntryDef::new(c"trastienda.connect_timeout_ms", c"50", IniEntryPermission::All),
    IniEntryDef::new(c"trastienda.timeout_ms", c"250", IniEntryPermission::All),
    IniEntryDef::new(c"trastienda.sync_timeout_ms", c"15000", IniEntryPermission::All),
    IniEntryDef::end(),
]);

/// Registers the directives; called once, while the module starts.
pub(crate) fn register(module_number: i32) {
    IniEntryDef::register(DIRECTIVES.as_slice(), module_number);
}

/// Whether calls are sent at all (`trastienda.enabled`).
pub(crate) fn enabled() -> bool {
    let value = engine::ini_string(c"trastienda.enabled");
    matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}

/// Where the agent listens (`trastienda.socket`).
pub(crate) fn socket() -> PathBuf {
    PathBuf::from(engine::ini_string(c"trastienda.socket"))
}

/// How long a connect may take (`trastienda.connect_timeout_ms`).
pub(crate) fn connect_timeout() -> Duration {
    milliseconds(engine::ini_long(c"trastienda.connect_timeout_ms"), 50)
}

/// The budget of a call that the agent answers by itself (`trastienda.timeout_ms`).
pub(crate) fn timeout() -> Duration {
    milliseconds(engine::ini_long(c"trastienda.timeout_ms"), 250)
}

/// The budget of a call that waits for the hub (`trastienda.sync_timeout_ms`).
pub(crate) fn sync_timeout() -> Duration {
    milliseconds(engine::ini_long(c"trastienda.sync_timeout_ms"), 15_000)
}

/// A call without a limit would break the promise, so what is not a positive number means the default.
fn milliseconds(value: i64, default: u64) -> Duration {
    Duration::from_millis(u64::try_from(value).ok().filter(|value| *value > 0).unwrap_or(default))
}
