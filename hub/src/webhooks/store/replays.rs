//! SQL of replays with a rate.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId, lower_bound};
use uuid::Uuid;

use super::recovery::ID_LATE;
use crate::queue::Lease;
use crate::webhooks::recovery::Replay;

/// A replay that this hub may move on.
#[derive(Debug)]
pub struct ClaimedReplay {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
    pub(crate) event_type: Option<String>,
    pub(crate) only_failed: bool,
    pub(crate) rate_per_second: i32,
    pub(crate) released_id: Option<Uuid>,
    pub(crate) lease_token: Uuid,
}

/// A delivery's place in its replay.
pub(crate) struct Released {
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

pub(crate) async fn insert_replay(
    conn: &mut PgConnection,
    id: Uuid,
    of: (ProjectId, EndpointId),
    replay: &Replay,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into webhook_replays (project_id, id, endpoint_id, since, until, event_type, only_failed, rate_per_second,
                                     run_at, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        "#,
        of.0.uuid(),
        id,
        of.1.uuid(),
        replay.since,
        replay.until,
        replay.event_type,
        replay.only_failed,
        replay.rate_per_second,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn claim_replays(
    db: &PgPool,
    lease: &Lease,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedReplay>> {
    sqlx::query_as!(
        ClaimedReplay,
        r#"
        update webhook_replays
        set lease_token = $3, lease_hub = $4, lease_until = $5
        where (project_id, id) in (
            select project_id, id
            from webhook_replays
            where finished_at is null and lease_token is null and run_at <= $1
            order by run_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update skip locked
        )
        returning project_id, id, endpoint_id, since, until, event_type, only_failed, rate_per_second,
                  released_id, $3::uuid as "lease_token!"
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

/// Locks a replay, if its lease is still the one under which it was claimed.
pub(crate) async fn lock_replay(conn: &mut PgConnection, replay: &ClaimedReplay) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"
        select 1 as "one!"
        from webhook_replays
        where project_id = $1 and id = $2 and lease_token = $3
        for update
        "#,
        replay.project_id,
        replay.id,
        replay.lease_token,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Released deliveries of the endpoint that still wait for their first attempt, as far as they fill the rate.
pub(crate) async fn count_unattempted(conn: &mut PgConnection, replay: &ClaimedReplay) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from (
            select
            from webhook_deliveries
            where endpoint_id = $1 and status = 'pending' and lease_token is null and attempts = 0
              and replay_rate is not null
            limit $2
        ) as waiting
        "#,
        replay.endpoint_id,
        i64::from(replay.rate_per_second),
    )
    .fetch_one(conn)
    .await
}

/// Makes the next deliveries of the range pending, spread over a second.
pub(crate) async fn release(
    conn: &mut PgConnection,
    replay: &ClaimedReplay,
    room: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Released>> {
    sqlx::query_as!(
        Released,
        r#"
        with chosen as (
            select d.project_id, d.id, row_number() over (order by d.id) - 1 as place
            from webhook_deliveries d
            where d.project_id = $1
              and d.endpoint_id = $2
              -- The order of these ids is that of `created_at`; what was released lies before.
              and d.id > $5 and d.id < $6
              and d.created_at >= $3 and d.created_at < $4
              and ($7::text is null or d.event_type = $7)
              and (d.status = 'failed' or (d.status = 'sent' and not $8))
              and exists (
                  select from events v
                  where v.project_id = d.project_id and v.id = d.event_id and v.blanked_at is null
              )
            order by d.id
            limit $9
        )
        update webhook_deliveries d
        set status = 'pending', attempts = 0, finished_at = null, is_replay = true, replay_rate = $10::integer,
            run_at = $11::timestamptz + make_interval(secs => chosen.place::double precision / $10::integer)
        from chosen
        where d.project_id = chosen.project_id and d.id = chosen.id and d.status <> 'pending'
        returning d.created_at, d.id
        "#,
        replay.project_id,
        replay.endpoint_id,
        replay.since,
        replay.until,
        replay.released_id.unwrap_or_else(|| lower_bound(replay.since)),
        lower_bound(replay.until + ID_LATE),
        replay.event_type,
        replay.only_failed,
        room,
        replay.rate_per_second,
        now,
    )
    .fetch_all(conn)
    .await
}

/// Writes how far a replay is, and when it goes on; `None`: it is over.
pub(crate) async fn move_replay(
    conn: &mut PgConnection,
    replay: &ClaimedReplay,
    released: &[Released],
    next: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let last = released.iter().max_by_key(|one| one.id);
    sqlx::query!(
        r#"
        update webhook_replays
        set released_at = coalesce($3, released_at), released_id = coalesce($4, released_id), released = released + $5,
            run_at = coalesce($6, run_at), finished_at = case when $6::timestamptz is null then $7::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2
        "#,
        replay.project_id,
        replay.id,
        last.map(|one| one.created_at),
        last.map(|one| one.id),
        i64::try_from(released.len()).unwrap_or(i64::MAX),
        next,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
