//! Changing the master key while hubs run.
//!
//! Every hub is given both keys, one hub after the other. Until the last one has them, all go on sealing with the old:
//! whoever still knows only that one can open everything. Then [`run`] seals the hub's own secrets with the new key, which is what
//! makes the hubs change over and keeps one that knows only the old from starting; waits until each has; and
//! seals the rest again, value by value, each in a statement of its own that changes nothing if the row has
//! changed meanwhile. Cut off anywhere, it goes on where it was the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use sqlx::PgPool;

use super::columns::{COLUMNS, Column};
use super::{KeyId, Sealer, store};
use crate::app::App;
use crate::queue::members;

/// How long running hubs may take to change over. They look every second.
const CHANGE_OVER: Duration = Duration::from_mins(1);

/// What was found and done.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The key that seals everything now.
    pub key: String,
    /// Values that were sealed again, by `table.column`.
    pub resealed: BTreeMap<String, u64>,
    /// Values that do not open though their key is known, by `table.column`: they were damaged before and are left.
    pub damaged: BTreeMap<String, u64>,
}

impl Report {
    /// How many values were sealed again.
    pub fn count(&self) -> u64 {
        self.resealed.values().sum()
    }
}

/// How many values each key sealed, by `table.column`.
pub async fn count(db: &PgPool) -> sqlx::Result<BTreeMap<String, BTreeMap<String, i64>>> {
    let mut conn = db.acquire().await?;
    let mut counts = BTreeMap::new();
    for column in store::list_columns(&mut conn).await? {
        counts.insert(name(column), store::count_by_key(&mut conn, column).await?.into_iter().collect());
    }
    Ok(counts)
}

/// Seals everything with the new key. Refuses before anything is changed if a value was sealed with a key that is
/// neither, or if a running hub was not given both.
pub async fn run(db: &PgPool, sealer: &Sealer) -> anyhow::Result<Report> {
    let new = sealer.new_key();
    let needed = check_keys(db, sealer).await?;
    check_hubs(db, &needed).await?;
    let mut report = Report { key: new.to_string(), ..Report::default() };
    let (own, others) = COLUMNS.split_first().context("no column is sealed")?;
    reseal(db, sealer, *own, &mut report).await?;
    wait_for_hubs(db, sealer).await?;
    for column in others {
        reseal(db, sealer, *column, &mut report).await?;
    }
    // One that started meanwhile.
    check_hubs(db, &needed).await?;
    Ok(report)
}

/// A running hub seals with the key of the database's own secrets, and says so to whoever changes it.
pub(crate) async fn follow(app: &App) -> anyhow::Result<()> {
    if app.sealer.old_key().is_none() {
        return Ok(());
    }
    let Some(own) = store::find_own_secret(&app.db).await? else { return Ok(()) };
    if app.sealer.follow(&own) {
        tracing::info!(key = %app.sealer.key_ids()[0], "sealing with another master key from now on");
    }
    if let Some(number) = app.member.number() {
        members::set_seal_keys(&app.db, number, &app.sealer).await?;
    }
    Ok(())
}

/// Gives the keys that a hub needs meanwhile: those that sealed something, and the new one.
async fn check_keys(db: &PgPool, sealer: &Sealer) -> anyhow::Result<BTreeSet<String>> {
    let known: Vec<String> = sealer.key_ids().iter().map(KeyId::to_string).collect();
    let mut needed = BTreeSet::from([sealer.new_key().to_string()]);
    for (column, keys) in count(db).await? {
        for (key, values) in keys {
            ensure!(
                known.contains(&key),
                "{values} values of {column} were sealed with the key {key}, and the given ones are {}: \
                 TRASTIENDA_MASTER_KEY must be the new key and TRASTIENDA_MASTER_KEY_OLD the one in use",
                known.join(" and ")
            );
            needed.insert(key);
        }
    }
    Ok(needed)
}

async fn check_hubs(db: &PgPool, needed: &BTreeSet<String>) -> anyhow::Result<()> {
    for hub in members::list_sealing(db).await? {
        let keys = hub.seal_keys.unwrap_or_default();
        ensure!(
            needed.iter().all(|key| keys.contains(key)),
            "hub {} (version {}) was not given both keys: start every hub again with TRASTIENDA_MASTER_KEY (the new) \
             and TRASTIENDA_MASTER_KEY_OLD, one after the other, and run this again",
            hub.number,
            hub.version
        );
    }
    Ok(())
}

async fn wait_for_hubs(db: &PgPool, sealer: &Sealer) -> anyhow::Result<()> {
    let new = sealer.new_key().to_string();
    let waiting = async {
        loop {
            let hubs = members::list_sealing(db).await?;
            let behind =
                |hub: &members::Sealing| hub.seal_keys.as_deref().and_then(<[String]>::first) != Some(&new);
            if !hubs.iter().any(behind) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(CHANGE_OVER, waiting).await {
        Ok(result) => result,
        Err(_) => bail!(
            "a running hub has not changed over to the new key within {} seconds: look at its log and run this again",
            CHANGE_OVER.as_secs()
        ),
    }
}

/// Goes through a column until nothing is left that another key sealed.
async fn reseal(db: &PgPool, sealer: &Sealer, column: Column, report: &mut Report) -> anyhow::Result<()> {
    loop {
        let (mut behind, mut damaged, mut is_over) = ("(0,0)".to_owned(), 0, true);
        loop {
            let values = store::list_under_other_keys(db, column, sealer.new_key(), &behind).await?;
            let Some(last) = values.last() else { break };
            behind.clone_from(&last.place);
            for value in &values {
                let Ok(secret) = sealer.open(&value.purpose, &value.sealed) else {
                    damaged += 1;
                    continue;
                };
                let sealed = sealer.seal_with(sealer.new_key(), &value.purpose, &secret)?;
                if store::replace(db, column, value, &sealed).await? {
                    *report.resealed.entry(name(column)).or_default() += 1;
                }
                // Whatever changed the row may have written it back as it was.
                is_over = false;
            }
        }
        if is_over {
            if damaged > 0 {
                report.damaged.insert(name(column), damaged);
            }
            return Ok(());
        }
    }
}

fn name(column: Column) -> String {
    format!("{}.{}", column.table, column.column)
}
