//! What one of each thing takes: disk, write-ahead log and processor time, by way of the real programs. docs/capacity.md
//! reckons with these figures.
//!
//! Tables are measured whole, with their indexes and whatever else PostgreSQL keeps of them, right after they were filled: a
//! little more than after a night's vacuum.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use e2e::{Ground, Project, Sink, until};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{self, NotificationId, RandomIds};
use trastienda_protocol::time;

use crate::report::say;
use crate::webhooks::cost::Processes;
use crate::webhooks::load::{Callers, Connection};

/// How many of each are made; enough that a table's first pages do not matter.
const EVENTS: usize = 100_000;
const MAILS: usize = 5_000;
const PAYMENTS: usize = 2_000;
const AT_ONCE: usize = 16;

struct Bench {
    ground: Ground,
    project: Project,
    pool: PgPool,
}

/// The tables that a thing is kept in; a partitioned one counts with its partitions.
const THINGS: [(&str, &[&str]); 5] = [
    ("events", &["events"]),
    ("deliveries", &["webhook_deliveries"]),
    ("attempts", &["webhook_logs"]),
    ("mails", &["notifications", "notification_attempts"]),
    (
        "payments",
        &["payment_transactions", "payment_attempts", "payment_timeline", "payment_notices", "paid_orders"],
    ),
];

/// Makes `1 / part` of everything and tells what it took.
pub(crate) async fn measure(part: usize) -> anyhow::Result<()> {
    let (events, mails, payments) = (EVENTS / part, MAILS / part, PAYMENTS / part);
    let ground = Ground::start().await?;
    let project = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
    ground.hub.lift_limits(&project).await?;
    ground.hub.set_credentials(&project, &ground.simulator).await?;
    let socket = ground.directory.path("hub/postgresql/socket");
    let options =
        PgConnectOptions::new_without_pgpass().socket(&socket).username("trastienda").database("trastienda");
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    let bench = Bench { ground, project, pool };
    say("\nCapacity: what one of each takes\n");
    say(
        "  thing          number   bytes each   of which indexes    GB a million   WAL bytes each   CPU s per 10,000",
    );

    let sink = Sink::start(std::time::Duration::ZERO).await?;
    let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": 100});
    let endpoint = bench.ground.hub.post(&bench.project, "/v1/webhook-endpoints", endpoint).await?;
    let address = bench.ground.hub.url.trim_start_matches("http://").parse()?;
    let callers = Callers { hub: address, key: bench.project.key.clone() };
    bench
        .take(&["events", "deliveries", "attempts"], events, async {
            callers.send_batches(4, events).await?;
            for _ in 0..20 {
                // A minute each: that they come is what is waited for, not how fast.
                let (before, all) = (sink.taken(), events);
                if until("they are delivered", async || Ok((sink.taken() >= all).then_some(()))).await.is_ok()
                {
                    return bench.finished("webhook_deliveries", "status = 'pending'").await;
                }
                ensure!(sink.taken() > before, "nothing is delivered any more: {before} of {all}");
            }
            anyhow::bail!("{} of {events} are delivered", sink.taken())
        })
        .await?;
    // What follows is told to nobody: its own events are counted with the events.
    let id = endpoint["id"].as_str().context("no endpoint")?;
    let endpoint = format!("{}/v1/webhook-endpoints/{id}", bench.ground.hub.url);
    e2e::client()?.delete(endpoint).bearer_auth(&bench.project.key).send().await?.error_for_status()?;
    bench
        .take(&["mails"], mails, async {
            send_mails(address, &bench.project, mails).await?;
            bench.finished("notifications", "status = 'pending'").await
        })
        .await?;
    bench
        .take(&["payments"], payments, async {
            pay(&bench, payments).await?;
            bench.finished("payment_transactions", "status = 'pending'").await
        })
        .await?;
    let Bench { ground, pool, .. } = bench;
    pool.close().await;
    ground.hub.stop().await
}

impl Bench {
    /// Does something, and tells what its things took; processor time and log are of all of them together.
    async fn take(
        &self,
        things: &[&str],
        number: usize,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let processes = self.processes()?;
        let (cpu, wal) = (processes.cpu_seconds()?, self.wal().await?);
        work.await?;
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let each = |bytes: i64| bytes as f64 / number as f64;
        let cost = (processes.cpu_seconds()? - cpu) * 10_000.0 / each_f(number);
        let wal = each(self.wal().await? - wal);
        for (place, thing) in things.iter().enumerate() {
            let (_, tables) = THINGS.iter().find(|(name, _)| name == thing).context("no such thing")?;
            let (mut total, mut indexes) = (0, 0);
            for table in *tables {
                let (bytes, of_indexes) = self.size(table).await?;
                total += bytes;
                indexes += of_indexes;
            }
            let shared = if place == 0 { format!("{wal:>14.0} {cost:>18.1}") } else { String::new() };
            say(&format!(
                "  {thing:<12} {number:>8} {:>12.0} {:>18.0} {:>15.2} {shared}",
                each(total),
                each(indexes),
                each(total) * 1e6 / 1e9
            ));
        }
        Ok(())
    }

    fn processes(&self) -> anyhow::Result<Processes> {
        let file = self.ground.directory.path("hub/postgresql/data/postmaster.pid");
        let postmaster = std::fs::read_to_string(file)?.lines().next().context("an empty file")?.parse()?;
        Ok(Processes { hub: self.ground.hub.pid().context("the hub does not run")?, postmaster })
    }

    /// A table's bytes, and how many of them are its indexes'.
    async fn size(&self, table: &str) -> anyhow::Result<(i64, i64)> {
        // A partitioned table itself holds nothing; one that is not has no tree.
        let query = "select sum(pg_total_relation_size(part))::bigint, sum(pg_indexes_size(part))::bigint
                     from (select relid::oid as part from pg_partition_tree($1::regclass) where isleaf
                           union select $1::regclass::oid) parts";
        Ok(sqlx::query_as(query).bind(table).fetch_one(&self.pool).await?)
    }

    /// How far the write-ahead log has come, in bytes.
    async fn wal(&self) -> anyhow::Result<i64> {
        let query = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// Waits until nothing of a table is unfinished, for as long as it gets less.
    async fn finished(&self, table: &str, unfinished: &str) -> anyhow::Result<()> {
        let query = format!("select count(*) from {table} where {unfinished}");
        let count = async || -> anyhow::Result<i64> {
            Ok(sqlx::query_scalar(AssertSqlSafe(query.clone())).fetch_one(&self.pool).await?)
        };
        loop {
            let before = count().await?;
            if until("all is finished", async || Ok((count().await? == 0).then_some(()))).await.is_ok() {
                return Ok(());
            }
            ensure!(count().await? < before, "{before} of {table} do not finish");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn each_f(number: usize) -> f64 {
    number as f64
}

/// Mails from a template, in batches of a hundred, as an agent hands them over.
async fn send_mails(address: std::net::SocketAddr, project: &Project, mails: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    let headers = format!("x-api-key: {}\r\n", project.key);
    for first in (0..mails).step_by(100) {
        let operations: Vec<Value> = (first..(first + 100).min(mails)).map(mail).collect();
        let body = json!({"operations": operations}).to_string();
        connection.post("/v1/batch", &headers, &body, 200).await?;
    }
    Ok(())
}

fn mail(number: usize) -> Value {
    let id: NotificationId = ids::new(&RandomIds, &SystemClock);
    let data = json!({
        "order_id": format!("A-{number}"), "customer_name": "Ana", "total": "31500.00", "currency": "ARS",
        "items": [{"name": "Mate imperial", "quantity": 1, "price": "28500.00"}, {"name": "Yerba", "quantity": 2, "price": "1500.00"}],
    });
    let body = json!({"channel": "email", "to": format!("cliente{number}@example.com"), "template": "order_confirmation",
        "locale": "es-AR", "data": data, "order_id": format!("A-{number}")});
    json!({"kind": "notification", "id": id.to_string(), "accepted_at": time::format(SystemClock.now()), "body": body})
}

/// Checkouts that are paid, the notice included.
async fn pay(bench: &Bench, payments: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut buyers = JoinSet::new();
    let hub = bench.ground.hub.url.clone();
    for _ in 0..AT_ONCE {
        let (next, hub, key) = (next.clone(), hub.clone(), bench.project.key.clone());
        buyers.spawn(async move {
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= payments {
                    return anyhow::Ok(made);
                }
                let order = format!("C-{number}");
                let body = json!({"order_id": order, "amount": "1500.00", "currency": "ARS", "description": "Mate de calabaza",
                    "method": "checkout", "payer": {"email": "ana@example.com"}});
                let call = e2e::client()?.post(format!("{hub}/v1/payments")).bearer_auth(&key);
                let answer: Value =
                    call.header("Idempotency-Key", order).json(&body).send().await?.error_for_status()?.json().await?;
                made.push(answer["provider_reference"].as_str().context("no preference")?.to_owned());
            }
        });
    }
    let mut preferences = Vec::new();
    while let Some(buyer) = buyers.join_next().await {
        preferences.extend(buyer??);
    }
    for preference in preferences {
        bench.ground.simulator.pay(&preference).await?;
    }
    Ok(())
}
