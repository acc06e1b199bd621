//! SQL of shared buckets.

use std::time::Duration;

use sqlx::PgPool;

use super::gcra::{Rate, Taken};
use super::meters::Key;

/// Takes cells from a shared bucket, in one statement. `carried` is what this hub took from it before it was shared, as the
/// time that this takes to fill again.
pub(super) async fn take_cells(
    db: &PgPool,
    key: Key,
    rate: Rate,
    asked: u32,
    carried: Duration,
) -> sqlx::Result<Taken> {
    let fresh = rate.take(carried, asked);
    let row = sqlx::query!(
        r#"
        insert into limit_buckets as bucket (project_id, scope, id, granted, full_at)
        values ($1, $2, $3, $4, statement_timestamp() + $5::double precision * interval '1 microsecond')
        on conflict (project_id, scope, id) do update
        set (granted, full_at) = (
            select taken.cells,
                   statement_timestamp()
                   + (before.ahead + taken.cells * $7::bigint / 1000.0)::double precision * interval '1 microsecond'
            from (
                select least(
                    greatest(extract(epoch from bucket.full_at - statement_timestamp()) * 1000000, 0)::bigint + $9::bigint,
                    $8::bigint) as ahead
            ) as before
            cross join lateral (
                select least($6::bigint, ($8::bigint - before.ahead) * 1000 / $7::bigint)::integer as cells
            ) as taken
        )
        returning granted, (extract(epoch from full_at - statement_timestamp()) * 1000000)::bigint as "ahead!"
        "#,
        key.project,
        key.scope.as_str(),
        key.id,
        i32::try_from(fresh.granted).unwrap_or(i32::MAX),
        fresh.ahead.as_secs_f64() * 1_000_000.0,
        i64::from(asked),
        i64::try_from(rate.interval.as_nanos()).unwrap_or(i64::MAX),
        micros(rate.window),
        micros(carried),
    )
    .fetch_one(db)
    .await?;
    let ahead = Duration::from_micros(u64::try_from(row.ahead).unwrap_or(0));
    Ok(Taken { granted: u32::try_from(row.granted).unwrap_or(0).min(asked), ahead })
}

/// Forgets buckets that have been full for an hour: nobody takes from them.
pub(super) async fn delete_full(db: &PgPool) -> sqlx::Result<u64> {
    let result = sqlx::query!("delete from limit_buckets where full_at < now() - interval '1 hour'")
        .execute(db)
        .await?;
    Ok(result.rows_affected())
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
