//! What the hub's answers mean. No I/O.
//!
//! Final for an operation: 400, 413, 422. Kept and tried again: everything else that is not success.
//! An answer to a batch as a whole is only final when it is the hub's own (a problem document): a
//! proxy's error page between the two says nothing about the operations.

use trastienda_protocol::heartbeat::HubState;

use super::Trouble;
use crate::hub::{HubError, Outcome};

/// What a batch's failure as a whole means for what is in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// The operations are refused together; sent apart, only the guilty ones will be.
    Refused,
    /// Together they are too large for something between here and the hub.
    TooLarge,
    /// One of them may be what the hub fails at; sent apart, the others get through.
    Suspicious,
    /// Nothing is said about the operations.
    Unavailable,
}

pub(super) fn whole(error: &HubError) -> Whole {
    match error {
        HubError::Refused { status: 400 | 413 | 422, problem: Some(_), .. } => Whole::Refused,
        HubError::Refused { status: 413, .. } => Whole::TooLarge,
        HubError::Refused { status: 500, .. } | HubError::TimedOut => Whole::Suspicious,
        _ => Whole::Unavailable,
    }
}

/// How to go on after a call that the hub did not do.
pub(super) fn pause(error: &HubError) -> Trouble {
    let (state, at_least) = match error {
        HubError::Refused { status: 401 | 403, retry_after, .. } => (HubState::Unauthorized, *retry_after),
        // It lives and asks for patience.
        HubError::Refused { status: 429, retry_after, .. } => (HubState::Up, *retry_after),
        HubError::Refused { retry_after, .. } => (HubState::Down, *retry_after),
        _ => (HubState::Down, None),
    };
    Trouble { state, at_least }
}

/// What one operation's result means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Single {
    /// The hub has it.
    Taken,
    /// It never will.
    Final,
    /// It is tried again. `blameless`: the hub asks for patience, which says nothing about the operation.
    Again {
        /// Not counted towards parking unless others got through.
        blameless: bool,
        /// Never counted.
        throttled: bool,
    },
}

pub(super) fn single(status: u16) -> Single {
    match status {
        200..=299 => Single::Taken,
        400 | 413 | 422 => Single::Final,
        429 => Single::Again { blameless: true, throttled: true },
        502..=504 => Single::Again { blameless: true, throttled: false },
        _ => Single::Again { blameless: false, throttled: false },
    }
}

/// For each result that is to be tried again, whether it failed alone: while others of its batch got
/// through, or as the only one of its batch with a status that is about the operation itself.
pub(super) fn failed_alone(results: &[Outcome]) -> Vec<bool> {
    let verdicts: Vec<Single> = results.iter().map(|result| single(result.status)).collect();
    let others_moved = verdicts.iter().any(|verdict| !matches!(verdict, Single::Again { .. }));
    let only_one = results.len() == 1;
    verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Single::Again { throttled: true, .. } | Single::Taken | Single::Final => false,
            Single::Again { blameless, .. } => others_moved || (only_one && !blameless),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use trastienda_protocol::problem::Problem;

    use super::*;

    fn refused(status: u16, by_the_hub: bool) -> HubError {
        let problem = by_the_hub.then(|| Box::new(Problem::new(status, "x", "X", "x")));
        HubError::Refused { status, retry_after: None, problem }
    }

    #[test]
    fn only_the_hub_itself_refuses_for_good() {
        for (status, from_a_proxy) in
            [(400, Whole::Unavailable), (413, Whole::TooLarge), (422, Whole::Unavailable)]
        {
            assert_eq!(whole(&refused(status, true)), Whole::Refused);
            assert_eq!(whole(&refused(status, false)), from_a_proxy);
            assert_eq!(single(status), Single::Final);
        }
        for status in [301, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504, 507] {
            assert!(matches!(single(status), Single::Again { .. }), "{status}");
            assert_ne!(whole(&refused(status, true)), Whole::Refused, "{status}");
        }
    }

    #[test]
    fn failing_alone_is_failing_while_others_do_not() {
        let results = |statuses: &[u16]| {
            let results: Vec<_> = statuses
                .iter()
                .map(|status| Outcome { status: *status, body: RawValue::NULL.to_owned() })
                .collect();
            failed_alone(&results)
        };
        assert_eq!(results(&[202, 503, 422]), [false, true, false]);
        assert_eq!(results(&[202, 429]), [false, false]);
        assert_eq!(results(&[503, 503, 500]), [false, false, false]);
        assert_eq!(results(&[500]), [true]);
        assert_eq!(results(&[503]), [false]);
    }
}
