//! Faults to order: what should go wrong, for how many of the next calls or how often.
//!
//! Faults of calls hit the API only, never the control interface or the pages. Chance follows from the seed.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::Draws;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// The call takes effect at once, the answer comes late.
    Latency { ms: u64 },
    /// The call takes effect, the answer comes so late that the client has given up.
    HangAfterSuccess {
        #[serde(default = "a_minute")]
        ms: u64,
    },
    /// 429 without effect, with or without `Retry-After`.
    TooManyRequests { retry_after: Option<u32> },
    /// A 5xx in plain text, without effect.
    ServerError {
        #[serde(default = "internal_error")]
        status: u16,
    },
    /// A search does not see what is younger than this.
    SearchLag { ms: u32 },
    /// The notices of a change are never sent.
    DropNotice,
    /// Every notice of a change is sent twice at the same time.
    DuplicateNotice,
    /// Before the true notice comes one for the same payment that a stranger signed.
    ForgeNotice,
    /// The notices of a change come after those of the next one.
    ReorderNotices,
    /// The notices of a change come late.
    DelayNotice { ms: u64 },
}

/// A fault and when it strikes. Without `next` and `rate`: once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    #[serde(flatten)]
    pub(crate) kind: FaultKind,
    /// How many more times it strikes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u32>,
    /// How often it strikes, from 0 to 1, until it is taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
    /// Only calls with this method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// Only calls whose path begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
}

/// The faults in force.
pub(crate) struct Faults {
    seed: u64,
    inner: Mutex<(Vec<Fault>, Draws)>,
}

/// Draws of faults are apart from those of ids, so that a fault never changes an id.
const PURPOSE: u64 = 2;

fn a_minute() -> u64 {
    60_000
}

fn internal_error() -> u16 {
    500
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, inner: Mutex::new((Vec::new(), Draws::new(seed, PURPOSE))) }
    }

    pub(crate) fn add(&self, mut fault: Fault) {
        if fault.next.is_none() && fault.rate.is_none() {
            fault.next = Some(1);
        }
        self.with(|faults, _| faults.push(fault));
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.with(|faults, _| faults.clone())
    }

    pub(crate) fn reset(&self) {
        self.with(|faults, draws| {
            faults.clear();
            *draws = Draws::new(self.seed, PURPOSE);
        });
    }

    /// The first fault of the wanted kind that strikes this call, used up by one.
    pub(crate) fn strike(
        &self,
        method: &str,
        path: &str,
        wanted: impl Fn(FaultKind) -> bool,
    ) -> Option<FaultKind> {
        self.with(|faults, draws| {
            let index = faults.iter().position(|fault| {
                wanted(fault.kind) && fault.concerns(method, path) && fault.is_its_turn(draws)
            })?;
            let kind = faults[index].kind;
            if let Some(left) = &mut faults[index].next {
                *left -= 1;
                if *left == 0 {
                    faults.remove(index);
                }
            }
            Some(kind)
        })
    }

    /// The same for the notices of one change.
    pub(crate) fn strike_notice(&self, wanted: impl Fn(FaultKind) -> bool) -> Option<FaultKind> {
        self.strike("POST", "", wanted)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Vec<Fault>, &mut Draws) -> R) -> R {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, draws) = &mut *inner;
        work(faults, draws)
    }
}

impl Fault {
    fn concerns(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|wanted| path.starts_with(wanted))
    }

    fn is_its_turn(&self, draws: &mut Draws) -> bool {
        let lucky = self.rate.is_none_or(|rate| f64::from(draws.below(1_000_000)) < rate * 1_000_000.0);
        lucky && self.next != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    fn strikes(faults: &Faults, method: &str, path: &str) -> bool {
        faults.strike(method, path, |kind| matches!(kind, FaultKind::ServerError { .. })).is_some()
    }

    #[test]
    fn strikes_as_often_as_ordered_and_only_where_ordered() {
        let faults = Faults::new(1);
        faults.add(fault(r#"{"kind":"server_error","next":2,"method":"POST","path":"/v1/payments"}"#));
        assert!(!strikes(&faults, "GET", "/v1/payments"));
        assert!(!strikes(&faults, "POST", "/checkout/preferences"));
        assert!(strikes(&faults, "POST", "/v1/payments"));
        assert!(strikes(&faults, "POST", "/v1/payments/1/refunds"));
        assert!(!strikes(&faults, "POST", "/v1/payments"));
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_rate_strikes_by_seed() {
        let run = |seed| {
            let faults = Faults::new(seed);
            faults.add(fault(r#"{"kind":"server_error","rate":0.5}"#));
            (0..200).map(|_| strikes(&faults, "GET", "/")).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let hits = run(3).into_iter().filter(|hit| *hit).count();
        assert!((60..140).contains(&hits), "{hits}");
    }
}
