//! The running hubs. Each holds a session advisory lock on its number, on the connection that it listens on; the
//! connection gone, the lock is gone and its leases are void.

use std::sync::atomic::{AtomicI32, Ordering};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::app::App;
use crate::seal::Sealer;

/// First key of the advisory locks on hub numbers.
const LOCK_CLASS: i32 = 0x7472_6875;

/// This hub's number, while it holds the lock on it.
#[derive(Debug, Default)]
pub struct Member(AtomicI32);

impl Member {
    /// The number; `None` while the hub is not (or no longer) a member.
    pub fn number(&self) -> Option<i32> {
        Some(self.0.load(Ordering::SeqCst)).filter(|number| *number != 0)
    }

    /// Joins on a connection that stays open for as long as the membership.
    pub(crate) async fn join(
        &self,
        conn: &mut PgConnection,
        epoch: i64,
        sealer: &Sealer,
        now: DateTime<Utc>,
    ) -> sqlx::Result<i32> {
        let number = sqlx::query_scalar!(
            "insert into hubs (version, key_epoch, seal_keys, started_at) values ($1, $2, $3, $4) returning number",
            env!("CARGO_PKG_VERSION"),
            epoch,
            &key_names(sealer)[..],
            now,
        )
        .fetch_one(&mut *conn)
        .await?;
        sqlx::query!("select pg_advisory_lock($1, $2)", LOCK_CLASS, number).execute(conn).await?;
        self.0.store(number, Ordering::SeqCst);
        Ok(number)
    }

    /// No longer a member: the connection is gone.
    pub(crate) fn leave(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// A running hub and the master keys that it has, the one that it seals with first.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) number: i32,
    pub(crate) version: String,
    pub(crate) seal_keys: Option<Vec<String>>,
}

/// Says which master keys a hub has.
pub(crate) async fn set_seal_keys(db: &PgPool, number: i32, sealer: &Sealer) -> sqlx::Result<()> {
    sqlx::query!(
        "update hubs set seal_keys = $2 where number = $1 and seal_keys is distinct from $2",
        number,
        &key_names(sealer)[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The running hubs with their master keys.
pub(crate) async fn list_sealing(db: &PgPool) -> sqlx::Result<Vec<Sealing>> {
    sqlx::query_as!(
        Sealing,
        r#"
        select number, version, seal_keys
        from hubs
        join pg_locks on locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database())
            and classid = $1::integer::oid
            and objid = hubs.number::oid
            and objsubid = 2
            and granted
        order by number
        "#,
        LOCK_CLASS,
    )
    .fetch_all(db)
    .await
}

fn key_names(sealer: &Sealer) -> Vec<String> {
    sealer.key_ids().iter().map(ToString::to_string).collect()
}

/// Forgets hubs that are gone.
pub(crate) async fn delete_gone(db: &PgPool) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        r#"
        delete from hubs
        where not exists (
            select from pg_locks
            where locktype = 'advisory'
              and database = (select oid from pg_database where datname = current_database())
              and classid = $1::integer::oid
              and objid = hubs.number::oid
              and objsubid = 2
              and granted
        )
        -- A hub that is joining has its row before its lock.
        and started_at < now() - interval '10 seconds'
        "#,
        LOCK_CLASS,
    )
    .execute(db)
    .await?;
    Ok(result.rows_affected())
}

/// Says that this hub runs, which its lock alone does not: one that hangs holds it too.
pub(crate) async fn mark_seen(db: &PgPool, number: i32) -> sqlx::Result<()> {
    sqlx::query!("update hubs set seen_at = now() where number = $1", number).execute(db).await?;
    Ok(())
}

/// Running hubs that have not yet seen the epoch.
pub(crate) async fn count_behind(db: &PgPool, epoch: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from hubs
        join pg_locks on locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database())
            and classid = $1::integer::oid
            and objid = hubs.number::oid
            and objsubid = 2
            and granted
        where key_epoch < $2
        "#,
        LOCK_CLASS,
        epoch,
    )
    .fetch_one(db)
    .await
}

/// A running hub.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// Its number.
    pub number: i32,
    /// Whether it said so lately, and takes part in what hubs share.
    pub is_heard: bool,
}

/// The running hubs.
pub(crate) async fn list_alive(db: &PgPool) -> sqlx::Result<Vec<Running>> {
    sqlx::query_as!(
        Running,
        r#"
        select l.objid::bigint::integer as "number!",
               coalesce(h.seen_at > now() - interval '15 seconds', false) as "is_heard!"
        from pg_locks l
        left join hubs h on h.number = l.objid::bigint::integer
        where l.locktype = 'advisory'
          and l.database = (select oid from pg_database where datname = current_database())
          and l.classid = $1::integer::oid
          and l.objsubid = 2
          and l.granted
        "#,
        LOCK_CLASS,
    )
    .fetch_all(db)
    .await
}

/// The tables whose rows are jobs, all with `lease_token`, `lease_hub` and `lease_until`.
const JOB_TABLES: [&str; 8] = [
    "webhook_deliveries",
    "webhook_replays",
    "notifications",
    "payment_transactions",
    "payment_notices",
    "payment_providers",
    "operator_mails",
    "alert_webhooks",
];

/// Takes back leases that are over or whose hub is gone; gives the hubs that run.
pub async fn release_void_leases(app: &App) -> sqlx::Result<Vec<Running>> {
    // Who holds leases is asked before who is alive: a hub that joins in between holds none of those, and a number that
    // is gone never comes back.
    let holders =
        JOB_TABLES.map(|table| format!("select lease_hub from {table} where lease_token is not null"));
    let holders: Vec<i32> =
        sqlx::query_scalar(AssertSqlSafe(holders.join(" union "))).fetch_all(&app.db).await?;
    let alive = list_alive(&app.db).await?;
    let is_gone = |holder: &i32| !alive.iter().any(|hub| hub.number == *holder);
    let gone: Vec<i32> = holders.into_iter().filter(is_gone).collect();
    let mut released = 0;
    for table in JOB_TABLES {
        let statement = format!(
            "update {table} set lease_token = null, lease_hub = null, lease_until = null \
             where lease_token is not null and (lease_until < $1 or lease_hub = any($2))"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(app.clock.now()).bind(&gone);
        released += query.execute(&app.db).await?.rows_affected();
    }
    if released > 0 {
        metrics::counter!("trastienda_leases_released_total").increment(released);
        tracing::warn!(
            released,
            "took back the leases of jobs whose hub died or hung; what was in flight may repeat"
        );
        app.wakes.wake_all();
    }
    Ok(alive)
}

/// At the end: gives back what could not be finished, so that others need not wait for the lease.
pub(crate) async fn release_own(app: &App) {
    let Some(number) = app.member.number() else { return };
    for table in JOB_TABLES {
        let statement = format!(
            "update {table} set lease_token = null, lease_hub = null, lease_until = null where lease_hub = $1"
        );
        if let Err(error) = sqlx::query(AssertSqlSafe(statement)).bind(number).execute(&app.db).await {
            tracing::warn!(%error, "leases were not released; they end by themselves");
        }
    }
}
