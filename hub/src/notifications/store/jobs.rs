//! SQL of the queues: mail that is due, notifications whose time is over.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::notifications::send::Attempted;
use crate::queue::{Lease, Verdict};

/// A mail that this hub may send now, with all that it needs.
#[derive(Debug)]
pub struct ClaimedMail {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) recipient: String,
    pub(crate) payload: Value,
    pub(crate) template: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) attempts: i32,
    pub(crate) lease_token: Uuid,
    pub(crate) project_name: String,
    pub(crate) is_suppressed: bool,
}

/// Claims due mail. Each active project is asked by itself, in a new order each time and for at most a quarter of
/// the places, so that a backlog of one does not hold up the others.
pub(crate) async fn claim_mail(db: &PgPool, lease: Lease, limit: i64) -> sqlx::Result<Vec<ClaimedMail>> {
    sqlx::query_as!(
        ClaimedMail,
        r#"
        with due as (
            select n.project_id, n.id
            from (select id from projects where is_active order by random()) p
            cross join lateral (
                select project_id, id
                from notifications
                where project_id = p.id
                  and channel = 'email'
                  and status = 'pending'
                  and lease_token is null
                  and run_at <= $1
                  and (expires_at is null or expires_at > $1)
                order by run_at
                limit greatest($2::bigint / 4, 1)
                -- Another hub's claim is under way on these rows.
                for update skip locked
            ) n
            limit $2
        ),
        claimed as (
            update notifications n
            set lease_token = $3, lease_hub = $4, lease_until = $5
            from due
            where n.project_id = due.project_id and n.id = due.id
            returning n.project_id, n.id, n.recipient, n.payload, n.template, n.order_id, n.metadata, n.attempts
        )
        select c.project_id, c.id, c.recipient, c.payload, c.template, c.order_id, c.metadata, c.attempts,
               $3::uuid as "lease_token!", p.name as project_name,
               exists (
                   select from suppressions s
                   where s.project_id = c.project_id
                     and s.address = lower(c.recipient)
                     and (s.expires_at is null or s.expires_at > $1)
               ) as "is_suppressed!"
        from claimed c
        join projects p on p.id = c.project_id
        "#,
        lease.now,
        limit,
        lease.token,
        lease.hub,
        lease.until,
    )
    .fetch_all(db)
    .await
}

/// Moves a mail on, if its lease is still the one under which the attempt was made.
pub(crate) async fn finish_mail(
    conn: &mut PgConnection,
    attempted: &Attempted,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let (status, run_at) = match &attempted.verdict {
        Verdict::Done => ("sent", None),
        Verdict::Failed => ("failed", None),
        Verdict::Retry { at } => ("pending", Some(*at)),
    };
    let mail = &attempted.mail;
    let result = sqlx::query!(
        r#"
        update notifications
        set status = $4,
            detail = $5,
            attempts = attempts + $6,
            run_at = coalesce($7, run_at),
            finished_at = case when $4 <> 'pending' then $8::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
        "#,
        mail.project_id,
        mail.id,
        mail.lease_token,
        status,
        attempted.detail,
        i32::from(attempted.is_counted()),
        run_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

pub(crate) async fn insert_attempt(
    conn: &mut PgConnection,
    id: Uuid,
    attempted: &Attempted,
) -> sqlx::Result<()> {
    let status = if attempted.verdict == Verdict::Done { "sent" } else { "failed" };
    let duration = i32::try_from(attempted.duration.as_millis()).unwrap_or(i32::MAX);
    sqlx::query!(
        r#"
        insert into notification_attempts (project_id, id, notification_id, attempt, status, response_code, response, error,
                                           duration_ms, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        attempted.mail.project_id,
        id,
        attempted.mail.id,
        attempted.mail.attempts + 1,
        status,
        attempted.response_code,
        attempted.response,
        attempted.error,
        duration,
        attempted.at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A notification whose time is over.
#[derive(Debug)]
pub struct Overdue {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) channel: String,
    pub(crate) template: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
}

/// Claims pending notifications of either channel that are past their `expires_at`.
pub(crate) async fn claim_overdue(db: &PgPool, lease: Lease, limit: i64) -> sqlx::Result<Vec<Overdue>> {
    sqlx::query_as!(
        Overdue,
        r#"
        update notifications n
        set lease_token = $3, lease_hub = $4, lease_until = $5
        from (
            select project_id, id
            from notifications
            where status = 'pending' and lease_token is null and expires_at <= $1
            order by expires_at
            limit $2
            for update skip locked
        ) due
        where n.project_id = due.project_id and n.id = due.id
        returning n.project_id, n.id, n.channel, n.template, n.order_id, n.metadata
        "#,
        lease.now,
        limit,
        lease.token,
        lease.hub,
        lease.until,
    )
    .fetch_all(db)
    .await
}
