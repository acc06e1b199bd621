//! The running hubs. Each holds a session advisory lock on its number, on the connection that it listens on; the
//! connection gone, the lock is gone, and to the others so is the hub. One that only lost its connection comes back under
//! a new number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use crate::seal::Sealer;

/// First key of the advisory locks on hub numbers.
const LOCK_CLASS: i32 = 0x7472_6875;

/// How long a hub that lost its membership and has a new one lets the others come back too: what took its connection
/// may have taken theirs.
const RETURN: TimeDelta = TimeDelta::seconds(5);

/// How long a hub that said lately that it runs may be without its lock before its jobs are taken from it: one that lost
/// no more than its connection is back within a second.
const ABSENCE: Duration = Duration::from_secs(3);

/// This hub's number, while it holds the lock on it.
#[derive(Debug, Default)]
pub struct Member {
    number: AtomicI32,
    past: Mutex<Past>,
}

/// What this hub was before, and what it saw of the others.
#[derive(Debug, Default)]
struct Past {
    /// The numbers that it had. What it ran under them it still runs.
    numbers: Vec<i32>,
    /// When it became a member again.
    returned_at: Option<DateTime<Utc>>,
    /// Whether it has looked at the others yet.
    has_looked: bool,
    /// Since when hubs that have leases have been without their locks.
    missing: HashMap<i32, Instant>,
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

    /// Whether this hub may take back what others leased. Where its own lock is gone it may not: the database may have ended
    /// everybody's connections.
    pub(super) fn may_judge(&self, alive: &[i32], now: DateTime<Utc>) -> bool {
        let past = self.past();
        match self.number() {
            Some(number) => {
                alive.contains(&number) && past.returned_at.is_none_or(|at| now < at || now >= at + RETURN)
            }
            None => past.numbers.is_empty(),
        }
    }

    /// Which of the hubs that have leases are gone: they have no lock, and either were not heard of lately, or do not come
    /// back. Whoever looks for the first time has just been started, most likely in the place of one that died.
    pub(super) fn gone(&self, holders: &[i32], alive: &[i32], heard: &[i32]) -> Vec<i32> {
        let mut past = self.past();
        let is_first = !std::mem::replace(&mut past.has_looked, true);
        past.missing.retain(|number, _| holders.contains(number) && !alive.contains(number));
        let mut gone: Vec<i32> = holders.iter().copied().filter(|number| !alive.contains(number)).collect();
        gone.retain(|number| {
            let since = *past.missing.entry(*number).or_insert_with(Instant::now);
            is_first || !heard.contains(number) || since.elapsed() >= ABSENCE
        });
        gone
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
    fn who_runs_and_only_lacks_its_lock_is_given_time_but_not_by_one_that_has_just_come() {
        let member = Member::default();
        assert_eq!(member.gone(&[7, 8], &[8], &[7, 8]), [7], "its predecessor");
        assert_eq!(member.gone(&[5, 6], &[], &[6]), [5], "nobody has heard of that one");
        let missing = |number| member.past().missing.contains_key(&number);
        assert!(missing(6) && !missing(7));
        let long_ago = Instant::now().checked_sub(ABSENCE).unwrap();
        member.past().missing.insert(6, long_ago);
        assert_eq!(member.gone(&[6], &[], &[6]), [6], "it did not come back");
        assert!(member.gone(&[6], &[6], &[6]).is_empty());
        assert!(!missing(6), "it came back");
    }

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
