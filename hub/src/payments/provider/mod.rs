//! Payment providers: one folder each, which maps requests, replies, notices and statuses, and nothing else.
//!
//! A provider holds no state and no credentials: it is handed an [`Access`] for each call. It never decides what
//! becomes of a payment; it says what it was told ([`Snapshot`]) or how the call went ([`CallError`]).

pub(crate) mod manual;
pub(crate) mod mercadopago;

use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use trastienda_protocol::money::{Currency, Money};
use trastienda_protocol::payment::Method;
use url::Url;
use utoipa_axum::router::OpenApiRouter;

use super::request::Request;
use super::status::State;
use crate::app::App;

/// What a call needs beside its content.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Url,
    pub(crate) token: SecretString,
}

/// How a call went: its result, and what to tell the provider's support.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    pub(crate) result: Result<T, CallError>,
    pub(crate) request_id: Option<String>,
    pub(crate) duration: Duration,
}

impl<T> Exchange<T> {
    /// What is known without a call.
    pub(crate) fn at_once(value: T) -> Self {
        Self { result: Ok(value), request_id: None, duration: Duration::ZERO }
    }

    pub(crate) fn and_then<U>(self, read: impl FnOnce(T) -> Result<U, CallError>) -> Exchange<U> {
        let Self { result, request_id, duration } = self;
        Exchange { result: result.and_then(read), request_id, duration }
    }
}

/// Why a call has no result, by what may be done next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It never left: it may be sent again at once.
    #[error("not reached: {0}")]
    NotReached(String),
    /// It may have had its effect: ask before sending it again.
    #[error("unknown outcome: {0}")]
    Unknown(String),
    /// It had no effect and is to be sent later.
    #[error("asked to come back later")]
    Busy {
        /// When, if the provider said so.
        retry_after: Option<Duration>,
    },
    /// The credentials are not (or no longer) taken.
    #[error("credentials refused: {code}")]
    Unauthorized {
        /// The provider's word.
        code: String,
    },
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// It had no effect and never will.
    #[error("refused: {code} ({status}) {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's stable word or number.
        code: String,
        /// Its explanation, without anything personal.
        message: String,
    },
}

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) site: String,
    pub(crate) is_test: bool,
}

/// What is to be made at the provider.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// Our payment's id, which the provider keeps and tells back.
    pub(crate) reference: String,
    /// The idempotency key of the call.
    pub(crate) key: &'a str,
    pub(crate) method: Method,
    pub(crate) amount: Money,
    pub(crate) request: &'a Request,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Where notices go, if the provider can call it.
    pub(crate) notification_url: Option<String>,
}

/// What was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Created {
    /// The preference or order.
    pub(crate) provider_reference: Option<String>,
    pub(crate) checkout_url: Option<String>,
    /// The provider's payment, if it is one already.
    pub(crate) payment: Option<Snapshot>,
}

/// One of the provider's payments as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) external_id: String,
    pub(crate) reference: Option<String>,
    pub(crate) account_id: Option<String>,
    /// `None`: a status that this version does not know.
    pub(crate) state: Option<State>,
    /// Why it was rejected.
    pub(crate) reason: Option<String>,
    /// What it was for; `None` when it could not be read in its currency.
    pub(crate) amount: Option<Money>,
    pub(crate) refunded_minor: i64,
    /// The provider's own order of changes.
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) qr_code: Option<String>,
    /// The same as a PNG, in base64.
    pub(crate) qr_code_base64: Option<String>,
    pub(crate) ticket_url: Option<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// What is to be withdrawn: a payment that nobody has paid yet.
#[derive(Debug)]
pub(crate) struct Withdrawal<'a> {
    pub(crate) provider_reference: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) now: DateTime<Utc>,
}

/// Money to give back.
#[derive(Debug)]
pub(crate) struct RefundOrder<'a> {
    pub(crate) external_id: &'a str,
    pub(crate) amount: Money,
    /// What the payment was for.
    pub(crate) of: Money,
    /// What of it was given back before.
    pub(crate) given_minor: i64,
    pub(crate) key: &'a str,
    pub(crate) now: DateTime<Utc>,
}

/// What came of giving money back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refunded {
    /// The provider's refund, where it says.
    pub(crate) external_id: Option<String>,
    /// The payment after it, of a provider that cannot be asked for it.
    pub(crate) payment: Option<Snapshot>,
}

/// What came to the address that a provider was given, as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What a provider says by itself: which of its things to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) topic: String,
    pub(crate) resource_id: String,
    /// It only tries whether the address answers.
    pub(crate) is_test: bool,
    pub(crate) trust: Trust,
}

/// Who vouches for a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The provider: it is stored, and asked about until that is known.
    Signed,
    /// Nobody: it may be anybody's, so few of them are asked about.
    Hint,
    /// It claims to be vouched for and is not. Why: a label of the metric.
    Refused(&'static str),
}

/// The notices of a provider.
pub(crate) trait Notices: Send + Sync {
    /// The route that they come to, which hands them to [`super::inbound::take`] and answers as the provider wants to be.
    fn door(&self) -> OpenApiRouter<App>;
    /// Reads one, and checks it with the secrets that the project and the provider share; `None` if it names nothing.
    fn read(&self, arrival: &Arrival<'_>, secrets: &[&[u8]], now: DateTime<Utc>) -> Option<Notice>;
    /// Whether a topic is about payments, by their ids. Others are stored and ignored.
    fn is_followed(&self, topic: &str) -> bool;
}

/// A payment provider.
pub(crate) trait Provider: Send + Sync {
    /// Its name in the API and the database.
    fn name(&self) -> &'static str;
    /// The ways to pay that are offered through it.
    fn methods(&self) -> &'static [Method];
    /// Whether a project has to set credentials before it can charge.
    fn needs_credentials(&self) -> bool {
        true
    }
    /// Where it is.
    fn base_url(&self, app: &App) -> Url;
    /// What it says by itself; `None` of one that has to be asked, which then has no address.
    fn notices(&self) -> Option<&dyn Notices> {
        None
    }
    /// Where it may send notices, if it can reach the hub.
    fn notification_url(&self, _app: &App, _address: &str) -> Option<String> {
        None
    }
    /// The only currency that an account of the site charges in, where that is known.
    fn currency(&self, site: &str) -> Option<Currency>;
    /// Whose credentials they are.
    fn account<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Exchange<Account>>;
    /// Makes what the customer pays with.
    fn create<'a>(&'a self, access: &'a Access, order: &'a Order<'a>) -> BoxFuture<'a, Exchange<Created>>;
    /// Looks for what an earlier call may have made.
    fn find_created<'a>(
        &'a self,
        access: &'a Access,
        order: &'a Order<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Created>>>;
    /// One of its payments.
    fn find_payment<'a>(
        &'a self,
        access: &'a Access,
        external_id: &'a str,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>>;
    /// All of its payments for a reference.
    fn list_payments<'a>(
        &'a self,
        access: &'a Access,
        reference: &'a str,
    ) -> BoxFuture<'a, Exchange<Vec<Snapshot>>>;
    /// Makes sure that it can no longer be paid. Gives the payment as it is then, if there is one.
    fn withdraw<'a>(
        &'a self,
        access: &'a Access,
        withdrawal: &'a Withdrawal<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>>;
    /// Gives money back, once per key.
    fn refund<'a>(
        &'a self,
        access: &'a Access,
        refund: &'a RefundOrder<'a>,
    ) -> BoxFuture<'a, Exchange<Refunded>>;
    /// Its payments that changed within a time, whoever's reference they have, oldest change first. `None`: there are
    /// more than are read at once, so a shorter time is to be asked for.
    fn list_changed<'a>(
        &'a self,
        access: &'a Access,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> BoxFuture<'a, Exchange<Option<Vec<Snapshot>>>>;
}

/// All providers.
pub(crate) const ALL: [&dyn Provider; 2] = [&mercadopago::MercadoPago, &manual::Manual];

/// The provider of a name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Provider> {
    ALL.into_iter().find(|provider| provider.name() == name)
}

/// The provider that offers a way to pay.
pub(crate) fn for_method(method: Method) -> Option<&'static dyn Provider> {
    ALL.into_iter().find(|provider| provider.methods().contains(&method))
}
