//! SQL of payments.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use trastienda_protocol::money::{Currency, Money};
use trastienda_protocol::payment::Method;
use uuid::Uuid;

use crate::http::pagination::ListQuery;
use crate::payments::model::{Action, Payment};
use crate::payments::status::{Standing, Status};
use crate::queue::Lease;

struct PaymentRow {
    project_id: Uuid,
    id: Uuid,
    provider: String,
    method: String,
    order_id: String,
    amount_minor: i64,
    order_amount_minor: i64,
    amount_refunded_minor: i64,
    currency: String,
    request: Value,
    metadata: Value,
    status: String,
    detail: Option<String>,
    dispute: Option<String>,
    external_id: Option<String>,
    provider_reference: Option<String>,
    provider_key: String,
    checkout_url: Option<String>,
    qr_code: Option<String>,
    qr_code_base64: Option<String>,
    ticket_url: Option<String>,
    action: Option<String>,
    run_at: DateTime<Utc>,
    synced_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    fingerprint: Vec<u8>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = anyhow::Error;

    fn try_from(row: PaymentRow) -> anyhow::Result<Self> {
        let id = PaymentId::from_uuid(row.id);
        let wrong = |column: &str, value: &str| format!("payment_transactions.{column} of {id} is `{value}`");
        let currency = Currency::parse(&row.currency).with_context(|| wrong("currency", &row.currency))?;
        let money = |minor| Money { minor, currency };
        let Value::Object(metadata) = row.metadata else {
            anyhow::bail!("payment_transactions.metadata of {id} is not an object")
        };
        let action = match &row.action {
            Some(text) => Some(Action::parse(text).with_context(|| wrong("action", text))?),
            None => None,
        };
        Ok(Self {
            project_id: ProjectId::from_uuid(row.project_id),
            id,
            provider: row.provider,
            method: Method::parse(&row.method).with_context(|| wrong("method", &row.method))?,
            order_id: row.order_id,
            amount: money(row.amount_minor),
            order_amount: money(row.order_amount_minor),
            request: serde_json::from_value(row.request)
                .with_context(|| format!("payment_transactions.request of {id}"))?,
            metadata,
            standing: Standing {
                status: Status::parse(&row.status).with_context(|| wrong("status", &row.status))?,
                detail: row.detail,
                refunded_minor: row.amount_refunded_minor,
                external_id: row.external_id,
                dispute: row.dispute,
            },
            provider_reference: row.provider_reference,
            provider_key: row.provider_key,
            checkout_url: row.checkout_url,
            qr_code: row.qr_code,
            qr_code_base64: row.qr_code_base64,
            ticket_url: row.ticket_url,
            action,
            run_at: row.run_at,
            synced_at: row.synced_at,
            expires_at: row.expires_at,
            fingerprint: row.fingerprint,
            created_at: row.created_at,
            updated_at: row.updated_at,
            paid_at: row.paid_at,
        })
    }
}

/// Writes a payment that is to be made at its provider, leased if it is called for at once; false if its id is taken.
pub(crate) async fn insert_payment(
    conn: &mut PgConnection,
    payment: &Payment,
    lease: Option<&Lease>,
) -> anyhow::Result<bool> {
    let result = sqlx::query!(
        r#"
        insert into payment_transactions (project_id, id, provider, method, order_id, amount_minor, order_amount_minor,
                                          amount_refunded_minor, currency, request, metadata, status, provider_key, action,
                                          run_at, attempts, expires_at, fingerprint, created_at, updated_at,
                                          lease_token, lease_hub, lease_until)
        values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, 'pending', $11, $12, $13, $17, $14, $15, $16, $16, $18, $19, $20)
        on conflict (project_id, id) do nothing
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        payment.provider,
        payment.method.as_str(),
        payment.order_id,
        payment.amount.minor,
        payment.order_amount.minor,
        payment.amount.currency.as_str(),
        serde_json::to_value(&payment.request)?,
        Value::Object(payment.metadata.clone()),
        payment.provider_key,
        payment.action.map(Action::as_str),
        payment.run_at,
        payment.expires_at,
        payment.fingerprint,
        payment.created_at,
        // A lease is a claim.
        i32::from(lease.is_some()),
        lease.map(Lease::token),
        lease.map(|lease| lease.hub),
        lease.map(|lease| lease.until),
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

pub(crate) async fn find_payment(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PaymentId,
) -> anyhow::Result<Option<Payment>> {
    let row = sqlx::query_as!(
        PaymentRow,
        r#"
        select project_id, id, provider, method, order_id, amount_minor, order_amount_minor, amount_refunded_minor, currency,
               request, metadata, status, detail, dispute, external_id, provider_reference, provider_key, checkout_url,
               qr_code, qr_code_base64, ticket_url, action, run_at, synced_at, expires_at, fingerprint, created_at, updated_at, paid_at
        from payment_transactions
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Payment::try_from).transpose()
}

/// A payment that must be there.
pub(crate) async fn get_payment(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PaymentId,
) -> anyhow::Result<Payment> {
    find_payment(conn, project, id).await?.with_context(|| format!("payment_transactions has no {id}"))
}

/// The payment, locked until the transaction ends: it moves by one hand at a time. With a lease token, only while
/// that lease is the row's.
pub(crate) async fn lock_payment(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PaymentId,
    lease_token: Option<Uuid>,
) -> anyhow::Result<Option<Payment>> {
    let row = sqlx::query_as!(
        PaymentRow,
        r#"
        select project_id, id, provider, method, order_id, amount_minor, order_amount_minor, amount_refunded_minor, currency,
               request, metadata, status, detail, dispute, external_id, provider_reference, provider_key, checkout_url,
               qr_code, qr_code_base64, ticket_url, action, run_at, synced_at, expires_at, fingerprint, created_at, updated_at, paid_at
        from payment_transactions
        where project_id = $1 and id = $2 and ($3::uuid is null or lease_token = $3)
        -- Notices, the worker and callers take turns.
        for update
        "#,
        project.uuid(),
        id.uuid(),
        lease_token,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Payment::try_from).transpose()
}

/// Writes where a locked payment stands. What is settled is not asked about any more.
pub(crate) async fn update_standing(
    conn: &mut PgConnection,
    payment: &Payment,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let standing = &payment.standing;
    sqlx::query!(
        r#"
        update payment_transactions
        set status = $3,
            detail = $4,
            amount_refunded_minor = $5,
            external_id = $6,
            dispute = $7,
            paid_at = $8,
            updated_at = $9,
            action = case when action = 'sync' and $3 <> 'pending' then null else action end
        where project_id = $1 and id = $2
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        standing.status.as_str(),
        standing.detail,
        standing.refunded_minor,
        standing.external_id,
        standing.dispute,
        payment.paid_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is paid for an order and neither given back nor charged back, in minor units. The order is locked until
/// the transaction ends, so that of two payments that settle together the second sees the first.
pub(crate) async fn lock_order_sum(conn: &mut PgConnection, payment: &Payment) -> sqlx::Result<i64> {
    let order = format!("{} {}", payment.project_id, payment.order_id);
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 1))", order).execute(&mut *conn).await?;
    sqlx::query_scalar!(
        r#"
        select coalesce(sum(amount_minor - amount_refunded_minor), 0)::bigint as "sum!"
        from payment_transactions
        where project_id = $1
          and order_id = $2
          and currency = $3
          and status = 'paid'
          and coalesce(detail, '') <> 'charged_back'
        "#,
        payment.project_id.uuid(),
        payment.order_id,
        payment.amount.currency.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// The filters of the list.
pub(crate) struct PaymentFilters {
    pub(crate) provider: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) order_id: Option<String>,
}

pub(crate) async fn list_payments(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &PaymentFilters,
) -> anyhow::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        PaymentRow,
        r#"
        select project_id, id, provider, method, order_id, amount_minor, order_amount_minor, amount_refunded_minor, currency,
               request, metadata, status, detail, dispute, external_id, provider_reference, provider_key, checkout_url,
               qr_code, qr_code_base64, ticket_url, action, run_at, synced_at, expires_at, fingerprint, created_at, updated_at, paid_at
        from payment_transactions
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::text is null or provider = $6)
          and ($7::text is null or status = $7)
          and ($8::text is null or order_id = $8)
        order by created_at desc, id desc
        limit $9
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.provider,
        filters.status,
        filters.order_id,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}
