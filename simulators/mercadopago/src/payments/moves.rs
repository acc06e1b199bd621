//! The moves of a payment and from where each is allowed.

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{Payment, Refund, Status};
use crate::money::Money;

/// What can happen to a payment.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Approve,
    Reject(String),
    /// Nobody paid in time.
    Expire,
    /// The seller called it off.
    Cancel,
    /// The seller takes what was authorised, or less.
    Capture(Money),
    Refund {
        id: i64,
        amount: Money,
    },
    /// The buyer complained; the money is held.
    Mediate,
    /// The card's bank took the money back: `in_process`, `settled` or `reimbursed`.
    ChargeBack(String),
    /// The seller gave more time.
    Extend(DateTime<Utc>),
}

impl Payment {
    /// Moves on, or says why not and changes nothing.
    pub(crate) fn apply(&mut self, step: Move, now: DateTime<Utc>) -> Result<(), &'static str> {
        use Status::{
            Approved, Authorized, Cancelled, ChargedBack, InMediation, InProcess, Pending, Refunded, Rejected,
        };
        match (step, self.status) {
            // Paid at the last instant: what had just expired can still be approved.
            (Move::Approve, Pending | InProcess | Authorized | Cancelled)
                if self.detail != "by_collector" =>
            {
                self.approve(now);
            }
            (Move::Approve, InMediation) => self.settle(),
            (Move::Reject(detail), Pending | InProcess | Authorized) => self.become_(Rejected, &detail),
            (Move::Expire, Pending) => self.become_(Cancelled, "expired"),
            (Move::Cancel, Pending | InProcess | Authorized) => self.become_(Cancelled, "by_collector"),
            (Move::Capture(amount), Authorized) if amount.minor > 0 && amount <= self.amount => {
                self.amount = amount;
                self.approve(now);
            }
            (Move::Refund { id, amount }, Approved | InMediation)
                if amount.minor > 0 && amount <= self.remaining() =>
            {
                self.refund(id, amount, now);
            }
            (Move::Mediate, Approved) => self.become_(InMediation, "pending"),
            (Move::ChargeBack(detail), Approved | InMediation | ChargedBack) => {
                self.become_(ChargedBack, &detail);
            }
            (Move::Extend(at), Pending) if at > now => self.expires_at = Some(at),
            (_, Refunded) => return Err("the payment is refunded, which is final"),
            (_, Rejected) => return Err("the payment is rejected, which is final"),
            _ => return Err("the payment's status does not allow it"),
        }
        // Clients order what they fetch by this time, so two moves never share one.
        self.updated_at = now.max(self.updated_at + TimeDelta::milliseconds(1));
        Ok(())
    }

    fn approve(&mut self, now: DateTime<Utc>) {
        self.captured = true;
        self.approved_at = Some(now);
        self.become_(Status::Approved, "accredited");
    }

    fn settle(&mut self) {
        let detail = if self.refunded.minor > 0 { "partially_refunded" } else { "accredited" };
        self.become_(Status::Approved, detail);
    }

    fn refund(&mut self, id: i64, amount: Money, now: DateTime<Utc>) {
        self.refunded = self.refunded.with(self.refunded.minor + amount.minor);
        self.refunds.push(Refund { id, amount, created_at: now });
        if self.remaining().minor == 0 {
            self.become_(Status::Refunded, "refunded");
        } else {
            self.become_(Status::Approved, "partially_refunded");
        }
    }

    fn become_(&mut self, status: Status, detail: &str) {
        self.status = status;
        detail.clone_into(&mut self.detail);
    }
}
