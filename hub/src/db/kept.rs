//! Connections of the hub's own loops, apart from the requests' pool.
//!
//! Every event passes through the same few statements. The pool would ask its connection twice in each transaction
//! whether it still lives, and PostgreSQL would plan the statements for the values at hand. A kept connection goes
//! straight to work with the plans that it has.
//!
//! One that failed is closed, and takes with it those that rest: their server is most likely gone too.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection that rested for longer is asked whether it still lives.
const RESTED: Duration = Duration::from_secs(1);
/// The age at which a connection is closed: what it has remembered of the schema goes with it.
const AGE_MAX: Duration = Duration::from_mins(30);

/// The connections that wait for their next use. There are as many as were in use at once.
#[derive(Debug, Clone)]
pub struct Kept(Arc<State>);

#[derive(Debug)]
struct State {
    options: PgConnectOptions,
    resting: Mutex<Vec<Resting>>,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Resting {
    conn: PgConnection,
    made_at: Instant,
    since: Instant,
}

/// A connection in use. Dropped without [`Lent::give_back`], as after a failure, it is closed.
#[derive(Debug)]
pub struct Lent {
    conn: PgConnection,
    made_at: Instant,
    loan: Loan,
}

/// A transaction on a connection of its own. Dropped before its end, it is rolled back and its connection closed.
#[derive(Debug)]
pub struct Transaction(Lent);

/// What happens to those that rest when one is not given back.
#[derive(Debug)]
struct Loan {
    kept: Kept,
    is_over: bool,
}

impl Kept {
    /// None yet, to the database of these options.
    pub fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(State { options, resting: Mutex::default(), is_closed: AtomicBool::new(false) }))
    }

    /// Closes those that rest, and waits until the server has been told. From now on none is lent, and none comes back.
    pub async fn close(&self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        let resting = std::mem::take(&mut *self.resting());
        for it in resting {
            // It ends either way.
            let _ = it.conn.close().await;
        }
    }

    /// A connection: the one that was used last, or a new one.
    pub async fn lend(&self) -> sqlx::Result<Lent> {
        if self.0.is_closed.load(Ordering::SeqCst) {
            return Err(sqlx::Error::PoolClosed);
        }
        while let Some(mut resting) = self.take() {
            if resting.since.elapsed() < RESTED || resting.conn.ping().await.is_ok() {
                return Ok(self.lent(resting.conn, resting.made_at));
            }
        }
        match tokio::time::timeout(CONNECT, self.connect()).await {
            Ok(conn) => Ok(self.lent(conn?, Instant::now())),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        let mut lent = self.lend().await?;
        lent.execute("begin").await?;
        Ok(Transaction(lent))
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut conn = PgConnection::connect_with(&self.0.options).await?;
        super::prepare(&mut conn).await?;
        conn.execute("set plan_cache_mode = force_generic_plan").await?;
        Ok(conn)
    }

    fn lent(&self, conn: PgConnection, made_at: Instant) -> Lent {
        Lent { conn, made_at, loan: Loan { kept: self.clone(), is_over: false } }
    }

    fn take(&self) -> Option<Resting> {
        self.resting().pop()
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.0.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// Lets others use it: its last use ended well, and no transaction is open.
    pub fn give_back(self) {
        let Self { conn, made_at, mut loan } = self;
        loan.is_over = true;
        if !loan.kept.0.is_closed.load(Ordering::SeqCst) && made_at.elapsed() < AGE_MAX {
            loan.kept.resting().push(Resting { conn, made_at, since: Instant::now() });
        }
    }
}

impl Transaction {
    /// Ends it: what it wrote is there.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.end("commit").await
    }

    /// Ends it as if it had never been.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end("rollback").await
    }

    async fn end(mut self, how: &'static str) -> sqlx::Result<()> {
        self.0.execute(how).await?;
        self.0.give_back();
        Ok(())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if !self.is_over {
            self.kept.resting().clear();
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
