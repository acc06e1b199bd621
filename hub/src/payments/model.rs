//! A payment as it is kept and as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use trastienda_protocol::ids::{PaymentId, ProjectId, RefundId};
use trastienda_protocol::money::Money;
use trastienda_protocol::payment::Method;
use utoipa::ToSchema;

use super::request::Request;
use super::status::{Rules, Standing, Status};

/// What is to be done next about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make it at the provider.
    Create,
    /// Ask the provider how it stands.
    Sync,
    /// Make sure that it can no longer be paid.
    Cancel,
    /// Give money back.
    Refund,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Sync => "sync",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Sync, Self::Cancel, Self::Refund]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// A payment's row.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) project_id: ProjectId,
    pub(crate) id: PaymentId,
    pub(crate) provider: String,
    pub(crate) method: Method,
    pub(crate) order_id: String,
    pub(crate) amount: Money,
    pub(crate) order_amount: Money,
    pub(crate) request: Request,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) standing: Standing,
    pub(crate) provider_reference: Option<String>,
    pub(crate) provider_key: String,
    pub(crate) checkout_url: Option<String>,
    pub(crate) qr_code: Option<String>,
    pub(crate) qr_code_base64: Option<String>,
    pub(crate) ticket_url: Option<String>,
    pub(crate) action: Option<Action>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) synced_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) paid_at: Option<DateTime<Utc>>,
}

impl Payment {
    /// What the state machine needs to know.
    pub(crate) fn rules(&self) -> Rules {
        Rules { is_checkout: self.method == Method::Checkout, amount_minor: self.amount.minor }
    }

    /// Whether the provider's call that makes it has had its outcome.
    pub(crate) fn is_made(&self) -> bool {
        self.action != Some(Action::Create) || self.standing.status != Status::Pending
    }

    /// What was given back.
    pub(crate) fn refunded(&self) -> Money {
        Money { minor: self.standing.refunded_minor, currency: self.amount.currency }
    }

    /// What its events say.
    pub(crate) fn event_data(&self) -> Map<String, Value> {
        let data = json!({
            "payment_id": self.id,
            "order_id": self.order_id,
            "status": self.standing.status,
            "detail": self.standing.detail,
            "dispute": self.standing.dispute,
            "provider": self.provider,
            "method": self.method,
            "external_id": self.standing.external_id,
            "provider_reference": self.provider_reference,
            "amount": self.amount.to_string(),
            "amount_refunded": self.refunded().to_string(),
            "order_amount": self.order_amount.to_string(),
            "currency": self.amount.currency,
            "metadata": self.metadata,
            "paid_at": self.paid_at.map(trastienda_protocol::time::format),
        });
        match data {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// A payment as callers see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentView {
    /// Its id.
    id: PaymentId,
    /// `pending`, `paid` or `failed`.
    status: Status,
    /// What is beneath the status: `in_process`, `authorized`, `cancelled`, `expired`, `refunded`,
    /// `partially_refunded`, `in_mediation`, `charged_back`, `rejected_<reason>`.
    detail: Option<String>,
    /// The provider.
    provider: String,
    /// How the customer pays.
    method: Method,
    /// The provider's payment, once there is one.
    external_id: Option<String>,
    /// The provider's preference or order.
    provider_reference: Option<String>,
    /// Where to send the customer, for `checkout`.
    checkout_url: Option<String>,
    /// What the customer scans or copies, for `pix`.
    qr_code: Option<String>,
    /// The same as a picture: a PNG in base64.
    qr_code_base64: Option<String>,
    /// The ticket to print or show.
    ticket_url: Option<String>,
    /// What is to be paid, as a decimal string.
    amount: String,
    /// What was given back of it.
    amount_refunded: String,
    /// What the whole order costs.
    order_amount: String,
    /// The currency of all amounts.
    #[schema(value_type = String)]
    currency: trastienda_protocol::money::Currency,
    /// The shop's order.
    order_id: String,
    /// What the customer reads.
    description: String,
    /// The shop's own notes.
    metadata: Map<String, Value>,
    /// When the offer ends.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    expires_at: Option<DateTime<Utc>>,
    /// When the hub took it.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    created_at: DateTime<Utc>,
    /// When it last moved.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    updated_at: DateTime<Utc>,
    /// When the hub knew that it was paid.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    paid_at: Option<DateTime<Utc>>,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.id,
            status: payment.standing.status,
            amount_refunded: payment.refunded().to_string(),
            detail: payment.standing.detail,
            provider: payment.provider,
            method: payment.method,
            external_id: payment.standing.external_id,
            provider_reference: payment.provider_reference,
            checkout_url: payment.checkout_url,
            qr_code: payment.qr_code,
            qr_code_base64: payment.qr_code_base64,
            ticket_url: payment.ticket_url,
            amount: payment.amount.to_string(),
            order_amount: payment.order_amount.to_string(),
            currency: payment.amount.currency,
            order_id: payment.order_id,
            description: payment.request.description,
            metadata: payment.metadata,
            expires_at: payment.expires_at,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
            paid_at: payment.paid_at,
        }
    }
}

/// A call, a notice or a move of a payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// When.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub at: DateTime<Utc>,
    /// `call`, `notice` or `status`.
    pub kind: String,
    /// What it was and what came of it.
    pub outcome: String,
    /// The payment's status after it, for `status`.
    pub status: Option<String>,
    /// The payment's detail after it, for `status`.
    pub detail: Option<String>,
    /// What the provider's support asks for.
    pub provider_request_id: Option<String>,
    /// How long the call took.
    pub duration_ms: Option<i32>,
}

/// A refund as callers see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefundView {
    /// Its id.
    pub id: RefundId,
    /// `pending`, `done` or `failed`.
    pub status: String,
    /// Why it failed.
    pub detail: Option<String>,
    /// What is given back, as a decimal string.
    pub amount: String,
    /// The provider's refund.
    pub external_id: Option<String>,
    /// When the hub took it.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
}

/// A payment with its refunds and its timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentDetail {
    #[serde(flatten)]
    #[expect(missing_docs, reason = "documented on the type")]
    pub payment: PaymentView,
    /// Its refunds, oldest first.
    pub refunds: Vec<RefundView>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
}
