//! No statement of the hub's reads a large table whole.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Row as _};
use trastienda_hub::db;
use trastienda_protocol::clock::{Clock as _, SystemClock};

/// Tables that grow with every order.
const LARGE: [&str; 8] = [
    "events",
    "webhook_deliveries",
    "webhook_logs",
    "notifications",
    "notification_attempts",
    "payment_transactions",
    "payment_timeline",
    "idempotency_keys",
];

/// A statement as it is kept for building without a database, and how many parameters it has.
fn statements() -> Vec<(String, usize)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx");
    let mut statements = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let kept: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let parameters = kept["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        statements.push((kept["query"].as_str().unwrap().to_owned(), parameters));
    }
    statements
}

/// The plan for any parameters, as a connection of the hub's would make it.
async fn plan(conn: &mut PgConnection, query: &str, parameters: usize) -> sqlx::Result<Vec<String>> {
    conn.execute(AssertSqlSafe(format!("prepare it as {query}"))).await?;
    let nulls = vec!["null"; parameters].join(", ");
    let call = if parameters == 0 { "it".to_owned() } else { format!("it({nulls})") };
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("explain execute {call}"))).fetch_all(&mut *conn).await?;
    conn.execute("deallocate it").await?;
    Ok(rows.into_iter().map(|row| row.get(0)).collect())
}

#[sqlx::test(migrations = "../migrations")]
async fn every_statement_has_an_index_for_the_large_tables(pool: PgPool) {
    db::partitions::ensure(&pool, SystemClock.now()).await.unwrap();
    let mut conn = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    conn.execute(db::PLANNER).await.unwrap();
    conn.execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (query, parameters) in statements() {
        let plan =
            plan(&mut conn, &query, parameters).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let reads = |line: &&String, table: &&str| {
            // A partition's name begins with its table's.
            line.split(" on ").nth(1).is_some_and(|name| name.starts_with(*table))
        };
        let touched = plan.iter().any(|line| LARGE.iter().any(|table| line.contains(table)));
        looked_at += usize::from(touched);
        let whole = plan
            .iter()
            .filter(|line| line.contains("Seq Scan"))
            .find(|line| LARGE.iter().any(|table| reads(line, table)));
        if let Some(line) = whole {
            wrong.push(format!("{}\nin{query}", line.trim()));
        }
    }
    assert!(looked_at > 20, "only {looked_at} statements touch a large table: is the list of names right?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
