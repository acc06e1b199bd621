//! The running hubs. Each holds a session advisory lock on its number, on the connection that it listens on; the
//! connection gone, the lock is gone, and to the others so is the hub. One that only lost its connection comes back under
//! a new number.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use crate::seal::Sealer;

/// First key of the advisory locks on hub numbers.
const LOCK_CLASS: i32 = 0x7472_6875;

/// How long a hub that lost its membership and has a new one lets the others come back too: what took its connection
/// may have taken theirs.
const RETURN: TimeDelta = TimeDelta::seconds(5);

/// This hub's number, while it holds the lock on it.
#[derive(Debug, Default)]
pub struct Member {
    number: AtomicI32,
    past: Mutex<Past>,
}

/// What this hub was before.
#[derive(Debug, Default)]
struct Past {
    /// The numbers that it had. What it ran under them it still runs.
    numbers: Vec<i32>,
    /// When it became a member again.
    returned_at: Option<DateTime<Utc>>,
}

impl Member {
    /// The number; `None` while the hub is not (or no longer) a member.
    pub fn number(&self) -> Option<i32> {
        Some(self.number.load(Ordering::SeqCst)).filter(|number| *number != 0)
    }

    /// The numbers that this hub had before, and lost with its connection.
    pub(super) fn past_numbers(&self) -> Vec<i32> {
        self.past().numbers.clone()
    }

    /// Whether a lock that nobody holds tells this hub that another is gone. Where its own is gone too, it does not: the
    /// database may have ended everybody's connections.
    pub(super) fn may_judge(&self, alive: &[i32], now: DateTime<Utc>) -> bool {
        let past = self.past();
        match self.number() {
            Some(number) => {
                alive.contains(&number) && past.returned_at.is_none_or(|at| now < at || now >= at + RETURN)
            }
            None => past.numbers.is_empty(),
        }
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
        let mut past = self.past();
        if !past.numbers.is_empty() {
            past.returned_at = Some(now);
        }
        self.number.store(number, Ordering::SeqCst);
        Ok(number)
    }

    /// No longer a member: the connection is gone.
    pub(crate) fn leave(&self) {
        let mut past = self.past();
        let number = self.number.swap(0, Ordering::SeqCst);
        if number != 0 {
            past.numbers.push(number);
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The numbers of the running hubs. Needs no table: a database that is yet to be restored has none.
pub(crate) async fn list_alive(db: &PgPool) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        r#"
        select objid::bigint::integer as "number!"
        from pg_locks
        where locktype = 'advisory'
          and database = (select oid from pg_database where datname = current_database())
          and classid = $1::integer::oid
          and objsubid = 2
          and granted
        "#,
        LOCK_CLASS,
    )
    .fetch_all(db)
    .await
}

/// The numbers of hubs that said lately that they run.
pub(super) async fn list_heard(db: &PgPool) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!("select number from hubs where seen_at > now() - interval '15 seconds'")
        .fetch_all(db)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_its_own_lock_judges_nobody_until_the_others_had_time_to_come_back() {
        let now = DateTime::UNIX_EPOCH;
        let member = Member::default();
        assert!(member.may_judge(&[], now), "one that starts finds what its predecessor left");
        member.number.store(7, Ordering::SeqCst);
        assert!(member.may_judge(&[7, 8], now));
        assert!(!member.may_judge(&[8], now), "its lock is gone, which it has not noticed yet");
        member.leave();
        assert!(!member.may_judge(&[8], now));
        assert_eq!((member.number(), member.past_numbers()), (None, vec![7]));
        member.number.store(9, Ordering::SeqCst);
        member.past().returned_at = Some(now);
        assert!(!member.may_judge(&[9], now));
        assert!(member.may_judge(&[9], now + RETURN));
        assert!(member.may_judge(&[9], now - RETURN), "a clock that was set back holds up nothing");
    }
}
