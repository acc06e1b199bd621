//! What each step does to the hub, and what it may change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use trastienda_hub::queue::worker::Queue as _;
use trastienda_hub::queue::{LEASE, Lease, leases};
use trastienda_protocol::ids::{Id as _, IdSource as _, RandomIds};
use uuid::Uuid;

use super::world::{Check, Held, Row, SCHEDULE, Work, World, hold, new_hub};
use super::{Answer, Step};

impl World {
    pub(super) async fn step(&mut self, step: &Step) -> Check {
        match *step {
            Step::Event => {
                let body = json!({"type": "stock.counted", "data": {}});
                let answer = self.test.post(&self.key, "/v1/events", body).await;
                hold!(answer.status == 202, "{answer:?}");
                let found = self.look().await;
                let new: BTreeSet<_> = found
                    .iter()
                    .filter(|(id, _)| !self.rows.contains_key(*id))
                    .map(|(_, row)| row.endpoint_id)
                    .collect();
                hold!(new == self.endpoints.iter().copied().collect(), "it goes to {new:?}");
                self.rows = found;
                self.expect(|_, _| {}).await
            }
            Step::Claim { hub, most } => self.claim(hub, most).await,
            Step::Attempt { which, answer } => self.attempt(which, answer).await,
            Step::Finish { which } => self.finish(which).await,
            Step::Die { hub } => {
                sqlx::query("select pg_advisory_unlock_all()")
                    .execute(&mut *self.hubs[hub].lock)
                    .await
                    .unwrap();
                let lost: BTreeSet<_> =
                    self.held.extract_if(.., |held| held.hub == hub).map(|held| held.token).collect();
                // Numbers are given once.
                let number = self.hubs.iter().map(|hub| hub.number).max().unwrap_or(0) + 1;
                self.hubs[hub] = new_hub(&self.test, number).await;
                leases::release_void(&self.test.app).await.unwrap();
                self.saw("died");
                self.expect(|_, row| row.lease_token = row.lease_token.filter(|token| !lost.contains(token)))
                    .await
            }
            Step::Expire => {
                self.test.clock.advance(LEASE + TimeDelta::seconds(1));
                leases::release_void(&self.test.app).await.unwrap();
                self.saw("expired");
                self.expect(|_, row| row.lease_token = None).await
            }
            Step::Retry { which } => self.retry(which).await,
            Step::Replay { ordered, all } => self.replay(ordered, all).await,
            Step::Disable { ordered } => {
                let statement = "update webhook_endpoints set disabled_at = coalesce(disabled_at, $2),
                                 disabled_reason = coalesce(disabled_reason, 'by hand') where id = $1";
                let query = sqlx::query(statement).bind(self.endpoints[usize::from(ordered)]);
                query.bind(self.test.now()).execute(self.db()).await.unwrap();
                self.saw("disabled");
                self.expect(|_, _| {}).await
            }
            Step::Enable { ordered } => {
                self.enable(ordered).await;
                self.expect(|_, _| {}).await
            }
            Step::Wait { seconds } => {
                self.test.clock.advance(TimeDelta::seconds(seconds));
                self.expect(|_, _| {}).await
            }
        }
    }

    pub(super) async fn claim(&mut self, hub: usize, most: i64) -> Check {
        let now = self.test.now();
        // One at a time: whose a job is stands in its row.
        for _ in 0..most {
            let token = RandomIds.uuid(now);
            let jobs = self.hubs[hub]
                .queue
                .claim(&Lease::of(self.hubs[hub].number, &self.test.app.in_hand, token, now), 1)
                .await
                .map_err(|error| error.to_string())?;
            let before = self.rows.clone();
            let found = self.look().await;
            let leased: Vec<Uuid> =
                found.iter().filter(|(_, row)| row.lease_token == Some(token)).map(|(id, _)| *id).collect();
            hold!(jobs.len() <= 1, "{} jobs", jobs.len());
            self.expect(|id, row| {
                if leased.contains(&id) {
                    row.lease_token = Some(token);
                }
            })
            .await?;
            for id in leased {
                self.check_claim(&before, id, now).await?;
                self.held.push(Held { hub, token, id, work: Work::Following });
            }
            for job in jobs {
                let id = job.delivery_id().uuid();
                let follows = |held: &&mut Held| {
                    held.hub == hub && held.id == id && matches!(held.work, Work::Following)
                };
                let Some(held) = self.held.iter_mut().find(follows) else {
                    return Err(format!("a job for {id}, which it does not have"));
                };
                held.work = Work::Claimed(job);
            }
        }
        self.expect(|_, _| {}).await
    }

    /// What was claimed was due, free, of an enabled endpoint, and overtook nothing.
    async fn check_claim(&mut self, before: &BTreeMap<Uuid, Row>, id: Uuid, now: DateTime<Utc>) -> Check {
        let was = &before[&id];
        hold!(was.status == "pending" && was.lease_token.is_none(), "claimed {was:?}");
        let (is_enabled, run_at): (bool, DateTime<Utc>) = sqlx::query_as(
            "select e.disabled_at is null, d.run_at from webhook_deliveries d
             join webhook_endpoints e on e.id = d.endpoint_id where d.id = $1",
        )
        .bind(id)
        .fetch_one(self.db())
        .await
        .unwrap();
        hold!(is_enabled && run_at <= now, "claimed while disabled, or {run_at} before {now}");
        if was.sequence.is_some() {
            let others =
                before.values().filter(|row| row.endpoint_id == was.endpoint_id && row.status == "pending");
            let overtaken =
                others.filter(|row| row.lease_token.is_some() || row.sequence < was.sequence).count();
            hold!(overtaken == 0, "{id} overtook {overtaken}");
            self.saw("claimed in order");
        }
        Ok(())
    }

    pub(super) async fn attempt(&mut self, which: usize, answer: Answer) -> Check {
        let claimed: Vec<usize> =
            (0..self.held.len()).filter(|index| matches!(self.held[*index].work, Work::Claimed(_))).collect();
        if claimed.is_empty() {
            return Ok(());
        }
        let Held { hub, token, id, work } = self.held.remove(claimed[which % claimed.len()]);
        let Work::Claimed(job) = work else { return Err("not claimed".to_owned()) };
        let headers: &[_] = if answer == Answer::TooMany { &[("retry-after", "100")] } else { &[] };
        self.receiver.answer(answer.status(), headers);
        let done = self.hubs[hub].queue.run(job).await;
        let event: Uuid = sqlx::query_scalar("select event_id from webhook_deliveries where id = $1")
            .bind(id)
            .fetch_one(self.db())
            .await
            .unwrap();
        let received = self.receiver.received();
        let came = received.last().map(|received| received.header("webhook-id").to_owned());
        hold!(came == Some(format!("evt_{}", event.as_simple())), "it came as {came:?}");
        self.held.push(Held { hub, token, id, work: Work::Attempted(answer, done) });
        self.expect(|_, _| {}).await
    }

    pub(super) async fn finish(&mut self, which: usize) -> Check {
        let attempted: Vec<usize> = (0..self.held.len())
            .filter(|index| matches!(self.held[*index].work, Work::Attempted(..)))
            .collect();
        if attempted.is_empty() {
            return Ok(());
        }
        let Held { hub, token, id, work } = self.held.remove(attempted[which % attempted.len()]);
        let Work::Attempted(answer, done) = work else { return Err("not attempted".to_owned()) };
        let in_time = self.rows[&id].lease_token == Some(token);
        let endpoint = self.endpoint_of(id).await;
        self.hubs[hub].queue.finish(&[done]).await.map_err(|error| error.to_string())?;
        if !in_time {
            self.saw("finished too late");
            hold!(
                self.endpoint_of(id).await == endpoint,
                "the endpoint was changed by a lease that was lost"
            );
            return self.expect(|_, _| {}).await;
        }
        self.saw("finished");
        hold!(answer != Answer::Gone || !self.endpoint_of(id).await, "it is gone and enabled");
        self.expect(|other, row| {
            if other == id {
                (row.attempts, row.logs, row.lease_token) = (row.attempts + 1, row.logs + 1, None);
                let is_last = row.attempts > i32::try_from(SCHEDULE.len()).unwrap_or_default();
                let status = match answer {
                    Answer::Ok => "sent",
                    Answer::Gone => "failed",
                    _ if is_last => "failed",
                    _ => "pending",
                };
                status.clone_into(&mut row.status);
            }
        })
        .await
    }

    /// Whether a delivery's endpoint is enabled.
    async fn endpoint_of(&self, id: Uuid) -> bool {
        sqlx::query_scalar("select disabled_at is null from webhook_endpoints where id = $1")
            .bind(self.rows[&id].endpoint_id)
            .fetch_one(self.db())
            .await
            .unwrap()
    }

    pub(super) async fn enable(&mut self, ordered: bool) {
        let id = self.endpoints[usize::from(ordered)];
        let path = format!("/v1/webhook-endpoints/whe_{}/enable", id.as_simple());
        let answer = self.test.post(&self.key, &path, json!({})).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    async fn retry(&mut self, which: usize) -> Check {
        let Some(id) = self.rows.keys().nth(which % self.rows.len().max(1)).copied() else { return Ok(()) };
        let path = format!("/v1/webhook-deliveries/whd_{}/retry", id.as_simple());
        let answer = self.test.post(&self.key, &path, json!({})).await;
        let in_flight = self.rows[&id].lease_token.is_some();
        hold!((answer.status == 202) != in_flight, "in flight: {in_flight}, and {answer:?}");
        if in_flight {
            self.saw("refused a retry");
            return self.expect(|_, _| {}).await;
        }
        self.saw("retried");
        self.start_anew(|other, _| other == id).await
    }

    async fn replay(&mut self, ordered: bool, all: bool) -> Check {
        let endpoint = self.endpoints[usize::from(ordered)];
        // Until now, and not with it: a moment later, so that what was just made counts.
        self.test.clock.advance(TimeDelta::seconds(1));
        let path = format!("/v1/webhook-endpoints/whe_{}/replay", endpoint.as_simple());
        let since = trastienda_protocol::time::format(self.test.now() - TimeDelta::days(1));
        let body = json!({"since": since, "status": if all { "all" } else { "failed" }});
        let answer = self.test.post(&self.key, &path, body).await;
        hold!(answer.status == 202, "{answer:?}");
        let is_chosen = |row: &Row| {
            row.endpoint_id == endpoint && (row.status == "failed" || (all && row.status == "sent"))
        };
        let chosen = self.rows.values().filter(|row| is_chosen(row)).count();
        hold!(answer.body["queued"] == chosen, "{chosen} and {answer:?}");
        if chosen > 0 {
            self.saw("replayed");
        }
        self.start_anew(|_, row| is_chosen(row)).await
    }

    /// Rows that are over, or waiting, begin again; nothing else may make a row pending that was over.
    async fn start_anew(&mut self, is_chosen: impl Fn(Uuid, &Row) -> bool) -> Check {
        for (id, row) in &self.rows {
            if is_chosen(*id, row) {
                self.logs_before.insert(*id, row.logs);
            }
        }
        self.expect(|id, row| {
            if is_chosen(id, row) {
                (row.status, row.attempts, row.is_replay) = ("pending".to_owned(), 0, true);
            }
        })
        .await
    }
}
