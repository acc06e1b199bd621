//! The `$options` array of the functions that make something.

use std::time::Duration;

use ext_php_rs::types::{ZendHashTable, Zval};
use trastienda_protocol::limits::is_idempotency_key;
use trastienda_protocol::problem::Problem;

use crate::convert;
use crate::error::Error;

/// The longest budget that a call may ask for.
const TIMEOUT_MAX_MS: i64 = 3_600_000;

/// What `$options` says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `id`: the id of what is made.
    pub(crate) id: Option<String>,
    /// `idempotency_key`.
    pub(crate) idempotency_key: Option<String>,
    /// `timeout_ms`: the budget of this call.
    pub(crate) timeout: Option<Duration>,
    /// `wait`: how long the hub may be waited for.
    pub(crate) wait: Option<Wait>,
}

/// The option `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// `true`: as long as the budget allows.
    Budget,
    /// `false` or 0: not at all.
    No,
    /// So many seconds, if the budget allows.
    Seconds(u64),
}

/// Whether a function knows the option `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// It does.
    Maybe,
    /// It does not: it never waits for the hub.
    Never,
}

impl Options {
    /// Reads the array; an option that is not known is refused rather than ignored.
    pub(crate) fn read(array: Option<&ZendHashTable>, waits: Waits) -> Result<Self, Error> {
        let mut options = Self::default();
        for (key, value) in array.into_iter().flatten() {
            let key = key.to_string();
            let value = value.dereference();
            if value.is_null() {
                continue;
            }
            match key.as_str() {
                "id" => options.id = Some(text(value, &key)?),
                "idempotency_key" => options.idempotency_key = Some(text(value, &key)?),
                "timeout_ms" => options.timeout = Some(timeout(value)?),
                "wait" if waits == Waits::Maybe => options.wait = Some(wait(value)?),
                _ => {
                    let known = match waits {
                        Waits::Maybe => "`id`, `idempotency_key`, `timeout_ms` or `wait`",
                        Waits::Never => "`id`, `idempotency_key` or `timeout_ms`",
                    };
                    return Err(Error::invalid(
                        &format!("/options/{key}"),
                        format!("is not an option here; use {known}"),
                    ));
                }
            }
        }
        match &options.idempotency_key {
            Some(key) if !is_idempotency_key(key) => Err(Error::problem(Problem::invalid_idempotency_key())),
            _ => Ok(options),
        }
    }
}

fn text(value: &Zval, key: &str) -> Result<String, Error> {
    let pointer = format!("/options/{key}");
    let text = value.zend_str().ok_or_else(|| Error::invalid(&pointer, "must be a string"))?;
    convert::utf8(text.as_bytes(), &pointer).map(str::to_owned)
}

fn timeout(value: &Zval) -> Result<Duration, Error> {
    let milliseconds = value.long().filter(|value| (1..=TIMEOUT_MAX_MS).contains(value));
    let milliseconds = milliseconds.and_then(|value| u64::try_from(value).ok());
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        Error::invalid("/options/timeout_ms", format!("must be an integer from 1 to {TIMEOUT_MAX_MS}"))
    })
}

fn wait(value: &Zval) -> Result<Wait, Error> {
    let wait = match (value.bool(), value.long()) {
        (Some(true), _) => Some(Wait::Budget),
        (Some(false), _) | (_, Some(0)) => Some(Wait::No),
        (_, Some(seconds)) => u64::try_from(seconds).ok().map(Wait::Seconds),
        _ => None,
    };
    wait.ok_or_else(|| Error::invalid("/options/wait", "must be a boolean or a number of seconds"))
}
