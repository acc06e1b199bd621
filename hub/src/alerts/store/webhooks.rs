//! SQL of the events to the operator's webhook, and of what went out lately.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::queue::{Lease, Verdict};

/// An event to be posted.
#[derive(Debug)]
pub(crate) struct NewWebhook<'a> {
    pub(crate) id: Uuid,
    pub(crate) alert_id: Option<Uuid>,
    pub(crate) event_type: &'static str,
    pub(crate) body: &'a str,
}

pub(crate) async fn insert_webhook(
    conn: &mut PgConnection,
    new: &NewWebhook<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into alert_webhooks (id, alert_id, event_type, body, status, attempts, run_at, created_at)
        values ($1, $2, $3, $4, 'pending', 0, $5, $5)
        "#,
        new.id,
        new.alert_id,
        new.event_type,
        new.body,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An event that this hub may post now.
#[derive(Debug)]
pub(crate) struct ClaimedWebhook {
    pub(crate) id: Uuid,
    pub(crate) body: String,
    pub(crate) attempts: i32,
    pub(crate) lease_token: Uuid,
}

pub(crate) async fn claim_webhooks(
    db: &PgPool,
    lease: &Lease,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedWebhook>> {
    sqlx::query_as!(
        ClaimedWebhook,
        r#"
        update alert_webhooks
        set lease_token = $3, lease_hub = $4, lease_until = $5
        where id in (
            select id
            from alert_webhooks
            where status = 'pending' and lease_token is null and run_at <= $1
            order by run_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update skip locked
        )
        returning id, body, attempts, $3::uuid as "lease_token!"
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

/// What became of an attempt.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) webhook: ClaimedWebhook,
    pub(crate) response_code: Option<i32>,
    pub(crate) error: Option<String>,
    pub(crate) verdict: Verdict,
}

pub(crate) async fn finish_webhook(
    conn: &mut PgConnection,
    posted: &Posted,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (status, run_at) = match &posted.verdict {
        Verdict::Done => ("sent", None),
        Verdict::Failed => ("failed", None),
        Verdict::Retry { at } => ("pending", Some(*at)),
    };
    sqlx::query!(
        r#"
        update alert_webhooks
        set status = $3,
            attempts = attempts + 1,
            response_code = $4,
            last_error = $5,
            run_at = coalesce($6, run_at),
            finished_at = case when $3 <> 'pending' then $7::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where id = $1 and lease_token = $2
        "#,
        posted.webhook.id,
        posted.webhook.lease_token,
        status,
        posted.response_code,
        posted.error,
        run_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A mail or an event that went out, or is about to.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// `mail` or `webhook`.
    pub(crate) way: String,
    /// The mail's subject, or the event's type.
    pub(crate) what: String,
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) error: Option<String>,
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub(crate) created_at: DateTime<Utc>,
}

/// What went out lately, the newest first.
pub(crate) async fn list_messages(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Message>> {
    sqlx::query_as!(
        Message,
        r#"
        select way as "way!", what as "what!", status as "status!", attempts as "attempts!", error, created_at as "created_at!"
        from (
            (select 'mail' as way, subject as what, status, attempts, last_error as error, created_at
             from operator_mails order by created_at desc limit $1)
            union all
            (select 'webhook', event_type, status, attempts, last_error, created_at
             from alert_webhooks order by created_at desc limit $1)
        ) as messages
        order by created_at desc
        limit $1
        "#,
        limit,
    )
    .fetch_all(conn)
    .await
}
