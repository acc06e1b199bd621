//! The wall between Rust's panics and PHP.
//!
//! ext-php-rs wraps what its macros generate and would turn a panic into PHP's own `Error`, which a
//! shop's `catch (TrastiendaException)` does not see. So every body goes through [`guard`] first: a
//! defect of ours is then a `TrastiendaException` like every other failure.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

/// Runs a function's body; a panic becomes [`Error::Internal`].
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Unwind safety: a body owns all that it changes. The pooled connection is out of the pool while
    // it is in use, so one that was left half-read is dropped with the frame.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(Error::Internal(message(&*payload))))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the extension failed: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_a_result_passes() {
        assert_eq!(guard(|| Ok(7)).unwrap(), 7);
        let error = guard::<()>(|| panic!("row {}", 3)).unwrap_err();
        assert!(matches!(error, Error::Internal(message) if message == "the extension failed: row 3"));
    }
}
