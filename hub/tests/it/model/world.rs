//! What the model knows, and the hub that it is held against.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use trastienda_hub::queue::worker::Queue;
use trastienda_hub::webhooks::deliver::Deliveries;
use uuid::Uuid;

use super::{Answer, Step};
use crate::support::{Receiver, TestApp};

/// Delays between attempts: so a delivery has three.
pub(super) const SCHEDULE: [i64; 2] = [10, 20];
/// First key of the advisory locks that hubs hold on their numbers.
const LOCK_CLASS: i32 = 0x7472_6875;

pub(super) type Check = Result<(), String>;

/// Fails the life with a reason.
macro_rules! hold {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(format!($($reason)+));
        }
    };
}

pub(super) use hold;

/// A hub, as far as deliveries know one: its number, the lock on it, its memory.
pub(super) struct Hub {
    pub(super) number: i32,
    pub(super) lock: PoolConnection<Postgres>,
    pub(super) queue: Deliveries,
}

impl Hub {
    /// As its connection does when it breaks.
    pub(super) async fn unlock(&mut self) {
        sqlx::query("select pg_advisory_unlock_all()").execute(&mut *self.lock).await.unwrap();
    }
}

/// What a hub has in its hands.
pub(super) struct Held {
    pub(super) hub: usize,
    pub(super) token: Uuid,
    pub(super) id: Uuid,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// Leased, and behind others of its endpoint in the hub's memory.
    Following,
    Claimed(<Deliveries as Queue>::Job),
    Attempted(Answer, <Deliveries as Queue>::Done),
}

/// A delivery's row, and how many attempts are in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) endpoint_id: Uuid,
    pub(super) status: String,
    pub(super) attempts: i32,
    pub(super) is_replay: bool,
    pub(super) lease_token: Option<Uuid>,
    pub(super) sequence: Option<i64>,
    pub(super) logs: i64,
}

pub(super) struct World {
    pub(super) seen: BTreeMap<&'static str, usize>,
    pub(super) test: TestApp,
    pub(super) receiver: Receiver,
    pub(super) hubs: Vec<Hub>,
    pub(super) held: Vec<Held>,
    pub(super) key: String,
    pub(super) endpoints: Vec<Uuid>,
    pub(super) rows: BTreeMap<Uuid, Row>,
    /// Log rows from before the last retry or replay.
    pub(super) logs_before: BTreeMap<Uuid, i64>,
}

impl World {
    pub(super) async fn new(test: TestApp) -> Self {
        let receiver = Receiver::start().await;
        let (seen, rows, logs_before) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (hubs, held, endpoints) = (Vec::new(), Vec::new(), Vec::new());
        Self { seen, test, receiver, hubs, held, key: String::new(), endpoints, rows, logs_before }
    }

    /// One life, of a project of its own, and a good end.
    pub(super) async fn live(&mut self, steps: &[Step]) -> Check {
        self.begin().await;
        for (number, step) in steps.iter().enumerate() {
            self.step(step).await.map_err(|reason| format!("step {number}, {step:?}: {reason}"))?;
        }
        self.end_well().await
    }

    async fn begin(&mut self) {
        self.held.clear();
        for mut hub in std::mem::take(&mut self.hubs) {
            hub.unlock().await;
        }
        for number in [1, 2] {
            let hub = new_hub(&self.test, number).await;
            self.hubs.push(hub);
        }
        // What an earlier life left is nobody's any more.
        sqlx::query("update projects set is_active = false").execute(self.db()).await.unwrap();
        (_, self.key) = self.test.project_on("pro").await;
        let limits = json!({"requests_per_minute": 1_000_000_000});
        let project: Uuid =
            sqlx::query_scalar("select id from projects where is_active").fetch_one(self.db()).await.unwrap();
        let path = format!("/admin/v1/projects/prj_{}/limits", project.as_simple());
        assert_eq!(self.test.admin("PUT", &path, limits).await.status, 200);
        self.endpoints.clear();
        for ordered in [false, true] {
            // Only what the model makes: not what the hub tells of an endpoint that is gone.
            let body = json!({"url": self.receiver.url(), "events": ["stock.*"], "ordered": ordered,
                "retry_schedule": SCHEDULE, "max_in_flight": 3});
            let answer = self.test.post(&self.key, "/v1/webhook-endpoints", body).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            self.endpoints.push(answer.id()[4..].parse().unwrap());
        }
        self.logs_before.clear();
        self.rows = self.look().await;
    }

    pub(super) fn db(&self) -> &PgPool {
        &self.test.app.db
    }

    pub(super) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(super) async fn look(&self) -> BTreeMap<Uuid, Row> {
        let rows: Vec<(Uuid, Value)> = sqlx::query_as(
            "select d.id, to_jsonb(d) || jsonb_build_object('logs', (select count(*) from webhook_logs l
                 where l.project_id = d.project_id and l.delivery_id = d.id))
             from webhook_deliveries d where d.endpoint_id = any($1)",
        )
        .bind(&self.endpoints)
        .fetch_all(self.db())
        .await
        .unwrap();
        rows.into_iter().map(|(id, row)| (id, Row::read(&row))).collect()
    }

    /// Looks, and holds that nothing changed but what the change says.
    pub(super) async fn expect(&mut self, change: impl Fn(Uuid, &mut Row)) -> Check {
        let mut expected = self.rows.clone();
        for (id, row) in &mut expected {
            change(*id, row);
        }
        let found = self.look().await;
        for (id, row) in &found {
            let was = self.rows.get(id);
            hold!(
                expected.get(id) == Some(row),
                "{id} was {was:?}, is {row:?} and not {:?}",
                expected.get(id)
            );
            let since = row.logs - self.logs_before.get(id).copied().unwrap_or_default();
            hold!(
                i64::from(row.attempts) == since,
                "{id} has {} attempts and {since} in the log",
                row.attempts
            );
            hold!(row.status == "pending" || row.lease_token.is_none(), "{id} is over and leased");
        }
        hold!(found.len() == expected.len(), "{} rows and not {}", found.len(), expected.len());
        self.rows = found;
        Ok(())
    }

    /// The receiver is well, the endpoints are enabled, time passes: everything comes to its end.
    async fn end_well(&mut self) -> Check {
        self.step(&Step::Expire).await?;
        for hub in 0..self.hubs.len() {
            self.step(&Step::Die { hub }).await?;
        }
        for ordered in [false, true] {
            self.enable(ordered).await;
        }
        for _ in 0..200 {
            if self.rows.values().all(|row| row.status != "pending") {
                return Ok(());
            }
            self.claim(0, 6).await?;
            if self.held.is_empty() {
                self.test.clock.advance(TimeDelta::minutes(10));
            }
            // What follows comes with the next claim.
            while self.held.iter().any(|held| !matches!(held.work, Work::Following)) {
                self.attempt(0, Answer::Ok).await?;
                self.finish(0).await?;
            }
        }
        Err(format!("never over: {:?}", self.rows))
    }
}

impl Row {
    fn read(row: &Value) -> Self {
        let number = |name: &str| row[name].as_i64();
        let uuid = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
        Self {
            endpoint_id: uuid("endpoint_id").unwrap_or_default(),
            status: row["status"].as_str().unwrap_or_default().to_owned(),
            attempts: number("attempts").and_then(|number| i32::try_from(number).ok()).unwrap_or(-1),
            is_replay: row["is_replay"] == true,
            lease_token: uuid("lease_token"),
            sequence: number("sequence"),
            logs: number("logs").unwrap_or(-1),
        }
    }
}

pub(super) async fn new_hub(test: &TestApp, number: i32) -> Hub {
    let mut lock = test.app.db.acquire().await.unwrap();
    let query = sqlx::query("select pg_advisory_lock($1, $2)").bind(LOCK_CLASS).bind(number);
    query.execute(&mut *lock).await.unwrap();
    Hub { number, lock, queue: Deliveries::new(&test.app) }
}
