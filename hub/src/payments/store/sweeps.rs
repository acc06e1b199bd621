//! SQL of accounts as jobs: when each is asked what changed.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

use crate::payments::provider::Snapshot;
use crate::queue::Lease;

/// An account that this hub may ask now.
#[derive(Debug)]
pub(crate) struct ClaimedAccount {
    pub(crate) project_id: Uuid,
    pub(crate) provider: String,
    pub(crate) swept_until: Option<DateTime<Utc>>,
    pub(crate) lease_token: Uuid,
}

/// Claims accounts that are due and have payments that wait.
pub(crate) async fn claim_accounts(
    db: &PgPool,
    lease: &Lease,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedAccount>> {
    sqlx::query_as!(
        ClaimedAccount,
        r#"
        with due as (
            select v.project_id, v.provider
            from payment_providers v
            join projects p on p.id = v.project_id and p.is_active
            where v.lease_token is null
              and v.sweep_at <= $1
              and exists (
                  select from payment_transactions t
                  where t.project_id = v.project_id and t.provider = v.provider and t.action = 'sync'
              )
            order by v.sweep_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update of v skip locked
        )
        update payment_providers v
        set lease_token = $3, lease_hub = $4, lease_until = $5
        from due
        where v.project_id = due.project_id and v.provider = due.provider
        returning v.project_id, v.provider, v.swept_until, $3::uuid as "lease_token!"
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

/// What one asking showed.
#[derive(Debug)]
pub(crate) struct NextSweep<'a> {
    /// When the account is asked next.
    pub(crate) sweep_at: DateTime<Utc>,
    /// Up to when what changed is known; nothing where it did not answer.
    pub(crate) swept_until: Option<DateTime<Utc>>,
    /// How it failed; nothing too where it was only not asked.
    pub(crate) failure: Option<&'a str>,
}

/// Ends a claim, and says when the account is asked next and what of its time is known.
pub(crate) async fn release_account(
    db: &PgPool,
    account: &ClaimedAccount,
    next: NextSweep<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update payment_providers
        set sweep_at = $4, swept_until = coalesce($5, swept_until), lease_token = null, lease_hub = null, lease_until = null,
            failing_since = case when $6::text is not null then coalesce(failing_since, $7)
                                 when $5::timestamptz is null then failing_since end,
            failure = case when $6 is not null then $6 when $5 is null then failure end
        where project_id = $1 and provider = $2 and lease_token = $3
        "#,
        account.project_id,
        account.provider,
        account.lease_token,
        next.sweep_at,
        next.swept_until,
        next.failure,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Which of the provider's payments say something new about payments of ours that are pending.
pub(crate) async fn list_news(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
    snapshots: &[(PaymentId, &Snapshot)],
) -> sqlx::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = snapshots.iter().map(|(id, _)| id.uuid()).collect();
    let external_ids: Vec<String> = snapshots.iter().map(|(_, seen)| seen.external_id.clone()).collect();
    let updated_ats: Vec<DateTime<Utc>> = snapshots.iter().map(|(_, seen)| seen.updated_at).collect();
    sqlx::query_scalar!(
        r#"
        select distinct t.id
        from unnest($3::uuid[], $4::text[], $5::timestamptz[]) as seen (id, external_id, updated_at)
        join payment_transactions t
            on t.project_id = $1 and t.id = seen.id and t.provider = $2 and t.status = 'pending'
        where not exists (
            select from payment_attempts a
            where a.project_id = $1
              and a.payment_id = seen.id
              and a.external_id = seen.external_id
              and a.provider_updated_at >= seen.updated_at
        )
        "#,
        project.uuid(),
        provider,
        &ids,
        &external_ids,
        &updated_ats,
    )
    .fetch_all(conn)
    .await
}
