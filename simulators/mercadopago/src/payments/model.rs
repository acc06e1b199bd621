//! A payment and its refunds.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::pix;
use crate::money::Money;
use crate::sites::{Method, Site};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    InProcess,
    Authorized,
    Approved,
    InMediation,
    Rejected,
    Cancelled,
    Refunded,
    ChargedBack,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProcess => "in_process",
            Self::Authorized => "authorized",
            Self::Approved => "approved",
            Self::InMediation => "in_mediation",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::ChargedBack => "charged_back",
        }
    }

    /// Which of the three return addresses a buyer goes back to.
    pub(crate) fn back_url(self) -> &'static str {
        match self {
            Self::Approved | Self::Authorized => "success",
            Self::Pending | Self::InProcess => "pending",
            _ => "failure",
        }
    }
}

/// One payment, of one seller, with one means of payment.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) id: i64,
    pub(crate) seller: i64,
    pub(crate) site: &'static Site,
    pub(crate) method: &'static Method,
    pub(crate) amount: Money,
    pub(crate) refunded: Money,
    pub(crate) status: Status,
    pub(crate) detail: String,
    pub(crate) captured: bool,
    pub(crate) payer_id: i64,
    pub(crate) external_reference: Option<String>,
    pub(crate) notification_url: Option<String>,
    pub(crate) preference: Option<String>,
    pub(crate) order: Option<i64>,
    pub(crate) card: Option<Value>,
    pub(crate) refunds: Vec<Refund>,
    /// The other fields of the request, given back as they came.
    pub(crate) asked: Map<String, Value>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) approved_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Money given back.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: i64,
    pub(crate) amount: Money,
    pub(crate) created_at: DateTime<Utc>,
}

impl Payment {
    /// What has not been given back yet.
    pub(crate) fn remaining(&self) -> Money {
        self.amount.with(self.amount.minor - self.refunded.minor)
    }

    /// Whether nobody paid it in time.
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.status == Status::Pending && self.expires_at.is_some_and(|at| at <= now)
    }

    /// What the buyer takes to a bank or a shop to pay with.
    pub(crate) fn code(&self) -> String {
        if self.method.id == "pix" { pix::code(self) } else { format!("{:044}", self.id) }
    }

    /// Where the buyer finds a ticket or the code to pay with.
    pub(crate) fn ticket_url(&self, public_url: &str) -> String {
        format!("{public_url}/payments/{}/ticket", self.id)
    }
}
