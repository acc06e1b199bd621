//! SQL of providers' notices.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

use crate::payments::lanes::Rooms;
use crate::queue::{Lease, Verdict};

/// A notice as it came.
#[derive(Debug)]
pub(crate) struct NewNotice<'a> {
    pub(crate) project: ProjectId,
    pub(crate) id: Uuid,
    pub(crate) provider: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) resource_id: &'a str,
}

/// Stores a signed notice.
pub(crate) async fn insert_notice(
    conn: &mut PgConnection,
    notice: &NewNotice<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_notices (project_id, id, provider, topic, resource_id, is_signed, status, attempts, run_at,
                                     received_at)
        values ($1, $2, $3, $4, $5, true, 'pending', 0, $6, $6)
        "#,
        notice.project.uuid(),
        notice.id,
        notice.provider,
        notice.topic,
        notice.resource_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What became of an unsigned hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hinted {
    Stored,
    /// The same resource is about to be asked about anyway.
    AlreadyOpen,
    /// The project had too many in the last minute.
    TooMany,
}

/// Stores an unsigned hint: one open per resource, and so many per project since a time.
pub(crate) async fn insert_hint(
    conn: &mut PgConnection,
    notice: &NewNotice<'_>,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
    max: i64,
) -> sqlx::Result<Hinted> {
    let row = sqlx::query!(
        r#"
        with counted as (
            select exists (
                       select from payment_notices
                       where project_id = $1 and provider = $3 and topic = $4 and resource_id = $5
                         and status = 'pending' and lease_token is null
                   ) as is_open,
                   (select count(*) from payment_notices where project_id = $1 and not is_signed and received_at > $7) as recent
        ),
        stored as (
            insert into payment_notices (project_id, id, provider, topic, resource_id, is_signed, status, attempts, run_at,
                                         received_at)
            select $1, $2, $3, $4, $5, false, 'pending', 0, $6, $6
            from counted
            where not is_open and recent < $8
            returning id
        )
        select is_open as "is_open!", exists (select from stored) as "is_stored!"
        from counted
        "#,
        notice.project.uuid(),
        notice.id,
        notice.provider,
        notice.topic,
        notice.resource_id,
        now,
        since,
        max,
    )
    .fetch_one(conn)
    .await?;
    Ok(match (row.is_stored, row.is_open) {
        (true, _) => Hinted::Stored,
        (false, true) => Hinted::AlreadyOpen,
        (false, false) => Hinted::TooMany,
    })
}

/// A notice that this hub may look into now.
#[derive(Debug)]
pub(crate) struct ClaimedNotice {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) provider: String,
    pub(crate) topic: String,
    pub(crate) resource_id: String,
    pub(crate) is_signed: bool,
    pub(crate) attempts: i32,
    pub(crate) lease_token: Uuid,
}

/// Claims notices that are due; of each account no more than its lane takes.
pub(crate) async fn claim_notices(
    db: &PgPool,
    lease: &Lease,
    limit: i64,
    rooms: &Rooms,
) -> sqlx::Result<Vec<ClaimedNotice>> {
    sqlx::query_as!(
        ClaimedNotice,
        r#"
        with lanes as (
            select * from unnest($6::uuid[], $7::text[], $8::bigint[]) as lanes (project_id, provider, room)
        ),
        candidates as (
            select project_id, id, provider
            from payment_notices n
            where status = 'pending'
              and lease_token is null
              and run_at <= $1
              and not exists (
                  select from lanes l where l.project_id = n.project_id and l.provider = n.provider and l.room = 0
              )
            order by run_at
            limit 4 * $2::bigint
        ),
        placed as (
            select project_id, id, provider, row_number() over (partition by project_id, provider) as place
            from candidates
        ),
        due as (
            select n.project_id, n.id
            from payment_notices n
            join placed p on p.project_id = n.project_id and p.id = n.id
            left join lanes l on l.project_id = p.project_id and l.provider = p.provider
            where p.place <= coalesce(l.room, $9)
              and n.status = 'pending'
              and n.lease_token is null
              and n.run_at <= $1
            order by n.run_at
            limit $2
            -- Another hub's claim is under way on these rows.
            for update of n skip locked
        )
        update payment_notices n
        set lease_token = $3, lease_hub = $4, lease_until = $5, attempts = attempts + 1
        from due
        where n.project_id = due.project_id and n.id = due.id
        returning n.project_id, n.id, n.provider, n.topic, n.resource_id, n.is_signed, n.attempts, $3::uuid as "lease_token!"
        "#,
        lease.now,
        limit,
        lease.token(),
        lease.hub,
        lease.until,
        &rooms.projects,
        &rooms.providers,
        &rooms.counts,
        rooms.otherwise,
    )
    .fetch_all(db)
    .await
}

/// Moves a notice on, if the lease is still its own; false if it is not. `is_unspent`: nothing was tried.
pub(crate) async fn finish_notice(
    conn: &mut PgConnection,
    notice: &ClaimedNotice,
    verdict: &Verdict,
    is_unspent: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let (status, run_at) = match verdict {
        Verdict::Done => ("handled", None),
        Verdict::Failed => ("ignored", None),
        Verdict::Retry { at } => ("pending", Some(*at)),
    };
    let result = sqlx::query!(
        r#"
        update payment_notices
        set status = $4,
            run_at = coalesce($5, run_at),
            attempts = attempts - $7,
            handled_at = case when $4 <> 'pending' then $6::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2 and lease_token is not distinct from $3
        "#,
        notice.project_id,
        notice.id,
        notice.lease_token,
        status,
        run_at,
        now,
        i32::from(is_unspent),
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Forgets notices that were over before a time.
pub(crate) async fn delete_notices_over(db: &PgPool, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let result =
        sqlx::query!("delete from payment_notices where handled_at < $1", before).execute(db).await?;
    Ok(result.rows_affected())
}

/// A notice that turned out to be about nothing of ours.
pub(crate) async fn mark_notice_ignored(conn: &mut PgConnection, notice: &ClaimedNotice) -> sqlx::Result<()> {
    sqlx::query!(
        "update payment_notices set status = 'ignored' where project_id = $1 and id = $2",
        notice.project_id,
        notice.id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A notice that was refused.
#[derive(Debug)]
pub(crate) struct SampleRow {
    pub(crate) reason: String,
    pub(crate) topic: String,
    pub(crate) resource_id: String,
    pub(crate) received_at: DateTime<Utc>,
}

/// Keeps a refused notice, at most one a second and the last `max` of a project: strangers do not fill the table.
pub(crate) async fn insert_sample(
    conn: &mut PgConnection,
    notice: &NewNotice<'_>,
    reason: &str,
    now: DateTime<Utc>,
    max: i64,
) -> sqlx::Result<()> {
    let inserted = sqlx::query!(
        r#"
        insert into payment_notice_samples (project_id, id, provider, reason, topic, resource_id, received_at)
        select $1, $2, $3, $4, $5, $6, $7
        where not exists (
            select from payment_notice_samples
            where project_id = $1 and received_at > $7::timestamptz - interval '1 second'
        )
        "#,
        notice.project.uuid(),
        notice.id,
        notice.provider,
        reason,
        notice.topic,
        notice.resource_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query!(
        r#"
        delete from payment_notice_samples
        where project_id = $1
          and id not in (
              select id from payment_notice_samples where project_id = $1 order by received_at desc, id desc limit $2
          )
        "#,
        notice.project.uuid(),
        max,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The refused notices that are kept, newest first.
pub(crate) async fn list_samples(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
) -> sqlx::Result<Vec<SampleRow>> {
    sqlx::query_as!(
        SampleRow,
        r#"
        select reason, topic, resource_id, received_at
        from payment_notice_samples
        where project_id = $1 and provider = $2
        order by received_at desc, id desc
        "#,
        project.uuid(),
        provider,
    )
    .fetch_all(conn)
    .await
}
