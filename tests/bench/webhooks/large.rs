//! The claim on a table of five million deliveries, beside the same on an empty one.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::Bench;
use crate::report::{quantile, say, summary};

const DELIVERIES: i64 = 5_000_000;
const PROJECTS: i64 = 20;

/// Sent deliveries over the last four weeks, evenly, for twenty endpoints.
const FILL: &str = "
    insert into webhook_deliveries (project_id, id, endpoint_id, event_id, event_type, order_id, status, attempts,
                                    is_replay, run_at, created_at, finished_at)
    select project, (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || '8'
                     || substr(md5(n::text), 1, 15))::uuid,
           project, md5('event' || n)::uuid, 'order.created', 'B-' || n, 'sent', 1, false, at, at, at
    from (
        select n, md5('project' || (n % $2))::uuid as project, now() - interval '28 days' * (n::double precision / $3) as at
        from generate_series($1::bigint, $1 + 99999) as n
    ) rows";

/// Twenty endpoints with ten due deliveries each. In a transaction that is rolled back: the running hub never sees them.
const SEED: &str = "
    insert into projects (id, name, domain, mode, plan, is_active, created_at, updated_at)
    select md5('project' || n)::uuid, 'large', 'large.example.com', 'test', 'pro', true, now(), now()
    from generate_series(0, 19) as n;
    insert into webhook_endpoints (project_id, id, url, events, description, secret_sealed, max_in_flight, ordered,
                                   created_at, updated_at)
    select md5('project' || n)::uuid, md5('project' || n)::uuid, 'https://example.com', '{*}', '', '', 10, false, now(), now()
    from generate_series(0, 19) as n;
    create temporary table due on commit drop as
    select md5('project' || n % 20)::uuid as project,
           (lpad(to_hex(floor(extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid as id
    from generate_series(1, 200) as n;
    insert into events (project_id, id, type, source, status, data, created_at, fingerprint)
    select project, id, 'order.created', 'shop', 'accepted', '{}', now(), '' from due;
    insert into webhook_deliveries (project_id, id, endpoint_id, event_id, event_type, status, attempts, is_replay, run_at, created_at)
    select project, id, project, id, 'order.created', 'pending', 0, false, now(), now() from due";

/// Measures the claim before and after the table is filled.
pub(super) async fn measure(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let socket = bench.directory.path("hub/postgresql/socket");
    let options =
        PgConnectOptions::new_without_pgpass().socket(&socket).username("trastienda").database("trastienda");
    let mut conn = PgConnection::connect_with(&options).await.context("the hub's PostgreSQL")?;
    conn.execute(trastienda_hub::db::PLANNER).await?;
    let claim = claim_statement()?;
    conn.execute(AssertSqlSafe(format!("prepare claim as {claim}"))).await?;
    let mut empty = times(&mut conn, runs * 10).await?;
    say(&format!("  (filling a table with {DELIVERIES} deliveries)"));
    for first in (0..DELIVERIES).step_by(100_000) {
        sqlx::query(AssertSqlSafe(FILL))
            .bind(first)
            .bind(PROJECTS)
            .bind(DELIVERIES)
            .execute(&mut conn)
            .await?;
    }
    conn.execute("analyze webhook_deliveries").await?;
    let mut full = times(&mut conn, runs * 10).await?;
    super::rows::row("large: claim of 200 due for 20 endpoints, empty table, ms", &summary(&mut empty));
    super::rows::row("        beside 5,000,000 deliveries, ms", &summary(&mut full));
    let ratio = quantile(&mut full, 0.5) / quantile(&mut empty, 0.5);
    super::rows::row("        ratio", &format!("{ratio:>9.2}"));
    for line in plan(&mut conn).await?.iter().filter(|line| line.contains("webhook_deliveries_20")).take(4) {
        say(&format!("        {}", line.trim()));
    }
    conn.execute("truncate webhook_deliveries").await?;
    Ok(())
}

/// The hub's own claim, as it is kept for building without a database.
fn claim_statement() -> anyhow::Result<String> {
    for entry in std::fs::read_dir(e2e::root().join(".sqlx"))? {
        let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let query = kept["query"].as_str().unwrap_or_default();
        if query.contains("update webhook_deliveries") && query.contains("for update skip locked") {
            return Ok(query.to_owned());
        }
    }
    anyhow::bail!("no statement in .sqlx claims deliveries")
}

/// Nothing in hand, nothing fetched ahead, for endpoints that are pushed to.
const CALL: &str = "execute claim(now(), 512, '{}', '{}', gen_random_uuid(), 1, now() + interval '1 minute', 128, '{}', 0, null)";

async fn times(conn: &mut PgConnection, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let mut tx = conn.begin().await?;
        tx.execute(SEED).await?;
        let started = Instant::now();
        let claimed = tx.execute(CALL).await?.rows_affected();
        times.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(claimed == 200, "{claimed} of 200 due deliveries were claimed");
        tx.rollback().await?;
    }
    Ok(times)
}

async fn plan(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("explain {CALL}"))).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| row.get(0)).collect())
}
