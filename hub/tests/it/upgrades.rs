//! Hubs of two versions on one database.

use sqlx::PgPool;
use trastienda_hub::db;
use trastienda_protocol::clock::{Clock as _, SystemClock};

/// As if a newer hub had applied a migration that this one does not know.
async fn apply(pool: &PgPool, version: i64, description: &str) {
    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values ($1, $2, true, $3, 1)")
        .bind(version)
        .bind(description)
        .bind(vec![7_u8; 48])
        .execute(pool)
        .await
        .unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn an_older_hub_starts_beside_what_a_newer_one_added(pool: PgPool) {
    apply(&pool, 9_001, "colour of endpoints").await;
    db::migrate(&pool, SystemClock.now()).await.unwrap();
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where version = 9001")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(applied, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_older_hub_does_not_start_where_a_newer_one_took_something_away(pool: PgPool) {
    apply(&pool, 9_001, "colour of endpoints").await;
    apply(&pool, 9_002, "contract endpoints").await;
    let refused = db::migrate(&pool, SystemClock.now()).await.unwrap_err().to_string();
    assert!(refused.contains("9002") && refused.contains("newer hub"), "{refused}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused(pool: PgPool) {
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 1")
        .execute(&pool)
        .await
        .unwrap();
    let refused = format!("{:#}", db::migrate(&pool, SystemClock.now()).await.unwrap_err());
    assert!(refused.contains("modified"), "{refused}");
}

#[sqlx::test(migrations = false)]
async fn an_empty_database_is_made_whole(pool: PgPool) {
    db::migrate(&pool, SystemClock.now()).await.unwrap();
    db::migrate(&pool, SystemClock.now()).await.unwrap();
}
