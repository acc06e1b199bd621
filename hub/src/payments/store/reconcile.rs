//! SQL of comparing the books.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

/// An account whose books are due, and whose comparing this hub has the lease of.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedBooks {
    pub(crate) project_id: Uuid,
    pub(crate) provider: String,
    pub(crate) read_until: Option<DateTime<Utc>>,
    pub(crate) lease_token: Uuid,
}

/// Makes a row for every account that has none.
pub(crate) async fn ensure_books(db: &PgPool, first_run_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_reconciliations (project_id, provider, run_at, checked, raised)
        select project_id, provider, $1, 0, 0
        from payment_providers
        on conflict (project_id, provider) do nothing
        "#,
        first_run_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the lease of the account that has been due for longest.
pub(crate) async fn claim_books(
    db: &PgPool,
    token: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Option<ClaimedBooks>> {
    sqlx::query_as!(
        ClaimedBooks,
        r#"
        with due as (
            select r.project_id, r.provider
            from payment_reconciliations r
            join projects p on p.id = r.project_id and p.is_active
            where r.run_at <= $2 and (r.lease_until is null or r.lease_until < $2)
            order by r.run_at
            limit 1
            -- Another hub is taking this one.
            for update of r skip locked
        )
        update payment_reconciliations r
        set lease_token = $1, lease_until = $3
        from due
        where r.project_id = due.project_id and r.provider = due.provider
        returning r.project_id, r.provider, r.read_until, $1::uuid as "lease_token!"
        "#,
        token,
        now,
        until,
    )
    .fetch_optional(db)
    .await
}

/// Keeps the lease for longer; false if it has passed to another hub.
pub(crate) async fn renew_books(
    db: &PgPool,
    books: &ClaimedBooks,
    until: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update payment_reconciliations set lease_until = $4 where project_id = $1 and provider = $2 and lease_token = $3",
        books.project_id,
        books.provider,
        books.lease_token,
        until,
    )
    .execute(db)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// How a comparing went.
#[derive(Debug)]
pub(crate) struct BooksDone<'a> {
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) read_until: Option<DateTime<Utc>>,
    pub(crate) checked: i64,
    pub(crate) raised: i64,
    pub(crate) failure: Option<&'a str>,
}

/// Gives the lease back and says when the books are due again.
pub(crate) async fn finish_books(
    db: &PgPool,
    books: &ClaimedBooks,
    done: &BooksDone<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update payment_reconciliations
        set run_at = $4, read_until = coalesce($5, read_until), checked = $6, raised = $7, failure = $8, finished_at = $9,
            lease_token = null, lease_until = null
        where project_id = $1 and provider = $2 and lease_token = $3
        "#,
        books.project_id,
        books.provider,
        books.lease_token,
        done.run_at,
        done.read_until,
        done.checked,
        done.raised,
        done.failure,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether any project with an account somewhere has a payment of this id: then it is not this one's to wonder about.
pub(crate) async fn is_payment_anywhere(conn: &mut PgConnection, id: PaymentId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from payment_providers v
            -- One look-up for each account, never a walk through all payments.
            cross join lateral (
                select from payment_transactions where project_id = v.project_id and id = $1 limit 1
            ) t
        ) as "exists!"
        "#,
        id.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Whether the provider's word on one of its payments is waiting to be handled.
pub(crate) async fn has_open_notice(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
    resource_id: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from payment_notices
            where project_id = $1 and provider = $2 and resource_id = $3 and status = 'pending'
        ) as "exists!"
        "#,
        project.uuid(),
        provider,
        resource_id,
    )
    .fetch_one(conn)
    .await
}

/// A payment that is kept here as paid.
#[derive(Debug)]
pub(crate) struct PaidRow {
    pub(crate) id: Uuid,
    pub(crate) external_id: Option<String>,
}

/// The payments of a provider that became paid within a time.
pub(crate) async fn list_paid(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<PaidRow>> {
    sqlx::query_as!(
        PaidRow,
        r#"
        select id, external_id
        from payment_transactions
        where project_id = $1 and provider = $2 and status = 'paid' and paid_at >= $3 and paid_at <= $4
        order by created_at, id
        "#,
        project.uuid(),
        provider,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// Paid payments of orders that the shop never reported. Only of a shop that reports its orders, and only as far
/// back as its reports are kept.
pub(crate) async fn list_paid_without_order(
    conn: &mut PgConnection,
    project: ProjectId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    kept_since: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        with reporting as (
            select min(created_at) as since
            from events
            where project_id = $1 and type = 'order.created' and source = 'shop' and created_at >= $4
        )
        select t.id
        from payment_transactions t, reporting
        where t.project_id = $1
          and t.status = 'paid'
          and t.amount_refunded_minor < t.amount_minor
          and t.paid_at >= $2 and t.paid_at <= $3
          and t.created_at >= reporting.since
          and not exists (
              select from events e
              where e.project_id = t.project_id and e.order_id = t.order_id and e.source = 'shop'
          )
        order by t.created_at, t.id
        "#,
        project.uuid(),
        from,
        to,
        kept_since,
    )
    .fetch_all(conn)
    .await
}

/// Orders that the shop reported as paid within a time, and for which no payment is.
pub(crate) async fn list_orders_without_payment(
    conn: &mut PgConnection,
    project: ProjectId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        select distinct e.order_id as "order_id!"
        from events e
        where e.project_id = $1
          and e.type = 'order.paid'
          and e.source = 'shop'
          and e.status = 'accepted'
          and e.order_id is not null
          and e.created_at >= $2 and e.created_at <= $3
          and not exists (
              select from payment_transactions t
              where t.project_id = e.project_id and t.order_id = e.order_id and t.status = 'paid'
          )
        order by 1
        "#,
        project.uuid(),
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// The payments of an order, the oldest first.
pub(crate) async fn list_of_order(
    conn: &mut PgConnection,
    project: ProjectId,
    order_id: &str,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select id from payment_transactions where project_id = $1 and order_id = $2 order by created_at, id",
        project.uuid(),
        order_id,
    )
    .fetch_all(conn)
    .await
}

/// Payments that took their order's paid sum above what it costs, and the sum then: of the orders that had a payment
/// paid within a time.
#[derive(Debug)]
pub(crate) struct OverpaidRow {
    pub(crate) id: Uuid,
    pub(crate) sum: i64,
}

pub(crate) async fn list_overpaid(
    conn: &mut PgConnection,
    project: ProjectId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<OverpaidRow>> {
    sqlx::query_as!(
        OverpaidRow,
        r#"
        with paid as (
            select t.id, t.order_id, t.amount_minor, t.amount_refunded_minor, t.order_amount_minor, t.paid_at,
                   sum(t.amount_minor - t.amount_refunded_minor)
                       over (partition by t.order_id, t.currency order by t.paid_at, t.id) as running
            from payment_transactions t
            where t.project_id = $1
              and t.status = 'paid'
              and coalesce(t.detail, '') <> 'charged_back'
              and t.order_id in (
                  select order_id from payment_transactions
                  where project_id = $1 and status = 'paid' and paid_at >= $2 and paid_at <= $3
              )
        )
        select id, running::bigint as "sum!"
        from paid
        where running > order_amount_minor
          and running > amount_minor
          and amount_refunded_minor < amount_minor
        order by paid_at, id
        "#,
        project.uuid(),
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// Closes the cases of payments without an order whose order was reported meanwhile.
pub(crate) async fn drop_cases_of_reported_orders(
    conn: &mut PgConnection,
    project: ProjectId,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        r#"
        update payment_cases c
        set status = 'closed', note = 'the order was reported meanwhile', closed_at = $2, subject = subject || ' ' || id::text
        where c.project_id = $1
          and c.kind = 'paid_without_order'
          and c.status = 'open'
          and c.order_id is not null
          and exists (
              select from events e
              where e.project_id = c.project_id and e.order_id = c.order_id and e.source = 'shop'
          )
        "#,
        project.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}

/// How far back a shop's reports are surely kept.
pub(crate) const REPORTS_KEPT: TimeDelta = TimeDelta::days(28);
