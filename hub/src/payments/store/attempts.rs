//! SQL of the provider's payments, each as last seen.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::Id as _;

use crate::payments::model::Payment;
use crate::payments::status::{Attempt, State};

struct AttemptRow {
    external_id: String,
    state: String,
    reason: Option<String>,
    refunded_minor: i64,
    is_match: bool,
    provider_updated_at: DateTime<Utc>,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = anyhow::Error;

    fn try_from(row: AttemptRow) -> anyhow::Result<Self> {
        let state = State::parse(&row.state)
            .with_context(|| format!("payment_attempts.state of {} is `{}`", row.external_id, row.state))?;
        Ok(Self {
            external_id: row.external_id,
            state,
            reason: row.reason,
            refunded_minor: row.refunded_minor,
            is_match: row.is_match,
            updated_at: row.provider_updated_at,
        })
    }
}

/// The attempts of a payment, in one order for all readers.
pub(crate) async fn list_attempts(
    conn: &mut PgConnection,
    payment: &Payment,
) -> anyhow::Result<Vec<Attempt>> {
    let rows = sqlx::query_as!(
        AttemptRow,
        r#"
        select external_id, state, reason, refunded_minor, is_match, provider_updated_at
        from payment_attempts
        where project_id = $1 and payment_id = $2
        order by external_id
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Attempt::try_from).collect()
}

/// Writes the latest word on an attempt of a locked payment.
pub(crate) async fn upsert_attempt(
    conn: &mut PgConnection,
    payment: &Payment,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_attempts (project_id, payment_id, external_id, state, reason, refunded_minor, is_match,
                                      provider_updated_at, seen_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (project_id, payment_id, external_id) do update
        set state = excluded.state,
            reason = excluded.reason,
            refunded_minor = excluded.refunded_minor,
            is_match = excluded.is_match,
            provider_updated_at = excluded.provider_updated_at,
            seen_at = excluded.seen_at
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        attempt.external_id,
        attempt.state.as_str(),
        attempt.reason,
        attempt.refunded_minor,
        attempt.is_match,
        attempt.updated_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
