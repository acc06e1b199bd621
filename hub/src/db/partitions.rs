//! Weekly partitions of the large tables, by ranges of their id.
//!
//! Ids are `UUIDv7`s, which carry their time, so a week is a range of ids. Partitions reach back as far as
//! an agent's backlog may ([`BEHIND`]: an id older than the retention is refused) and two weeks ahead. Those past the
//! retention are dropped whole, one by one, and never while something unfinished is in them or needs them.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};
use trastienda_protocol::ids::lower_bound;

const TABLES: [&str; 3] = ["events", "webhook_deliveries", "webhook_logs"];

/// How far back ids are taken at most, whatever a project's retention.
pub const BEHIND: TimeDelta = TimeDelta::days(35);
const AHEAD: TimeDelta = TimeDelta::days(14);

/// Makes the partitions that are missing around `now`.
pub async fn ensure(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let existing = list(pool).await?;
    let mut week = monday((now - BEHIND).date_naive());
    while week <= (now + AHEAD).date_naive() {
        let next = week + Days::new(7);
        for table in TABLES {
            let name = format!("{table}_{}", week.format("%Y%m%d"));
            if existing.contains(&name) {
                continue;
            }
            let (from, to) = (lower_bound(midnight(week)), lower_bound(midnight(next)));
            let statement = format!(
                "create table if not exists {name} partition of {table} for values from ('{from}') to ('{to}')"
            );
            // Names and bounds are made above from constants and dates.
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
        }
        week = next;
    }
    Ok(())
}

/// The partitions' names.
async fn list(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        select child.relname as "name!"
        from pg_inherits
        join pg_class child on child.oid = pg_inherits.inhrelid
        join pg_class parent on parent.oid = pg_inherits.inhparent
        where parent.relname = any($1)
        "#,
        &TABLES.map(str::to_owned)[..],
    )
    .fetch_all(pool)
    .await
}

/// Drops the partitions that end before a time. Gives back how many.
pub(crate) async fn drop_before(pool: &PgPool, cutoff: DateTime<Utc>) -> sqlx::Result<u64> {
    let mut dropped = 0;
    for name in list(pool).await? {
        let Some(partition) = Partition::parse(&name) else { continue };
        if midnight(partition.week + Days::new(7)) <= cutoff {
            match partition.drop(pool, &name).await {
                Ok(done) => dropped += u64::from(done),
                // Somebody reads it for long: the next hour will do. Waiting would hold up every write.
                Err(error) => tracing::warn!(partition = name, %error, "a partition was not dropped"),
            }
        }
    }
    Ok(dropped)
}

/// A table's week.
#[derive(Debug, PartialEq, Eq)]
struct Partition {
    table: &'static str,
    week: NaiveDate,
}

impl Partition {
    fn parse(name: &str) -> Option<Self> {
        let (table, week) = name.rsplit_once('_')?;
        let table = TABLES.into_iter().find(|known| *known == table)?;
        Some(Self { table, week: NaiveDate::parse_from_str(week, "%Y%m%d").ok()? })
    }

    /// Drops it unless something unfinished is in it or needs it.
    async fn drop(&self, pool: &PgPool, name: &str) -> sqlx::Result<bool> {
        let mut tx = pool.begin().await?;
        sqlx::raw_sql("set local lock_timeout = '2s'").execute(&mut *tx).await?;
        // Nothing becomes pending again between the look and the drop. The name was made here, from a date.
        let lock = format!("lock table {name} in access exclusive mode");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *tx).await?;
        let (from, to) = (lower_bound(midnight(self.week)), lower_bound(midnight(self.week + Days::new(7))));
        let needed = sqlx::query_scalar!(
            r#"
            select exists(
                select
                from (
                    select id, event_id from webhook_deliveries where status = 'pending' and lease_token is null
                    union all
                    select id, event_id from webhook_deliveries where lease_token is not null
                ) as unfinished
                where case $1
                    when 'webhook_deliveries' then id >= $2 and id < $3
                    when 'events' then event_id >= $2 and event_id < $3
                    -- Attempts are later than what they are attempts at.
                    else id < $3
                end
            ) as "needed!"
            "#,
            self.table,
            from,
            to,
        )
        .fetch_one(&mut *tx)
        .await?;
        if !needed {
            sqlx::raw_sql(AssertSqlSafe(format!("drop table {name}"))).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(!needed)
    }
}

fn monday(day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.weekday().num_days_from_monday()))
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_table_and_week() {
        let week = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let read = Partition::parse("webhook_deliveries_20261123");
        assert_eq!(read, Some(Partition { table: "webhook_deliveries", week }));
        for other in ["webhook_deliveries", "projects_20261123", "events_default", "events_2026"] {
            assert_eq!(Partition::parse(other), None, "{other}");
        }
    }
}
