//! Weekly partitions of the large tables, by ranges of their id.
//!
//! Ids are `UUIDv7`s, which carry their time, so a week is a range of ids. Partitions reach back as far as
//! an agent's backlog may ([`BEHIND`]: an id older than the retention is refused) and two weeks ahead.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};
use trastienda_protocol::ids::lower_bound;

const TABLES: [&str; 3] = ["events", "webhook_deliveries", "webhook_logs"];

/// How far back ids are taken at most, whatever a project's retention.
pub const BEHIND: TimeDelta = TimeDelta::days(35);
const AHEAD: TimeDelta = TimeDelta::days(14);

/// Makes the partitions that are missing around `now`.
pub async fn ensure(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let existing: Vec<String> = sqlx::query_scalar!(
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
    .await?;
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

fn monday(day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.weekday().num_days_from_monday()))
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
