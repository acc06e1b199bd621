//! Cases: differences between what a provider, a shop and the hub know, for a person to decide and close.
//!
//! A case is raised in the transaction that finds the difference, and the same difference is raised once, however
//! often it is found and whether or not its case is closed. A case moves no money and no status.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::{CaseId, Id as _, PaymentId, ProjectId};
use trastienda_protocol::money::{Currency, Money};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Payment;
use super::store;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentCaseKind)]
pub enum Kind {
    /// Money was taken for an order that nobody reported, or for a payment that is not known here.
    PaidWithoutOrder,
    /// An order is reported, or kept here, as paid, and no money was taken for it.
    OrderWithoutPayment,
    /// Money was taken in another amount, currency or account than was asked for.
    AmountMismatch,
    /// Money was taken twice for one order.
    Duplicate,
    /// Other sums were given back than is known here.
    RefundMismatch,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::PaidWithoutOrder,
        Self::OrderWithoutPayment,
        Self::AmountMismatch,
        Self::Duplicate,
        Self::RefundMismatch,
    ];

    /// The word used in JSON and SQL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PaidWithoutOrder => "paid_without_order",
            Self::OrderWithoutPayment => "order_without_payment",
            Self::AmountMismatch => "amount_mismatch",
            Self::Duplicate => "duplicate",
            Self::RefundMismatch => "refund_mismatch",
        }
    }

    /// Reads the word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A difference that was found.
#[derive(Debug, Clone)]
pub(crate) struct NewCase {
    pub(crate) kind: Kind,
    /// What differs from what, as far as it tells this difference from others of its kind.
    pub(crate) subject: String,
    pub(crate) provider: String,
    pub(crate) payment_id: Option<PaymentId>,
    pub(crate) order_id: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) expected: Option<Money>,
    pub(crate) actual: Option<Money>,
    pub(crate) detail: String,
}

impl NewCase {
    /// A difference about one of our payments.
    pub(crate) fn about(
        payment: &Payment,
        kind: Kind,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            subject: subject.into(),
            provider: payment.provider.clone(),
            payment_id: Some(payment.id),
            order_id: Some(payment.order_id.clone()),
            external_id: payment.standing.external_id.clone(),
            expected: None,
            actual: None,
            detail: detail.into(),
        }
    }
}

/// Raises a case; false if the same difference was raised before.
pub(crate) async fn raise(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    case: &NewCase,
) -> sqlx::Result<bool> {
    let id: CaseId = app.new_id();
    if !store::insert_case(conn, project, id, case, app.clock.now()).await? {
        return Ok(false);
    }
    let kind = case.kind.as_str();
    metrics::counter!("trastienda_payment_cases_total", "kind" => kind).increment(1);
    tracing::error!(
        project.id = %project,
        case.id = %id,
        payment.id = case.payment_id.map(|id| id.to_string()),
        kind,
        "a payment's books differ: somebody has to look at `GET /v1/payment-cases`"
    );
    Ok(true)
}

/// A difference for a person to decide.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentCase)]
pub struct Case {
    /// Its id.
    pub(crate) id: CaseId,
    /// What differs.
    pub(crate) kind: Kind,
    /// `open` or `closed`.
    pub(crate) status: String,
    /// Whose books are the other side.
    pub(crate) provider: String,
    /// Our payment, where there is one.
    pub(crate) payment_id: Option<PaymentId>,
    /// The shop's order, where it is known.
    pub(crate) order_id: Option<String>,
    /// The provider's payment, where there is one.
    pub(crate) external_id: Option<String>,
    /// What should be, as a decimal string.
    pub(crate) expected: Option<String>,
    /// What is, as a decimal string.
    pub(crate) actual: Option<String>,
    /// The currency of both.
    #[schema(value_type = Option<String>)]
    pub(crate) currency: Option<Currency>,
    /// What was found, in words.
    pub(crate) detail: String,
    /// Why it was closed.
    pub(crate) note: Option<String>,
    /// When it was found.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub(crate) created_at: DateTime<Utc>,
    /// When it was closed.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

/// The routes of cases.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(close))
}

/// Lists cases, newest first. Filters: `kind`, `status` (`open`, `closed`), `order_id`.
#[utoipa::path(get, path = "/v1/payment-cases", tag = "payments", responses((status = 200, body = Page<Case>)))]
async fn list(State(app): State<App>, caller: Caller, mut query: ListQuery) -> Result<Json<Page<Case>>> {
    let [kind, status, order_id] = query.filters(["kind", "status", "order_id"])?;
    if kind.as_deref().is_some_and(|kind| Kind::parse(kind).is_none()) {
        let known = Kind::ALL.map(Kind::as_str).join("`, `");
        return Err(Error::field("?kind", format!("must be one of `{known}`")));
    }
    let filters = store::CaseFilters { kind, status, order_id };
    let mut conn = app.db.acquire().await?;
    let cases = store::list_cases(&mut conn, caller.project.id, &query, &filters).await?;
    let place = |case: &Case| Cursor { created_at: case.created_at, id: case.id.uuid() };
    Ok(Json(Page::of(cases, &query, place, |case| case)))
}

/// Closes a case with a note of what was done about it. One that is closed stays as it is.
#[utoipa::path(
    post, path = "/v1/payment-cases/{id}/close", tag = "payments",
    responses((status = 200, body = Case), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
async fn close(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Case>> {
    let unknown = || Error::NotFound("payment case");
    let id = CaseId::parse(&id).map_err(|_| unknown())?;
    let note = parse_note(&body)?;
    let project = caller.project.id;
    let mut conn = app.db.acquire().await?;
    store::close_case(&mut conn, project, id, &note, app.clock.now()).await?;
    Ok(Json(store::find_case(&mut conn, project, id).await?.ok_or_else(unknown)?))
}

fn parse_note(body: &Value) -> std::result::Result<String, Vec<FieldError>> {
    let mut errors = Errors::default();
    let note = Fields::of(body, &mut errors).and_then(|mut fields| {
        let note = fields.required("note", check::text(1, 2_000));
        fields.finish();
        note
    });
    errors.finish(note)
}
