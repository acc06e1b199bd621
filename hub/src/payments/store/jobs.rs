//! SQL of payments as jobs: what is to be done next, and who is doing it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};

use crate::payments::lanes::Rooms;
use crate::payments::model::{Action, Payment};
use crate::queue::Lease;
use crate::queue::in_hand::Hold;

/// A payment that this hub may work on now.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedPayment {
    pub(crate) project: ProjectId,
    pub(crate) id: PaymentId,
    pub(crate) provider: String,
    pub(crate) lease: Hold,
    /// Claims of this action, this one included.
    pub(crate) attempts: i32,
}

/// Claims payments that are due: those that are only asked about, or all others; of each account no more than its
/// lane takes.
pub(crate) async fn claim_payments(
    db: &PgPool,
    lease: &Lease,
    limit: i64,
    is_sync: bool,
    rooms: &Rooms,
) -> sqlx::Result<Vec<ClaimedPayment>> {
    let rows = sqlx::query!(
        r#"
        with lanes as (
            select * from unnest($7::uuid[], $8::text[], $9::bigint[]) as lanes (project_id, provider, room)
        ),
        -- The oldest, without those whose lane takes nothing.
        candidates as (
            select project_id, id, provider
            from payment_transactions t
            where action is not null
              and lease_token is null
              and (action = 'sync') = $3
              and run_at <= $1
              and not exists (
                  select from lanes l where l.project_id = t.project_id and l.provider = t.provider and l.room = 0
              )
            order by run_at
            limit 4 * $2::bigint
        ),
        placed as (
            select project_id, id, provider, row_number() over (partition by project_id, provider) as place
            from candidates
        ),
        due as (
            select t.project_id, t.id
            from payment_transactions t
            join placed p on p.project_id = t.project_id and p.id = t.id
            left join lanes l on l.project_id = p.project_id and l.provider = p.provider
            where p.place <= coalesce(l.room, $10)
              and t.action is not null
              and t.lease_token is null
              and (t.action = 'sync') = $3
              and t.run_at <= $1
            order by t.run_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update of t skip locked
        )
        update payment_transactions t
        set lease_token = $4, lease_hub = $5, lease_until = $6, attempts = attempts + 1
        from due
        where t.project_id = due.project_id and t.id = due.id
        returning t.project_id, t.id, t.provider, t.attempts
        "#,
        lease.now,
        limit,
        is_sync,
        lease.token(),
        lease.hub,
        lease.until,
        &rooms.projects,
        &rooms.providers,
        &rooms.counts,
        rooms.otherwise,
    )
    .fetch_all(db)
    .await?;
    let claimed = rows.into_iter().map(|row| ClaimedPayment {
        project: ProjectId::from_uuid(row.project_id),
        id: PaymentId::from_uuid(row.id),
        provider: row.provider,
        lease: lease.hold.clone(),
        attempts: row.attempts,
    });
    Ok(claimed.collect())
}

/// What is to be done next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) action: Option<Action>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) attempts: Attempts,
}

/// What becomes of the count of an action's claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// Another action begins.
    Anew,
    /// The action is tried again.
    Kept,
    /// Nothing was tried.
    Unspent,
}

/// Ends a claim and says what comes next. `synced_at` is kept unless it is given.
pub(crate) async fn release_payment(
    conn: &mut PgConnection,
    payment: &Payment,
    next: Next,
    synced_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update payment_transactions
        set action = $3,
            run_at = $4,
            attempts = greatest(attempts * $5 - $7, 0),
            synced_at = coalesce($6, synced_at),
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        next.action.map(Action::as_str),
        next.run_at,
        i32::from(next.attempts != Attempts::Anew),
        synced_at,
        i32::from(next.attempts == Attempts::Unspent),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for one whose call has had its outcome: what the provider made for it is written with it.
pub(crate) async fn release_made(
    conn: &mut PgConnection,
    payment: &Payment,
    next: Next,
) -> anyhow::Result<()> {
    sqlx::query!(
        r#"
        update payment_transactions
        set provider_reference = $3,
            checkout_url = $4,
            qr_code = $5,
            qr_code_base64 = $6,
            ticket_url = $7,
            expires_at = $8,
            request = $9,
            action = $10,
            run_at = $11,
            attempts = 0,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        payment.provider_reference,
        payment.checkout_url,
        payment.qr_code,
        payment.qr_code_base64,
        payment.ticket_url,
        payment.expires_at,
        serde_json::to_value(&payment.request)?,
        next.action.map(Action::as_str),
        next.run_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Begins an action on a locked payment that is not being worked on; false if it is.
pub(crate) async fn start_action(
    conn: &mut PgConnection,
    payment: &Payment,
    action: Action,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update payment_transactions
        set action = $3, run_at = $4, attempts = 0
        where project_id = $1 and id = $2 and lease_token is null
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        action.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Does what is to be done next at once.
pub(crate) async fn hasten(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PaymentId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update payment_transactions
        set run_at = $3
        where project_id = $1 and id = $2 and num_nonnulls(action) = 1 and lease_token is null and run_at > $3
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Remembers that the provider was asked about a locked payment.
pub(crate) async fn mark_synced(
    conn: &mut PgConnection,
    payment: &Payment,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update payment_transactions set synced_at = $3 where project_id = $1 and id = $2",
        payment.project_id.uuid(),
        payment.id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
