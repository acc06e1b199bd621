//! SQL of what was saved. Ids carry the time at which whoever made a call made it, so a day is a range of ids, and how long a
//! call was kept is the time between its id and its row.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use trastienda_protocol::ids::lower_bound;
use uuid::Uuid;

use super::Saving;

/// A day in numbers; or several together.
#[derive(Debug, Default)]
pub(crate) struct Day {
    /// Which, where it is one.
    pub(crate) date: Option<NaiveDate>,
    pub(crate) kept: i64,
    pub(crate) outages: i64,
    pub(crate) redelivered: i64,
    pub(crate) remailed: i64,
    pub(crate) duplicates: i64,
    pub(crate) recovered: i64,
    /// In minor units.
    pub(crate) sums: BTreeMap<String, i64>,
}

impl Day {
    pub(super) fn add(&mut self, other: &Self) {
        self.kept += other.kept;
        self.outages += other.outages;
        self.redelivered += other.redelivered;
        self.remailed += other.remailed;
        self.duplicates += other.duplicates;
        self.recovered += other.recovered;
        for (currency, minor) in &other.sums {
            *self.sums.entry(currency.clone()).or_default() += minor;
        }
    }

    /// The number of one saving.
    pub(crate) fn of(&self, saving: Saving) -> i64 {
        match saving {
            Saving::Kept => self.kept,
            Saving::Redelivered => self.redelivered,
            Saving::Remailed => self.remailed,
            Saving::Duplicates => self.duplicates,
            Saving::Recovered => self.recovered,
        }
    }
}

/// Kept days of a range.
pub(super) async fn list_days(
    conn: &mut PgConnection,
    project: Uuid,
    from: NaiveDate,
    until: NaiveDate,
) -> sqlx::Result<Vec<Day>> {
    let rows = sqlx::query!(
        r#"
        select day, kept, outages, redelivered, remailed, duplicates, recovered,
               sums as "sums: Json<BTreeMap<String, i64>>"
        from saved_daily
        where project_id = $1 and day >= $2 and day < $3
        "#,
        project,
        from,
        until,
    )
    .fetch_all(conn)
    .await?;
    let days = rows.into_iter().map(|row| Day {
        date: Some(row.day),
        kept: row.kept,
        outages: row.outages,
        redelivered: row.redelivered,
        remailed: row.remailed,
        duplicates: row.duplicates,
        recovered: row.recovered,
        sums: row.sums.0,
    });
    Ok(days.collect())
}

pub(super) async fn keep_day(
    conn: &mut PgConnection,
    project: Uuid,
    day: NaiveDate,
    counted: &Day,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into saved_daily (project_id, day, kept, outages, redelivered, remailed, duplicates, recovered, sums)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (project_id, day) do nothing
        "#,
        project,
        day,
        counted.kept,
        counted.outages,
        counted.redelivered,
        counted.remailed,
        counted.duplicates,
        counted.recovered,
        Json(&counted.sums) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a day. A call was kept if its row came more than a minute after its id; an outage is a row of such calls with no
/// five minutes between two of their rows. A payment was recovered if it was paid before, or without, any notice.
pub(super) async fn count_day(
    conn: &mut PgConnection,
    project: Uuid,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<Day> {
    let row = sqlx::query!(
        r#"
        with calls as (
            select id, created_at, duplicate_of is not null as is_duplicate, source
            from events
            where project_id = $1 and id >= $2 and id < $3
            union all
            select id, created_at, false, 'shop'
            from notifications
            where project_id = $1 and id >= $2 and id < $3
        ),
        kept as (
            select created_at, created_at - lag(created_at) over (order by created_at) as gap
            from calls
            where source = 'shop'
              and extract(epoch from created_at) * 1000
                  - ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint > 60000
        ),
        recovered as (
            select currency, amount_minor
            from payment_transactions t
            where project_id = $1 and created_at >= $4 and created_at < $5 and status = 'paid' and provider <> 'manual'
              and method <> 'card'
              and not exists (
                  select from payment_timeline e
                  where e.project_id = $1 and e.payment_id = t.id and e.kind = 'notice' and e.created_at <= t.paid_at
              )
        )
        select (select count(*) from kept) as "kept!",
               (select count(*) from kept where gap is null or gap > interval '5 minutes') as "outages!",
               (select count(*) from calls where is_duplicate) as "duplicates!",
               (select count(*) from webhook_deliveries
                where project_id = $1 and id >= $2 and id < $3 and status = 'sent' and attempts > 1) as "redelivered!",
               (select count(*) from notifications
                where project_id = $1 and id >= $2 and id < $3 and status = 'sent' and channel = 'email'
                  and attempts > 1) as "remailed!",
               (select count(*) from recovered) as "recovered!",
               (select coalesce(jsonb_object_agg(currency, minor), '{}')
                from (select currency, sum(amount_minor)::bigint as minor from recovered group by currency) s)
                   as "sums!: Json<BTreeMap<String, i64>>"
        "#,
        project,
        lower_bound(from),
        lower_bound(until),
        from,
        until,
    )
    .fetch_one(conn)
    .await?;
    Ok(Day {
        date: None,
        kept: row.kept,
        outages: row.outages,
        redelivered: row.redelivered,
        remailed: row.remailed,
        duplicates: row.duplicates,
        recovered: row.recovered,
        sums: row.sums.0,
    })
}

/// A row behind a number.
#[derive(Debug)]
pub(crate) struct Row {
    /// `event`, `delivery`, `notification` or `payment`.
    pub(crate) of: String,
    pub(crate) id: Uuid,
    pub(crate) what: String,
    pub(crate) order_id: Option<String>,
    /// When its row came; of payments, when they were paid.
    pub(crate) at: DateTime<Utc>,
}

pub(super) async fn list_rows(
    conn: &mut PgConnection,
    project: Uuid,
    saving: Saving,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (first, last) = (lower_bound(from), lower_bound(until));
    match saving {
        Saving::Kept => list_kept(conn, project, (first, last), limit).await,
        Saving::Duplicates => {
            sqlx::query_as!(
                Row,
                r#"
                select 'event' as "of!", id, type as what, order_id, created_at as at
                from events
                where project_id = $1 and id >= $2 and id < $3 and duplicate_of is not null
                order by id desc
                limit $4
                "#,
                project,
                first,
                last,
                limit,
            )
            .fetch_all(conn)
            .await
        }
        Saving::Redelivered => {
            sqlx::query_as!(
                Row,
                r#"
                select 'delivery' as "of!", id, event_type as what, order_id, coalesce(finished_at, created_at) as "at!"
                from webhook_deliveries
                where project_id = $1 and id >= $2 and id < $3 and status = 'sent' and attempts > 1
                order by id desc
                limit $4
                "#,
                project,
                first,
                last,
                limit,
            )
            .fetch_all(conn)
            .await
        }
        Saving::Remailed => {
            sqlx::query_as!(
                Row,
                r#"
                select 'notification' as "of!", id, coalesce(template, channel) as "what!", order_id,
                       coalesce(finished_at, created_at) as "at!"
                from notifications
                where project_id = $1 and id >= $2 and id < $3 and status = 'sent' and channel = 'email' and attempts > 1
                order by id desc
                limit $4
                "#,
                project,
                first,
                last,
                limit,
            )
            .fetch_all(conn)
            .await
        }
        Saving::Recovered => {
            sqlx::query_as!(
                Row,
                r#"
                select 'payment' as "of!", id, method || ' · ' || provider as "what!", order_id as "order_id?",
                       coalesce(paid_at, created_at) as "at!"
                from payment_transactions t
                where project_id = $1 and created_at >= $2 and created_at < $3 and status = 'paid'
                  and provider <> 'manual' and method <> 'card'
                  and not exists (
                      select from payment_timeline e
                      where e.project_id = $1 and e.payment_id = t.id and e.kind = 'notice' and e.created_at <= t.paid_at
                  )
                order by created_at desc, id desc
                limit $4
                "#,
                project,
                from,
                until,
                limit,
            )
            .fetch_all(conn)
            .await
        }
    }
}

async fn list_kept(
    conn: &mut PgConnection,
    project: Uuid,
    (first, last): (Uuid, Uuid),
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
                select of as "of!", id as "id!", what as "what!", order_id, at as "at!"
                from (
                    (select 'event' as of, id, type as what, order_id, created_at as at
                     from events
                     where project_id = $1 and id >= $2 and id < $3 and source = 'shop'
                       and extract(epoch from created_at) * 1000
                           - ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint > 60000
                     order by id desc limit $4)
                    union all
                    (select 'notification', id, coalesce(template, channel), order_id, created_at
                     from notifications
                     where project_id = $1 and id >= $2 and id < $3
                       and extract(epoch from created_at) * 1000
                           - ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint > 60000
                     order by id desc limit $4)
                ) as kept
                order by id desc
                limit $4
                "#,
        project,
        first,
        last,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn list_services(
    conn: &mut PgConnection,
    project: Uuid,
    from: NaiveDate,
    until: NaiveDate,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        select distinct service
        from usage_daily
        where project_id = $1 and day >= $2 and day < $3 and used > 0
        order by service
        "#,
        project,
        from,
        until,
    )
    .fetch_all(conn)
    .await
}
