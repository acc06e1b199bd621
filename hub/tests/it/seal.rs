//! Changing the master key.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use trastienda_hub::seal::columns::{COLUMNS, Purpose};
use trastienda_hub::seal::{Sealer, rotate};

use crate::cli::Cli;
use crate::support::TestApp;

/// The key of the harness's hubs.
const OLD: &str = "dGVzdC1tYXN0ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc=";
const NEW: &str = "b3RoZXItbWFzdGVyLWtleS1vZi0zMi1ieXRlcy1sb24=";

fn both() -> Sealer {
    Sealer::changing(&SecretString::from(NEW), Some(&SecretString::from(OLD))).unwrap()
}

/// Columns of bytes that are no secrets: digests.
const DIGESTS: [(&str, &str); 7] = [
    ("dashboard_sessions", "token_digest"),
    ("events", "fingerprint"),
    ("idempotency_keys", "fingerprint"),
    ("notifications", "fingerprint"),
    ("notifications", "open_token_hash"),
    ("payment_refunds", "fingerprint"),
    ("payment_transactions", "fingerprint"),
];

#[sqlx::test(migrations = "../migrations")]
async fn every_column_of_bytes_is_a_known_digest_or_is_sealed_and_rotated(pool: PgPool) {
    let found: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text from pg_class c join pg_attribute a on a.attrelid = c.oid \
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition \
           and a.attnum > 0 and not a.attisdropped \
           and (a.atttypid = 'bytea'::regtype or a.attname like '%sealed%') and c.relname <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let found: BTreeSet<(&str, &str)> =
        found.iter().map(|(table, column)| (table.as_str(), column.as_str())).collect();
    let known = COLUMNS.iter().map(|column| (column.table, column.column)).chain(DIGESTS);
    assert_eq!(found, known.collect(), "left: in the schema, right: in seal/columns.rs and this test");
    // What each is sealed for is what the slices' own code says.
    let mut code = String::new();
    source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    for column in COLUMNS {
        if let Purpose::Same(purpose) = column.purpose {
            assert!(
                code.contains(&format!("PURPOSE: &str = \"{purpose}\"")),
                "nothing is sealed for {purpose}"
            );
        }
    }
    // Rows are found again by their place, which is one table's own.
    let partitioned = sqlx::query_scalar::<_, i64>(
        "select count(*) from pg_class where relkind = 'p' and relname = any($1)",
    );
    let tables: Vec<&str> = COLUMNS.iter().map(|column| column.table).collect();
    assert_eq!(partitioned.bind(tables).fetch_one(&pool).await.unwrap(), 0);
}

/// All of the hub's source.
fn source(directory: &Path, code: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// An endpoint with everything sealed that one can have, many times over.
async fn many_endpoints(test: &TestApp, pool: &PgPool, count: i32) -> String {
    let (_, key) = test.project().await;
    let endpoint =
        json!({"url": "http://127.0.0.1:2/x", "events": ["nothing.ever"], "headers": {"x-a": "b"}});
    let id = test.post(&key, "/v1/webhook-endpoints", endpoint).await.id();
    test.post(&key, &format!("/v1/webhook-endpoints/{id}/rotate-secret"), json!({})).await;
    sqlx::query(
        "insert into webhook_endpoints (project_id, id, url, events, description, headers_sealed, secret_sealed, \
             previous_secret_sealed, previous_secret_expires_at, max_in_flight, ordered, created_at, updated_at) \
         select project_id, gen_random_uuid(), url, events, description, headers_sealed, secret_sealed, \
             previous_secret_sealed, previous_secret_expires_at, max_in_flight, ordered, created_at, updated_at \
         from webhook_endpoints, generate_series(2, $1)",
    )
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
    key
}

async fn count_under(pool: &PgPool, sealer: &Sealer) -> i64 {
    let key = sealer.new_key().to_string();
    let counts = rotate::count(pool).await.unwrap();
    counts.values().filter_map(|keys| keys.get(&key)).sum()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rotation_that_is_killed_goes_on_where_it_was(pool: PgPool) {
    let test = TestApp::idle(pool.clone()).await;
    many_endpoints(&test, &pool, 3_000).await;
    let (old, new) =
        (Sealer::new(&SecretString::from(OLD)).unwrap(), Sealer::new(&SecretString::from(NEW)).unwrap());
    let all = count_under(&pool, &old).await;
    assert_eq!(all, 3_000 * 3 + 1);
    let cli = Cli::on(&pool).with("TRASTIENDA_MASTER_KEY", NEW).with("TRASTIENDA_MASTER_KEY_OLD", OLD);
    let mut process = cli.command(&["seal", "rotate"]).spawn().unwrap();
    test.until_within(Duration::from_mins(1), "some are sealed again", async || {
        (count_under(&pool, &new).await >= 100).then_some(())
    })
    .await;
    process.kill().unwrap();
    process.wait().unwrap();
    let done = count_under(&pool, &new).await;
    assert!(done < all, "it was over before it was killed");
    // A value may have been on its way.
    test.until("its connection is gone", async || {
        let sealing = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database() and query like '%ctid%' and state <> 'idle' and pid <> pg_backend_pid()",
        );
        (sealing.fetch_one(&pool).await.unwrap() == 0).then_some(())
    })
    .await;
    let done = count_under(&pool, &new).await;
    let report = rotate::run(&pool, &both()).await.unwrap();
    assert_eq!(i64::try_from(report.count()).unwrap(), all - done);
    assert_eq!((count_under(&pool, &old).await, count_under(&pool, &new).await), (0, all));
    assert!(report.damaged.is_empty());

    // Everything opens with the new key alone, for what it was sealed for.
    let after = TestApp::restarted_with_key(pool.clone(), NEW).await;
    let sealed: Vec<Vec<u8>> = sqlx::query_scalar("select headers_sealed from webhook_endpoints limit 5")
        .fetch_all(&pool)
        .await
        .unwrap();
    for value in sealed {
        assert_eq!(after.app.sealer.open("webhook_endpoints.headers", &value).unwrap(), br#"{"x-a":"b"}"#);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_running_hub_that_has_only_the_old_key_stops_a_rotation_before_it_begins(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    many_endpoints(&test, &pool, 3).await;
    let old = Sealer::new(&SecretString::from(OLD)).unwrap();
    let before = count_under(&pool, &old).await;
    let refused = rotate::run(&pool, &both()).await.unwrap_err().to_string();
    assert!(refused.contains("was not given both keys"), "{refused}");
    assert_eq!(count_under(&pool, &old).await, before);
}

#[sqlx::test(migrations = "../migrations")]
async fn keys_that_did_not_seal_what_is_there_are_refused(pool: PgPool) {
    let test = TestApp::idle(pool.clone()).await;
    many_endpoints(&test, &pool, 3).await;
    let old = Sealer::new(&SecretString::from(OLD)).unwrap();
    let before = count_under(&pool, &old).await;
    let strangers = Sealer::changing(
        &SecretString::from(NEW),
        Some(&SecretString::from("c3RyYW5nZXItbWFzdGVyLWtleS1vZi0zMi1ieXRlcyE=")),
    )
    .unwrap();
    let refused = rotate::run(&pool, &strangers).await.unwrap_err().to_string();
    assert!(refused.contains(&old.new_key().to_string()) && !refused.contains(NEW), "{refused}");
    assert_eq!(count_under(&pool, &old).await, before);
    let cli = Cli::on(&pool).with("TRASTIENDA_MASTER_KEY_OLD", OLD);
    assert!(cli.failure(&["seal", "rotate"]).contains("nothing to change"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_damaged_value_is_left_and_told_and_the_rest_is_sealed_again(pool: PgPool) {
    let test = TestApp::idle(pool.clone()).await;
    many_endpoints(&test, &pool, 3).await;
    sqlx::query(
        "update webhook_endpoints set secret_sealed = set_byte(secret_sealed, 40, (get_byte(secret_sealed, 40) + 1) % 256) \
         where id = (select id from webhook_endpoints limit 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let report = rotate::run(&pool, &both()).await.unwrap();
    assert_eq!(report.count(), 3 * 3);
    assert_eq!(report.damaged.get("webhook_endpoints.secret_sealed"), Some(&1));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_was_not_told_of_the_change_does_not_start(pool: PgPool) {
    let test = TestApp::idle(pool.clone()).await;
    many_endpoints(&test, &pool, 1).await;
    rotate::run(&pool, &both()).await.unwrap();
    let cli = Cli::on(&pool).with("TRASTIENDA_LISTEN", "127.0.0.1:0");
    let told = tokio::task::spawn_blocking(move || cli.failure(&["serve"])).await.unwrap();
    assert!(told.contains("sealed with another master key"), "{told}");
}
