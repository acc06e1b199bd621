//! No statement of the hub's reads a large table whole, nor walks through an index of one, once the hub has
//! looked at what is new in it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Row as _};
use trastienda_hub::queue::leases;
use trastienda_hub::{db, gauges};
use trastienda_protocol::clock::{Clock as _, SystemClock};

/// Tables that grow with every order.
const LARGE: [&str; 9] = [
    "events",
    "webhook_deliveries",
    "webhook_logs",
    "notifications",
    "notification_attempts",
    "payment_transactions",
    "payment_timeline",
    "payment_notices",
    "idempotency_keys",
];

/// Statements as they are kept for building without a database, or put together by the hub, and how many parameters each has.
fn statements() -> Vec<(String, usize)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx");
    let mut statements: Vec<_> = leases::statements().into_iter().chain(gauges::statements()).collect();
    for entry in std::fs::read_dir(directory).unwrap() {
        let kept: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let parameters = kept["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        statements.push((kept["query"].as_str().unwrap().to_owned(), parameters));
    }
    statements
}

/// The nodes of the plan for any parameters, as a connection of the hub's would make it.
async fn plan(conn: &mut PgConnection, query: &str, parameters: usize) -> sqlx::Result<Vec<Value>> {
    conn.execute(AssertSqlSafe(format!("prepare it as {query}"))).await?;
    let nulls = vec!["null"; parameters].join(", ");
    let call = if parameters == 0 { "it".to_owned() } else { format!("it({nulls})") };
    let explain = AssertSqlSafe(format!("explain (format json) execute {call}"));
    let row = sqlx::raw_sql(explain).fetch_one(&mut *conn).await?;
    conn.execute("deallocate it").await?;
    let mut nodes = Vec::new();
    collect(row.get::<Value, _>(0)[0]["Plan"].take(), &mut nodes);
    Ok(nodes)
}

fn collect(mut node: Value, nodes: &mut Vec<Value>) {
    if let Value::Array(children) = node["Plans"].take() {
        for child in children {
            collect(child, nodes);
        }
    }
    nodes.push(node);
}

/// The columns of each index of the large tables' partitions that hold anything. Those of jobs that wait are left out:
/// walking through what waits is what they are for.
async fn filled(conn: &mut PgConnection) -> HashMap<String, Vec<String>> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select i.relname::text, array_agg(a.attname::text order by a.attnum) from pg_index x
         join pg_class i on i.oid = x.indexrelid join pg_attribute a on a.attrelid = i.oid
         join pg_class t on t.oid = x.indrelid
         where x.indpred is null and t.reltuples > 0 and t.relname ~ ('^(' || array_to_string($1::text[], '|') || ')')
         group by 1",
    )
    .bind(LARGE.map(str::to_owned).as_slice())
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// The indexes of what waits, in the partitions that hold anything.
async fn partial(conn: &mut PgConnection) -> HashSet<String> {
    let names: Vec<String> = sqlx::query_scalar(
        "select x.indexrelid::regclass::text from pg_index x join pg_class t on t.oid = x.indrelid
         where x.indpred is not null and t.reltuples > 0 and t.relname ~ ('^(' || array_to_string($1::text[], '|') || ')')",
    )
    .bind(LARGE.map(str::to_owned).as_slice())
    .fetch_all(conn)
    .await
    .unwrap();
    names.into_iter().collect()
}

/// What is wrong with how a node reads a large table, if anything.
fn fault(node: &Value, filled: &HashMap<String, Vec<String>>) -> Option<String> {
    let kind = node["Node Type"].as_str()?;
    if kind == "Seq Scan" {
        let table = node["Relation Name"].as_str()?;
        // A partition's name begins with its table's.
        return LARGE.iter().any(|large| table.starts_with(large)).then(|| format!("reads {table} whole"));
    }
    let index = node["Index Name"].as_str()?;
    let condition = node["Index Cond"].as_str().unwrap_or_default();
    let is_equal: Vec<bool> = filled.get(index)?.iter().map(|column| compares(condition, column)).collect();
    // Past a column that is not compared, an index is walked through, row by row.
    let gap = is_equal.windows(2).any(|two| two == [false, true]);
    let by_id = node["Filter"].as_str().is_some_and(|filter| compares(filter, "id"));
    (gap || by_id || condition.is_empty() && kind != "Bitmap Heap Scan").then(|| {
        format!("{kind} using {index}: {condition}; filter: {}", node["Filter"].as_str().unwrap_or("none"))
    })
}

/// Whether a condition compares a column with something for equality.
fn compares(condition: &str, column: &str) -> bool {
    condition.contains(&format!("({column} = ")) || condition.contains(&format!(".{column} = "))
}

/// What the rows of a filled table are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Of every kind there is.
    Mixed,
    /// Nothing of them waits, as in a quiet hour: what waits looks like nothing at all to a planner that looks then.
    Done,
}

/// A thousand rows for each of three projects: what a large table has after the first minute of its life.
async fn fill(conn: &mut PgConnection, table: &str, rows: Rows) -> sqlx::Result<()> {
    // What the rows say does not matter here.
    let constraints: Vec<String> = sqlx::query_scalar(
        "select conname::text from pg_constraint where conrelid = $1::text::regclass and contype in ('c', 'f')",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    for constraint in constraints {
        conn.execute(AssertSqlSafe(format!("alter table {table} drop constraint {constraint}"))).await?;
    }
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, atttypid::regtype::text from pg_attribute
         where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    let value = |(name, kind): &(String, String)| match (name.as_str(), kind.as_str()) {
        ("lease_token" | "lease_hub" | "lease_until" | "action" | "sequence" | "expires_at", _)
            if rows == Rows::Done =>
        {
            "null".to_owned()
        }
        ("status", _) if rows == Rows::Done => {
            if table == "payment_transactions" { "'paid'" } else { "'sent'" }.to_owned()
        }
        ("project_id", _) => "('00000000-0000-0000-0000-00000000000' || n % 3)::uuid".to_owned(),
        // A UUIDv7 of now.
        ("id", _) => "(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0')
                       || '7000' || substr(md5(n::text), 1, 16))::uuid"
            .to_owned(),
        (_, "uuid") => "md5(n::text)::uuid".to_owned(),
        (_, "boolean") => "n % 2 = 0".to_owned(),
        (_, "jsonb") => "'{}'".to_owned(),
        (_, kind) if kind.starts_with("timestamp") => "now() - n * interval '1 second'".to_owned(),
        (_, "text" | "bytea") => format!("n::text::{kind}"),
        (_, kind) => format!("n::{kind}"),
    };
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<String> = columns.iter().map(value).collect();
    let insert = format!(
        "insert into {table} ({}) select {} from generate_series(1, 3000) n",
        names.join(", "),
        values.join(", ")
    );
    conn.execute(AssertSqlSafe(insert)).await?;
    Ok(())
}

/// A connection as the hub's own, to large tables that it has looked at.
async fn filled_tables(pool: &PgPool, rows: Rows) -> PgConnection {
    db::partitions::ensure(pool, SystemClock.now()).await.unwrap();
    let mut conn = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    for table in LARGE {
        fill(&mut conn, table, rows).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    while db::statistics::analyze_young(pool).await.unwrap() < LARGE.len() {
        assert!(Instant::now() < deadline, "what was written is not seen as grown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(db::statistics::analyze_young(pool).await.unwrap(), 0, "looked at twice");
    conn.execute(db::PLANNER).await.unwrap();
    conn.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    conn
}

#[sqlx::test(migrations = "../migrations")]
async fn every_statement_has_an_index_for_the_large_tables(pool: PgPool) {
    let mut conn = filled_tables(&pool, Rows::Mixed).await;
    let filled = filled(&mut conn).await;
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (query, parameters) in statements() {
        let nodes =
            plan(&mut conn, &query, parameters).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let reads = |node: &Value, name: &str| {
            let name = node[name].as_str().unwrap_or_default();
            LARGE.iter().any(|table| name.starts_with(table))
        };
        looked_at += usize::from(nodes.iter().any(|node| reads(node, "Relation Name")));
        if let Some(fault) = nodes.iter().find_map(|node| fault(node, &filled)) {
            wrong.push(format!("{fault}\nin{query}"));
        }
    }
    assert!(looked_at > 20, "only {looked_at} statements touch a large table: is the list of names right?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A plan that is made while nothing waits is kept for when thousands do.
#[sqlx::test(migrations = "../migrations")]
async fn no_statement_looks_for_one_row_among_all_that_wait(pool: PgPool) {
    let mut conn = filled_tables(&pool, Rows::Done).await;
    let partial = partial(&mut conn).await;
    assert!(partial.len() > 5, "only {partial:?}");
    let mut wrong = Vec::new();
    for (query, parameters) in statements() {
        let nodes =
            plan(&mut conn, &query, parameters).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let uses_partial =
            |node: &Value| node["Index Name"].as_str().is_some_and(|index| partial.contains(index));
        for node in &nodes {
            let filter = node["Filter"].as_str().unwrap_or_default();
            // What a bitmap finds is filtered by the node above it.
            let is_above = node["Node Type"] == "Bitmap Heap Scan" && nodes.iter().any(uses_partial);
            if compares(filter, "id") && (uses_partial(node) || is_above) {
                wrong.push(format!("{}; filter: {filter}\nin{query}", node["Index Name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
