//! Backups: what is written, what is refused, and a drill.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;

use crate::cli::Cli;
use crate::support::{Receiver, TestApp};

/// Every row of every table and the state of every sequence, as digests.
async fn contents(pool: &PgPool) -> BTreeMap<String, (i64, Option<String>)> {
    let names: Vec<(String, bool)> = sqlx::query_as(
        "select oid::regclass::text, relkind = 'S' from pg_class \
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'S')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut contents = BTreeMap::new();
    for (name, is_sequence) in names {
        // How far a sequence was logged ahead is not its state.
        let row = if is_sequence { "(last_value, is_called)" } else { "t" };
        let statement = format!(
            "select count(*), md5(string_agg(md5({row}::text), '' order by md5({row}::text))) from {name} t"
        );
        let found = sqlx::query_as(AssertSqlSafe(statement)).fetch_one(pool).await.unwrap();
        contents.insert(name, found);
    }
    contents
}

/// An empty database beside the test's.
async fn empty_beside(pool: &PgPool) -> PgPool {
    let options = pool.connect_options();
    // A name has 63 bytes, and the test's has most of them.
    let own = options.get_database().unwrap();
    let name = format!("restored_{}", &own[own.len().saturating_sub(40)..]);
    sqlx::raw_sql(AssertSqlSafe(format!("drop database if exists \"{name}\"; ")))
        .execute(pool)
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database \"{name}\""))).execute(pool).await.unwrap();
    let options: PgConnectOptions = options.as_ref().clone().database(&name);
    PgPoolOptions::new().max_connections(10).connect_with(options).await.unwrap()
}

/// Drops it again. A hub of the test may still hold connections to it.
async fn drop_beside(pool: &PgPool, beside: PgPool) {
    let name = beside.connect_options().get_database().unwrap().to_owned();
    beside.close().await;
    sqlx::raw_sql(AssertSqlSafe(format!("drop database \"{name}\" with (force)")))
        .execute(pool)
        .await
        .unwrap();
}

async fn output(mut command: std::process::Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn succeeds(cli: &Cli, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let output = output(cli.command(&arguments)).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn fails(cli: &Cli, arguments: &[&str]) -> String {
    let output = output(cli.command(arguments)).await;
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// A hub with something of everything, whose endpoint was disabled with a delivery waiting. It has stopped.
async fn stopped_hub(pool: &PgPool, receiver: &Receiver) -> (String, String) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    receiver.answer(410, &[]);
    let endpoint = json!({"url": receiver.url(), "events": ["*"], "headers": {"x-shop": "mates"}});
    let endpoint = test.post(&key, "/v1/webhook-endpoints", endpoint).await;
    let id = endpoint.id();
    let event = json!({"type": "gift.made", "data": {"name": "Ñandú \\ \t 'x'"}});
    test.post(&key, "/v1/events", event).await;
    test.until("the endpoint is disabled", async || {
        let found = test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await;
        (!found.body["disabled_at"].is_null()).then_some(())
    })
    .await;
    let held = json!({"type": "gift.held", "data": {"name": "Ñandú"}});
    assert_eq!(test.post(&key, "/v1/events", held).await.status, 202);
    for body in [
        json!({"channel": "email", "to": "ana@example.com", "subject": "Hola", "text": "x"}),
        json!({"channel": "whatsapp", "to": "+5491123456789", "text": "Hola"}),
    ] {
        assert_eq!(test.post(&key, "/v1/notifications", body).await.status, 202);
    }
    let template =
        json!({"channel": "email", "subject": "S", "html": "<p>{{ name }}</p>", "sample": {"name": "x"}});
    let put = [("x-api-key", key.as_str())];
    assert_eq!(test.send("PUT", "/v1/templates/greeting", &put, template.to_string()).await.status, 201);
    test.app.shutdown.finish().await;
    (key, id)
}

fn backup_in(directory: &Path) -> PathBuf {
    directory.join("hub.backup")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_drill_restores_every_row_and_then_sends_a_held_delivery(pool: PgPool) {
    let (receiver, directory) = (Receiver::start().await, TempDir::new().unwrap());
    let (key, endpoint) = stopped_hub(&pool, &receiver).await;
    let before = contents(&pool).await;
    assert!(before.len() > 30 && before["webhook_endpoints"].0 == 1, "{before:?}");

    let written = succeeds(&Cli::on(&pool), &["backup", &directory.path().to_string_lossy()]).await;
    let file = written["file"].as_str().unwrap();
    assert!(file.contains("trastienda-") && written["keys"].as_object().unwrap().len() == 1, "{written}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
    assert_eq!(succeeds(&Cli::on(&pool), &["backup", "verify", file]).await["sha256"], written["sha256"]);

    let beside = empty_beside(&pool).await;
    succeeds(&Cli::on(&beside), &["restore", file]).await;
    assert_eq!(contents(&beside).await, before);
    assert_eq!(contents(&pool).await, before, "a backup changes nothing");

    // The proof that its secrets open: what was held is signed and sent by a hub on the restored database.
    receiver.answer(200, &[]);
    let seen = receiver.received().len();
    let test = TestApp::new(beside.clone()).await;
    let enabled = test.post(&key, &format!("/v1/webhook-endpoints/{endpoint}/enable"), json!({})).await;
    assert_eq!(enabled.status, 200, "{enabled:?}");
    test.until("the held delivery comes", async || {
        receiver.received().get(seen..)?.iter().find(|one| one.json()["type"] == "gift.held").cloned()
    })
    .await;
    test.app.shutdown.finish().await;
    drop_beside(&pool, beside).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_master_key_that_does_not_fit_is_refused_and_nothing_is_written(pool: PgPool) {
    let directory = TempDir::new().unwrap();
    stopped_hub(&pool, &Receiver::start().await).await;
    let file = backup_in(directory.path());
    let file = file.to_str().unwrap();
    succeeds(&Cli::on(&pool), &["backup", file]).await;
    let beside = empty_beside(&pool).await;
    let other = "b3RoZXItbWFzdGVyLWtleS1vZi0zMi1ieXRlcy1sb24=";
    let cli = Cli::on(&beside).with("TRASTIENDA_MASTER_KEY", other);
    for arguments in [&["backup", "verify", file][..], &["restore", file]] {
        let refused = fails(&cli, arguments).await;
        assert!(refused.contains("another master key") && !refused.contains(other), "{refused}");
    }
    // Nor is a backup made that this key could not vouch for.
    let cli = Cli::on(&pool).with("TRASTIENDA_MASTER_KEY", other);
    let refused = fails(&cli, &["backup", &format!("{file}.other")]).await;
    assert!(refused.contains("another master key"), "{refused}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(contents(&beside).await, BTreeMap::new());
    drop_beside(&pool, beside).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_database_that_is_not_empty_is_replaced_only_when_told_and_never_under_a_hub(pool: PgPool) {
    let (receiver, directory) = (Receiver::start().await, TempDir::new().unwrap());
    stopped_hub(&pool, &receiver).await;
    let file = backup_in(directory.path());
    let file = file.to_str().unwrap();
    let cli = Cli::on(&pool);
    succeeds(&cli, &["backup", file]).await;
    assert!(fails(&cli, &["backup", file]).await.contains("is there already"));
    let before = contents(&pool).await;

    let later = TestApp::new(pool.clone()).await;
    later.project().await;
    assert!(fails(&cli, &["restore", file, "--replace"]).await.contains("stop them first"));
    later.app.shutdown.finish().await;
    later.until("its membership has ended", async || {
        let held = sqlx::query_scalar::<_, i64>("select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())");
        (held.fetch_one(&pool).await.unwrap() == 0).then_some(())
    })
    .await;
    let changed = contents(&pool).await;
    assert_ne!(changed, before);
    assert!(fails(&cli, &["restore", file]).await.contains("not empty"));
    assert_eq!(contents(&pool).await, changed);
    succeeds(&cli, &["restore", file, "--replace"]).await;
    assert_eq!(contents(&pool).await, before);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_restore_that_fails_at_its_end_leaves_everything_as_it_was(pool: PgPool) {
    let directory = TempDir::new().unwrap();
    stopped_hub(&pool, &Receiver::start().await).await;
    // An index that cannot be built again: all rows are in by then.
    sqlx::raw_sql(
        "create function odd(text) returns text immutable language sql as 'select $1';
         create index projects_odd on projects (odd(name));
         create or replace function odd(text) returns text immutable language plpgsql as
             'begin if pg_trigger_depth() >= 0 then raise exception ''odd''; end if; return $1; end'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let file = backup_in(directory.path());
    let file = file.to_str().unwrap();
    succeeds(&Cli::on(&pool), &["backup", file]).await;
    let before = contents(&pool).await;
    let refused = fails(&Cli::on(&pool), &["restore", file, "--replace"]).await;
    assert!(refused.contains("nothing was restored") && refused.contains("odd"), "{refused}");
    assert_eq!(contents(&pool).await, before);
    let beside = empty_beside(&pool).await;
    fails(&Cli::on(&beside), &["restore", file]).await;
    assert_eq!(contents(&beside).await, BTreeMap::new());
    drop_beside(&pool, beside).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_backup_that_was_changed_or_cut_off_is_refused(pool: PgPool) {
    let directory = TempDir::new().unwrap();
    TestApp::new(pool.clone()).await.app.shutdown.finish().await;
    let file = backup_in(directory.path());
    succeeds(&Cli::on(&pool), &["backup", file.to_str().unwrap()]).await;
    let whole = std::fs::read(&file).unwrap();
    let mut in_the_dump = whole.clone();
    let last = in_the_dump.len() - 1;
    in_the_dump[last] ^= 1;
    let head = String::from_utf8(whole[..4_096].to_vec()).unwrap();
    let in_the_head =
        [head.replace("\"program\":\"0", "\"program\":\"9").as_bytes(), &whole[4_096..]].concat();
    let newer = [head.replace("\"format\":1", "\"format\":9").as_bytes(), &whole[4_096..]].concat();
    assert_ne!(in_the_head, whole);
    let cases = [
        (in_the_dump, "damaged"),
        (in_the_head, "changed"),
        (whole[..whole.len() - 10].to_vec(), "damaged"),
        (whole[..100].to_vec(), "too short"),
        (newer, "newer"),
        (vec![b'x'; 5_000], "no backup"),
    ];
    for (number, (bytes, why)) in cases.into_iter().enumerate() {
        let path = directory.path().join(number.to_string());
        std::fs::write(&path, bytes).unwrap();
        let refused = fails(&Cli::on(&pool), &["backup", "verify", path.to_str().unwrap()]).await;
        assert!(refused.contains(why), "{why}: {refused}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn no_password_is_on_a_command_line_and_no_secret_in_a_child_s_environment(pool: PgPool) {
    let directory = TempDir::new().unwrap();
    TestApp::new(pool.clone()).await.app.shutdown.finish().await;
    let programs = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|entry| entry.path());
    let programs = programs.max().unwrap().join("bin");
    // Each notes how it was called and becomes the real one.
    for name in ["pg_dump", "pg_restore", "psql"] {
        let path = directory.path().join(name);
        let noted = directory.path().display();
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{noted}/arguments\nenv >>{noted}/environment\nexec {}/{name} \"$@\"\n",
            programs.display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let beside = empty_beside(&pool).await;
    let file = backup_in(directory.path());
    for (cli, what) in [(Cli::on(&pool), "backup"), (Cli::on(&beside), "restore")] {
        let cli = cli.with_password("hunter2").with("PATH", &path);
        succeeds(&cli, &[what, file.to_str().unwrap()]).await;
    }
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let (arguments, environment) = (read("arguments"), read("environment"));
    assert!(arguments.matches("--dbname=").count() == 2 && !arguments.contains("hunter2"), "{arguments}");
    assert_eq!(environment.matches("hunter2").count(), 2, "as PGPASSWORD, and for those that connect");
    assert!(!environment.contains("TRASTIENDA_MASTER_KEY") && !environment.contains("DATABASE_URL"));
    drop_beside(&pool, beside).await;
}
