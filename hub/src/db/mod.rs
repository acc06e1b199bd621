//! The database: connecting, migrating, and the PostgreSQL that the hub runs when nobody else does.

pub mod embedded;
pub mod kept;
pub mod partitions;
pub mod statistics;

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgConnection, PgPool};

use crate::config::{Database, StoreConfig};
use crate::seal::Sealer;
use embedded::Embedded;

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Connections that one hub keeps at most.
const CONNECTIONS_MAX: u32 = 20;

/// Every statement of the hub's touches few rows and has an index for them. A table whose statistics are young (a new
/// week's partition, a morning's backlog) must not tempt the planner into reading it whole, least of all in a plan
/// that it then keeps.
///
/// Nor must the small indexes of what waits or is leased tempt it, which look empty in a quiet hour: a statement that knows
/// its row's id would walk through thousands in the next busy one, for each row. So such a statement compares the lease
/// with `is not distinct from`, or says otherwise what it asks of the row in words that no such index is declared with.
pub const PLANNER: &str = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
                       set jit = off; set random_page_cost = 1.1";

/// A hub that stops in the middle of a transaction (a paused machine, a wire that is dead without either end knowing) must
/// not keep its rows from the others for ever: the server ends it.
const IDLE_MAX: &str = "set idle_in_transaction_session_timeout = '60s'";

/// An open database and what opened it.
#[derive(Debug)]
pub struct Store {
    /// The connections.
    pub pool: PgPool,
    /// Opens the secrets in it.
    pub sealer: Sealer,
    /// The hub's own PostgreSQL, when it runs one.
    pub embedded: Option<Embedded>,
}

impl Store {
    /// Connects (starting the embedded PostgreSQL if that is what the configuration says), without migrating.
    pub async fn open(config: &StoreConfig) -> anyhow::Result<Self> {
        let (options, embedded, master_key) = match &config.database {
            Database::External(url) => {
                let options = PgConnectOptions::from_str(url.expose_secret()).context("DATABASE_URL")?;
                (options, None, known_master_key(config)?.context("TRASTIENDA_MASTER_KEY is required")?)
            }
            Database::Embedded(_) => {
                let embedded = Embedded::start(&config.data_dir).await.context("embedded PostgreSQL")?;
                let key = match known_master_key(config)? {
                    Some(key) => key,
                    None => embedded::make_master_key(&config.data_dir).await.context("master key")?,
                };
                (embedded.options(), Some(embedded), key)
            }
        };
        let sealer =
            Sealer::changing(&master_key, config.old_master_key.as_ref()).context("TRASTIENDA_MASTER_KEY")?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|conn, _| Box::pin(async move { prepare(conn).await }))
            .connect_with(options.application_name("trastienda-hub"))
            .await
            .context("cannot connect to the database")?;
        Ok(Self { pool, sealer, embedded })
    }

    /// Closes the connections. The embedded PostgreSQL stops with the last program that uses it: a command stops
    /// it only if it started it, a hub (`is_hub`) also if a killed one left it behind.
    pub async fn close(self, is_hub: bool) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop_if_alone(is_hub).await;
        }
    }
}

/// Sets what every connection of the hub's has.
async fn prepare(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(PLANNER).await?;
    conn.execute(IDLE_MAX).await?;
    Ok(())
}

/// The master key, if there is one yet; with the embedded PostgreSQL it may be in the data directory.
pub fn known_master_key(config: &StoreConfig) -> anyhow::Result<Option<SecretString>> {
    match (&config.master_key, &config.database) {
        (Some(key), _) => Ok(Some(key.clone())),
        (None, Database::External(_)) => Ok(None),
        (None, Database::Embedded(_)) => embedded::find_master_key(&config.data_dir),
    }
}

/// Brings the schema up to date and makes the partitions that are needed now.
///
/// A database that a newer hub has brought further is taken as it is: what newer versions add, older ones do not mind, so
/// that both run side by side and either can be started again.
///
/// # Errors
/// The database does not answer, a migration fails, or a newer version has taken away what this one needs.
pub async fn migrate(pool: &PgPool, now: chrono::DateTime<chrono::Utc>) -> anyhow::Result<()> {
    refuse_contracted(pool).await?;
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_ignore_missing(true).run(pool).await.context("migrations")?;
    partitions::ensure(pool, now).await.context("partitions")
}

/// What the file of a migration that takes something away is called after its number: `0123_contract_….sql`.
pub const CONTRACT: &str = "contract";

/// Fails if a migration was applied that this program does not know and that took something away.
async fn refuse_contracted(pool: &PgPool) -> anyhow::Result<()> {
    let is_new: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is null").fetch_one(pool).await?;
    if is_new {
        return Ok(());
    }
    let applied: Vec<(i64, String)> =
        sqlx::query_as("select version, description from _sqlx_migrations order by version")
            .fetch_all(pool)
            .await?;
    let known = |version| MIGRATOR.iter().any(|migration| migration.version == version);
    let contracted = applied.into_iter().find(|(version, description)| {
        !known(*version) && description.split_whitespace().next() == Some(CONTRACT)
    });
    match contracted {
        None => Ok(()),
        Some((version, description)) => bail!(
            "the database is that of a newer hub, which took away what this one ({}) needs: migration {version}, `{description}`. \
             Start the newer hub, or restore a backup from before",
            env!("CARGO_PKG_VERSION"),
        ),
    }
}
