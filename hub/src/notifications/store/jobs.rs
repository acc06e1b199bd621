//! SQL of the queues: mail that is due, notifications whose time is over.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::notifications::send::Attempted;
use crate::queue::{Lease, Verdict};

/// Bytes of a mail, as they are stored, up to which they come along with its claim. Many mails are claimed at a time.
const AT_ONCE_MAX: i32 = 64 * 1024;

/// A mail that this hub may send now, with all that it needs.
#[derive(Debug)]
pub(crate) struct ClaimedMail {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) recipient: String,
    /// What is sent; `None` where that is large: then it is loaded when its turn comes.
    pub(crate) payload: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) attempts: i32,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) lease_token: Uuid,
    pub(crate) project_name: String,
    pub(crate) project_domain: String,
    pub(crate) is_suppressed: bool,
    /// Whether it goes through the project's own accounts.
    pub(crate) is_own: bool,
}

/// What may be claimed: whose, and how much.
#[derive(Debug)]
pub(crate) struct Room {
    /// Mail of projects with accounts of their own, or of those without.
    pub(crate) is_own: bool,
    pub(crate) limit: i64,
    /// For one project, unless it is listed below.
    pub(crate) each: i64,
    pub(crate) projects: Vec<Uuid>,
    pub(crate) rooms: Vec<i64>,
}

/// Claims due mail. Each active project is asked by itself, in a new order each time and for at most its share of the
/// places, so that a backlog of one does not hold up the others.
pub(crate) async fn claim_mail(db: &PgPool, lease: &Lease, room: &Room) -> sqlx::Result<Vec<ClaimedMail>> {
    sqlx::query_as!(
        ClaimedMail,
        r#"
        with due as (
            select n.project_id, n.id
            from (
                select p.id, coalesce(r.room, $8::bigint) as room
                from projects p
                left join unnest($9::uuid[], $10::bigint[]) as r (project_id, room) on r.project_id = p.id
                where p.is_active
                  and exists (select from smtp_accounts a where a.project_id = p.id and a.is_enabled) = $7
                order by random()
            ) p
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
                limit p.room
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
            returning n.project_id, n.id, n.recipient, n.payload, n.template, n.order_id, n.metadata, n.attempts, n.expires_at
        )
        select c.project_id, c.id, c.recipient, c.template, c.order_id, c.metadata, c.attempts, c.expires_at,
               case when pg_column_size(c.payload) <= $11 then c.payload::text end as payload,
               $3::uuid as "lease_token!", p.name as project_name, p.domain as project_domain, $6::boolean as "is_own!",
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
        room.limit,
        lease.token(),
        lease.hub,
        lease.until,
        room.is_own,
        room.is_own,
        room.each,
        &room.projects,
        &room.rooms,
        AT_ONCE_MAX,
    )
    .fetch_all(db)
    .await
}

/// What a claimed mail says, if the lease is still its own.
pub(crate) async fn load_payload(db: &PgPool, mail: &ClaimedMail) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"select payload::text as "payload!"
           from notifications
           where project_id = $1 and id = $2
             and lease_token is not distinct from $3"#,
        mail.project_id,
        mail.id,
        mail.lease_token,
    )
    .fetch_optional(db)
    .await
}

/// Moves mails on whose lease is still the one under which they were tried; gives which those are.
pub(crate) async fn finish_mails(
    conn: &mut PgConnection,
    done: &[Attempted],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<(Uuid, Uuid)>> {
    let column =
        |read: fn(&ClaimedMail) -> Uuid| -> Vec<Uuid> { done.iter().map(|one| read(&one.mail)).collect() };
    let statuses: Vec<String> = done.iter().map(|one| status_of(&one.verdict).to_owned()).collect();
    let details: Vec<Option<String>> = done.iter().map(|one| one.detail.map(str::to_owned)).collect();
    let counted: Vec<i32> = done.iter().map(|one| i32::from(one.is_counted())).collect();
    let run_ats: Vec<Option<DateTime<Utc>>> = done
        .iter()
        .map(|one| match &one.verdict {
            Verdict::Retry { at } => Some(*at),
            Verdict::Done | Verdict::Failed => None,
        })
        .collect();
    let rows = sqlx::query!(
        r#"
        update notifications n
        set status = d.status,
            detail = d.detail,
            attempts = n.attempts + d.counted,
            run_at = coalesce(d.run_at, n.run_at),
            finished_at = case when d.status <> 'pending' then $8::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::integer[], $7::timestamptz[])
            as d (project_id, id, lease_token, status, detail, counted, run_at)
        where n.project_id = d.project_id and n.id = d.id and n.lease_token is not distinct from d.lease_token
          and n.status = 'pending'
        returning n.project_id, n.id
        "#,
        &column(|mail| mail.project_id),
        &column(|mail| mail.id),
        &column(|mail| mail.lease_token),
        &statuses,
        &details as &[Option<String>],
        &counted,
        &run_ats as &[Option<DateTime<Utc>>],
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.id)).collect())
}

fn status_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "sent",
        Verdict::Failed => "failed",
        Verdict::Retry { .. } => "pending",
    }
}

/// Writes what each server that was asked said.
pub(crate) async fn insert_tries(conn: &mut PgConnection, rows: &TryRows) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into notification_attempts (project_id, id, notification_id, attempt, status, server, is_doubtful,
                                           response_code, response, error, duration_ms, created_at)
        select *
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::boolean[],
                    $8::integer[], $9::text[], $10::text[], $11::integer[], $12::timestamptz[])
        "#,
        &rows.projects,
        &rows.ids,
        &rows.notifications,
        &rows.attempts,
        &rows.statuses,
        &rows.servers as &[Option<String>],
        &rows.doubtful,
        &rows.codes as &[Option<i32>],
        &rows.responses as &[Option<String>],
        &rows.errors as &[Option<String>],
        &rows.durations,
        &rows.times,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Rows of attempts, column by column.
#[derive(Debug, Default)]
pub(crate) struct TryRows {
    pub(crate) projects: Vec<Uuid>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) notifications: Vec<Uuid>,
    pub(crate) attempts: Vec<i32>,
    pub(crate) statuses: Vec<String>,
    pub(crate) servers: Vec<Option<String>>,
    pub(crate) doubtful: Vec<bool>,
    pub(crate) codes: Vec<Option<i32>>,
    pub(crate) responses: Vec<Option<String>>,
    pub(crate) errors: Vec<Option<String>>,
    pub(crate) durations: Vec<i32>,
    pub(crate) times: Vec<DateTime<Utc>>,
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
pub(crate) async fn claim_overdue(db: &PgPool, lease: &Lease, limit: i64) -> sqlx::Result<Vec<Overdue>> {
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
        lease.token(),
        lease.hub,
        lease.until,
    )
    .fetch_all(db)
    .await
}
