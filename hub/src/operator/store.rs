//! SQL of mail to the operator.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Alert;
use super::mail::Attempted;
use crate::queue::{Lease, Verdict};

/// Writes a mail; false if its key was told already.
pub(super) async fn insert_mail(
    conn: &mut PgConnection,
    id: Uuid,
    alert: &Alert,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        insert into operator_mails (id, key, subject, body, status, attempts, run_at, created_at)
        values ($1, $2, $3, $4, 'pending', 0, $5, $5)
        on conflict (key) do nothing
        "#,
        id,
        alert.key,
        alert.subject,
        alert.body,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A mail that this hub may send now.
#[derive(Debug)]
pub(super) struct ClaimedMail {
    pub(super) id: Uuid,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) attempts: i32,
    pub(super) lease_token: Uuid,
}

pub(super) async fn claim_mails(db: &PgPool, lease: &Lease, limit: i64) -> sqlx::Result<Vec<ClaimedMail>> {
    sqlx::query_as!(
        ClaimedMail,
        r#"
        update operator_mails
        set lease_token = $3, lease_hub = $4, lease_until = $5
        where id in (
            select id
            from operator_mails
            where status = 'pending' and lease_token is null and run_at <= $1
            order by run_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update skip locked
        )
        returning id, subject, body, attempts, $3::uuid as "lease_token!"
        "#,
        lease.now,
        limit,
        lease.token(),
        lease.hub,
        lease.until,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn finish_mail(
    conn: &mut PgConnection,
    attempted: &Attempted,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (status, run_at) = match &attempted.verdict {
        Verdict::Done => ("sent", None),
        Verdict::Failed => ("failed", None),
        Verdict::Retry { at } => ("pending", Some(*at)),
    };
    sqlx::query!(
        r#"
        update operator_mails
        set status = $3,
            attempts = attempts + 1,
            last_error = $4,
            run_at = coalesce($5, run_at),
            finished_at = case when $3 <> 'pending' then $6::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where id = $1 and lease_token = $2
        "#,
        attempted.mail.id,
        attempted.mail.lease_token,
        status,
        attempted.error,
        run_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
