//! Where a payment stands: a pure function of what the provider's payments for it were last seen to be.
//!
//! Each of the provider's payments (an [`Attempt`]) moves by the provider's own order of changes, so the order in
//! which notices arrive does not matter. From the attempts, [`derive()`] gives the payment's [`Standing`]:
//! - money that was taken once is `paid`, and stays so: refunds and disputes are told beneath it;
//! - a checkout's refused attempt leaves it `pending`: the customer may try again on the same page;
//! - what is `failed` stays so until the provider says approved;
//! - an attempt of another amount, currency or account never makes anything `paid`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// The three things that a payment can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody knows yet.
    Pending,
    /// The money was taken.
    Paid,
    /// It was not and will not be, as far as anybody knows.
    Failed,
}

impl Status {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Paid, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// Where one of the provider's payments stands, in words common to all providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Pending,
    InProcess,
    Authorized,
    Approved,
    InMediation,
    ChargedBack,
    ChargebackLost,
    ChargebackWon,
    Refunded,
    Rejected,
    Cancelled,
    Expired,
}

impl State {
    pub(crate) const ALL: [Self; 12] = [
        Self::Pending,
        Self::InProcess,
        Self::Authorized,
        Self::Approved,
        Self::InMediation,
        Self::ChargedBack,
        Self::ChargebackLost,
        Self::ChargebackWon,
        Self::Refunded,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProcess => "in_process",
            Self::Authorized => "authorized",
            Self::Approved => "approved",
            Self::InMediation => "in_mediation",
            Self::ChargedBack => "charged_back",
            Self::ChargebackLost => "chargeback_lost",
            Self::ChargebackWon => "chargeback_won",
            Self::Refunded => "refunded",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the money was taken, whatever became of it since.
    pub(crate) fn is_captured(self) -> bool {
        matches!(
            self,
            Self::Approved
                | Self::InMediation
                | Self::ChargedBack
                | Self::ChargebackLost
                | Self::ChargebackWon
                | Self::Refunded
        )
    }

    fn is_over_unpaid(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled | Self::Expired)
    }

    /// Which of several attempts speaks for the payment: the one with most of the money still there.
    fn weight(self) -> u8 {
        match self {
            Self::Approved => 9,
            Self::ChargebackWon => 8,
            Self::InMediation => 7,
            Self::ChargedBack => 6,
            Self::ChargebackLost => 5,
            Self::Refunded => 4,
            Self::Authorized => 3,
            Self::InProcess => 2,
            Self::Pending => 1,
            Self::Rejected | Self::Cancelled | Self::Expired => 0,
        }
    }

    /// How far along its life a state is: decides between two changes of the same millisecond.
    fn progress(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::InProcess => 1,
            Self::Authorized => 2,
            Self::Rejected | Self::Cancelled | Self::Expired => 3,
            Self::Approved => 4,
            Self::InMediation => 5,
            Self::ChargedBack => 6,
            Self::ChargebackLost | Self::ChargebackWon => 7,
            Self::Refunded => 8,
        }
    }

    fn dispute(self) -> Option<&'static str> {
        match self {
            Self::InMediation => Some("in_mediation"),
            Self::ChargedBack => Some("charged_back"),
            Self::ChargebackLost => Some("lost"),
            Self::ChargebackWon => Some("won"),
            _ => None,
        }
    }
}

/// One of the provider's payments, as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) external_id: String,
    pub(crate) state: State,
    /// Why it was rejected, in the provider's word.
    pub(crate) reason: Option<String>,
    pub(crate) refunded_minor: i64,
    /// Whether amount, currency and account are those that were asked for.
    pub(crate) is_match: bool,
    pub(crate) updated_at: DateTime<Utc>,
}

impl Attempt {
    /// Whether `self` is a later word on the same attempt than `known`.
    pub(crate) fn supersedes(&self, known: &Self) -> bool {
        let place = |attempt: &Self| (attempt.updated_at, attempt.state.progress(), attempt.refunded_minor);
        place(self) > place(known)
    }

    fn detail(&self, amount_minor: i64) -> Option<String> {
        match self.state {
            State::Pending => None,
            State::Approved | State::ChargebackWon => (0 < self.refunded_minor
                && self.refunded_minor < amount_minor)
                .then(|| "partially_refunded".to_owned()),
            State::ChargedBack | State::ChargebackLost => Some("charged_back".to_owned()),
            State::Rejected => {
                Some(self.reason.as_ref().map_or_else(|| "rejected".to_owned(), |r| format!("rejected_{r}")))
            }
            other => Some(other.as_str().to_owned()),
        }
    }
}

/// What a payment is, beneath its three-valued status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) status: Status,
    pub(crate) detail: Option<String>,
    pub(crate) refunded_minor: i64,
    pub(crate) external_id: Option<String>,
    pub(crate) dispute: Option<String>,
}

/// What [`derive()`] needs to know about the payment itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// A checkout outlives its attempts.
    pub(crate) is_checkout: bool,
    pub(crate) amount_minor: i64,
}

/// Where the payment stands, given where it stood and its attempts as last seen.
pub(crate) fn derive(rules: Rules, current: &Standing, attempts: &[Attempt]) -> Standing {
    let deciding = attempts.iter().filter(|attempt| attempt.is_match).min_by(|a, b| {
        // The heaviest; of equals the first that was made.
        b.state.weight().cmp(&a.state.weight()).then_with(|| by_age(&a.external_id, &b.external_id))
    });
    let Some(attempt) = deciding else { return current.clone() };
    let captured = attempt.state.is_captured();
    // A checkout outlives the attempts that came to nothing.
    let is_over = attempt.state.is_over_unpaid() && !rules.is_checkout;
    let status = match current.status {
        _ if captured => Status::Paid,
        // Money that was taken once is never forgotten, and what failed only comes back by being approved.
        Status::Paid => return current.clone(),
        Status::Failed if !is_over => return current.clone(),
        _ if is_over => Status::Failed,
        _ => Status::Pending,
    };
    // A checkout whose attempts were all refused stands as if nobody had tried.
    let untouched = rules.is_checkout && attempt.state.is_over_unpaid();
    let refunded_minor = match attempt.state {
        State::Refunded => rules.amount_minor,
        _ if captured => attempt.refunded_minor.min(rules.amount_minor),
        _ => 0,
    };
    Standing {
        status,
        detail: if untouched { None } else { attempt.detail(rules.amount_minor) },
        refunded_minor,
        external_id: if untouched { None } else { Some(attempt.external_id.clone()) },
        dispute: if captured {
            attempt.state.dispute().map(str::to_owned).or_else(|| current.dispute.clone())
        } else {
            None
        },
    }
}

/// The attempts that hold money now, the first that was made first: all but one are to be given back.
pub(crate) fn holding(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    let mut holding: Vec<&Attempt> = attempts
        .iter()
        .filter(|attempt| attempt.is_match && attempt.state.is_captured())
        .filter(|attempt| !matches!(attempt.state, State::Refunded | State::ChargebackLost))
        .collect();
    holding.sort_by(|a, b| by_age(&a.external_id, &b.external_id));
    holding.into_iter()
}

/// The events that a move gives, in the order in which they are told.
pub(crate) fn events(old: &Standing, new: &Standing) -> Vec<&'static str> {
    let mut events = Vec::new();
    if new.status == Status::Paid && old.status != Status::Paid {
        events.push("payment.paid");
    }
    if new.status == Status::Failed && old.status != Status::Failed {
        events.push("payment.failed");
    }
    if new.refunded_minor > old.refunded_minor {
        events.push("payment.refunded");
    }
    if new.dispute.is_some() && new.dispute != old.dispute {
        events.push("payment.disputed");
    }
    events
}

/// Providers number their payments upwards; a longer number is a later one.
fn by_age(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHECKOUT: Rules = Rules { is_checkout: true, amount_minor: 10_000 };
    const CARD: Rules = Rules { is_checkout: false, amount_minor: 10_000 };

    fn fresh() -> Standing {
        Standing {
            status: Status::Pending,
            detail: None,
            refunded_minor: 0,
            external_id: None,
            dispute: None,
        }
    }

    fn attempt(id: &str, state: State, second: i64) -> Attempt {
        Attempt {
            external_id: id.to_owned(),
            state,
            reason: (state == State::Rejected).then(|| "insufficient_amount".to_owned()),
            refunded_minor: 0,
            is_match: true,
            updated_at: DateTime::from_timestamp(second, 0).unwrap(),
        }
    }

    fn seen(rules: Rules, attempts: &[Attempt]) -> (Status, Option<String>) {
        let standing = derive(rules, &fresh(), attempts);
        (standing.status, standing.detail)
    }

    #[test]
    fn a_checkouts_refused_attempt_leaves_it_pending() {
        let rejected = attempt("1", State::Rejected, 1);
        assert_eq!(derive(CHECKOUT, &fresh(), std::slice::from_ref(&rejected)), fresh());
        let approved = derive(CHECKOUT, &fresh(), &[rejected.clone(), attempt("2", State::Approved, 2)]);
        assert_eq!((approved.status, approved.external_id.as_deref()), (Status::Paid, Some("2")));
        assert_eq!(
            seen(CARD, &[rejected]),
            (Status::Failed, Some("rejected_insufficient_amount".to_owned()))
        );
    }

    #[test]
    fn what_failed_only_comes_back_by_being_approved() {
        let failed = Standing { status: Status::Failed, detail: Some("expired".to_owned()), ..fresh() };
        for state in [State::Pending, State::InProcess, State::Authorized] {
            for rules in [CHECKOUT, CARD] {
                assert_eq!(derive(rules, &failed, &[attempt("1", state, 1)]), failed);
            }
        }
        assert_eq!(derive(CHECKOUT, &failed, &[attempt("1", State::Rejected, 1)]), failed);
        assert_eq!(derive(CARD, &failed, &[attempt("1", State::Approved, 1)]).status, Status::Paid);
    }

    #[test]
    fn another_amount_or_account_never_makes_it_paid() {
        let other = Attempt { is_match: false, ..attempt("1", State::Approved, 1) };
        assert_eq!(derive(CHECKOUT, &fresh(), &[other]), fresh());
    }

    #[test]
    fn refunds_and_disputes_are_told_beneath_paid() {
        let part = Attempt { refunded_minor: 2_500, ..attempt("1", State::Approved, 2) };
        assert_eq!(seen(CARD, &[part]), (Status::Paid, Some("partially_refunded".to_owned())));
        let paid = derive(CARD, &fresh(), &[attempt("1", State::Approved, 1)]);
        let refunded = derive(CARD, &paid, &[attempt("1", State::Refunded, 2)]);
        assert_eq!((refunded.refunded_minor, events(&paid, &refunded)), (10_000, vec!["payment.refunded"]));
        let disputed = derive(CARD, &paid, &[attempt("1", State::InMediation, 2)]);
        assert_eq!(events(&paid, &disputed), ["payment.disputed"]);
        let won = derive(CARD, &disputed, &[attempt("1", State::ChargebackWon, 3)]);
        assert_eq!(
            (won.status, won.detail.clone(), events(&disputed, &won)),
            (Status::Paid, None, vec!["payment.disputed"])
        );
        assert_eq!(events(&fresh(), &refunded), ["payment.paid", "payment.refunded"]);
    }

    #[test]
    fn attempts_that_hold_money_are_told_by_age() {
        let attempts = [
            attempt("1", State::Approved, 1),
            attempt("2", State::Approved, 2),
            attempt("3", State::Refunded, 3),
            attempt("4", State::Rejected, 4),
        ];
        let ids: Vec<&str> = holding(&attempts).map(|attempt| attempt.external_id.as_str()).collect();
        assert_eq!(ids, ["1", "2"]);
    }

    /// Keeps what is latest of each attempt, as the table does.
    fn take(known: &mut Vec<Attempt>, notice: Attempt) {
        match known.iter_mut().find(|attempt| attempt.external_id == notice.external_id) {
            Some(attempt) if notice.supersedes(attempt) => *attempt = notice,
            Some(_) => {}
            None => known.push(notice),
        }
    }

    /// A life that the provider can give one of its payments.
    fn life(id: &'static str) -> impl Strategy<Value = Vec<Attempt>> {
        let path = prop_oneof![
            Just(vec![State::Rejected]),
            Just(vec![State::Pending, State::Expired]),
            Just(vec![State::Pending, State::Expired, State::Approved]),
            Just(vec![State::InProcess, State::Rejected]),
            Just(vec![State::Authorized, State::Cancelled]),
            Just(vec![State::Approved]),
            Just(vec![State::Pending, State::Approved, State::Refunded]),
            Just(vec![State::InProcess, State::Approved, State::InMediation, State::Approved]),
            Just(vec![State::Approved, State::InMediation, State::ChargedBack, State::ChargebackWon]),
            Just(vec![State::Approved, State::ChargedBack, State::ChargebackLost]),
        ];
        (path, 0i64..5).prop_map(move |(path, start)| {
            path.into_iter().zip(start..).map(|(state, second)| attempt(id, state, second)).collect()
        })
    }

    /// The notices of some lives: all of them, some twice, in any order.
    fn shuffled(lives: Vec<Vec<Attempt>>) -> impl Strategy<Value = (Vec<Attempt>, Vec<Attempt>)> {
        let ends: Vec<Attempt> = lives.iter().filter_map(|life| life.last().cloned()).collect();
        let all: Vec<Attempt> = lives.into_iter().flatten().collect();
        let twice: Vec<Attempt> = all.iter().chain(all.iter()).cloned().collect();
        (Just(ends), Just(twice).prop_shuffle())
    }

    fn run(rules: Rules, notices: Vec<Attempt>) -> Standing {
        let (mut known, mut standing) = (Vec::new(), fresh());
        for notice in notices {
            take(&mut known, notice);
            let next = derive(rules, &standing, &known);
            assert!(standing.status != Status::Paid || next.status == Status::Paid, "paid was forgotten");
            standing = next;
        }
        standing
    }

    proptest! {
        #[test]
        fn any_order_of_notices_ends_in_the_providers_state(
            (ends, notices) in life("1").prop_flat_map(|life| shuffled(vec![life])),
            is_checkout in proptest::bool::ANY,
        ) {
            let rules = Rules { is_checkout, ..CARD };
            let end = run(rules, notices);
            // What the provider says of its one payment, in our words.
            let expected = match ends[0].state {
                state if state.is_captured() => Status::Paid,
                State::Rejected | State::Cancelled | State::Expired if !is_checkout => Status::Failed,
                _ => Status::Pending,
            };
            prop_assert_eq!(end.status, expected);
            let refunded = if ends[0].state == State::Refunded { 10_000 } else { 0 };
            prop_assert_eq!(end.refunded_minor, refunded);
        }

        #[test]
        fn the_attempts_of_a_checkout_may_be_told_in_any_order(
            (ends, notices) in (life("1"), life("2"), life("3"))
                .prop_flat_map(|(a, b, c)| shuffled(vec![a, b, c])),
        ) {
            let end = run(CHECKOUT, notices);
            let paid = ends.iter().any(|attempt| attempt.state.is_captured());
            prop_assert_eq!(end.status, if paid { Status::Paid } else { Status::Pending });
            let in_order = derive(CHECKOUT, &fresh(), &ends);
            prop_assert_eq!((end.detail, end.refunded_minor, end.external_id),
                (in_order.detail, in_order.refunded_minor, in_order.external_id));
        }
    }
}
