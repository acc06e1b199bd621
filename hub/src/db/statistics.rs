//! Statistics for tables that have just begun to fill.
//!
//! PostgreSQL looks at a table after a minute at the earliest, and knows nothing of it before. To a planner that knows
//! nothing, every index that begins with the project looks as good as the primary key, and a week's new partition is
//! filled by thousands a second. So a young table is looked at at once, and again each time that it has grown by
//! [`GROWTH`]; that also has the plans made anew that were kept from when it was empty. Later PostgreSQL's own rhythm
//! is good enough.

use sqlx::{AssertSqlSafe, PgPool};

/// Rows below which nothing can be learned: of one row, every column looks unique.
const ROWS_MIN: i64 = 100;
/// So many times the rows of the last look make it worth another.
const GROWTH: f32 = 5.0;
/// Rows above which a table is not young.
const YOUNG: f32 = 100_000.0;

/// Looks at the tables that have grown much since they were looked at. Gives how many there were.
pub async fn analyze_young(db: &PgPool) -> sqlx::Result<usize> {
    let grown = sqlx::query_scalar!(
        r#"
        select quote_ident(s.schemaname) || '.' || quote_ident(s.relname) as "name!"
        from pg_stat_user_tables s
        join pg_class c on c.oid = s.relid
        where s.schemaname = current_schema()
          and s.n_live_tup >= $1
          and c.reltuples < $2
          and s.n_live_tup >= $3::real * greatest(c.reltuples, 0)
        "#,
        ROWS_MIN,
        YOUNG,
        GROWTH,
    )
    .fetch_all(db)
    .await?;
    for name in &grown {
        // Another hub that looks at it is as good.
        sqlx::raw_sql(AssertSqlSafe(format!("analyze (skip_locked) {name}"))).execute(db).await?;
    }
    Ok(grown.len())
}
