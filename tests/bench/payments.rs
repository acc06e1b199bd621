//! Payments: what the hub adds to the provider's own time, how many notices it takes, and what many that wait cost.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Directory, Hub, Project, Simulator, command};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::mac::hmac_sha256;

use crate::report::{quantile, say, summary};
use crate::webhooks::cost::Processes;
use crate::webhooks::load::Connection;

/// Payments that are made at the same time.
const AT_ONCE: usize = 32;
/// Payments of one run.
const PAYMENTS: usize = 640;
/// How long the provider takes for each, as the real one does: what is measured is the hub's part of it.
const PROVIDER_MS: usize = 200;
/// Notices of one run, and how many connections bring them.
const NOTICES: usize = 10_000;
const DOORS: usize = 64;
/// Payments that wait for their customers.
const WAITING: usize = 100_000;
/// For how long it is watched what they cost.
const WATCH: Duration = Duration::from_secs(20);

struct Bench {
    hub: Hub,
    simulator: Simulator,
    project: Project,
    address: SocketAddr,
    directory: Directory,
}

/// Measures all of it.
pub(crate) async fn measure(runs: usize) -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let hub = Hub::start_beside(&directory, &simulator).await?;
    let project = hub.create_project("Mate y Compañía", "mates.example.com").await?;
    hub.lift_limits(&project).await?;
    hub.set_credentials(&project, &simulator).await?;
    let address = hub.url.trim_start_matches("http://").parse()?;
    let bench = Bench { hub, simulator, project, address, directory };
    say(&format!("\nPayments, {runs} runs: median (least to most)\n"));
    create(&bench, runs).await?;
    notices(&bench, runs).await?;
    waiting(&bench).await?;
    bench.hub.stop().await
}

fn row(name: &str, value: &str) {
    say(&format!("  {name:<64} {value}"));
}

async fn create(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let slow =
        json!({"kind": "latency", "ms": PROVIDER_MS, "rate": 1.0, "method": "POST", "path": "/checkout"});
    bench.simulator.control("faults", slow).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let made = create_all(bench, run).await?;
        let mut own = Vec::new();
        for (id, took) in made {
            let shown = bench.hub.get(&bench.project, &format!("/v1/payments/{id}")).await?;
            let timeline = shown["timeline"].as_array().context("no timeline")?;
            let call =
                timeline.iter().find(|entry| entry["outcome"] == "create: ok").context("it was not made")?;
            own.push((took - call["duration_ms"].as_f64().context("no duration")?).max(0.0));
        }
        p50.push(quantile(&mut own, 0.5));
        p99.push(quantile(&mut own, 0.99));
    }
    bench.simulator.clear_faults().await?;
    row("a payment, 32 at once, without the provider's time: p50, ms", &summary(&mut p50));
    row("the same: p99, ms", &summary(&mut p99));
    Ok(())
}

/// Makes a run's payments. Gives their ids and how long each took, in milliseconds.
async fn create_all(bench: &Bench, run: usize) -> anyhow::Result<Vec<(String, f64)>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for caller in 0..AT_ONCE {
        let (address, key, next) = (bench.address, bench.project.key.clone(), next.clone());
        tasks.spawn(async move {
            // Customers do not come in step.
            let start = PROVIDER_MS * caller / AT_ONCE;
            tokio::time::sleep(Duration::from_millis(u64::try_from(start)?)).await;
            let mut connection = Connection::open(address).await?;
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= PAYMENTS {
                    return anyhow::Ok(made);
                }
                let order = format!("P-{run}-{number}");
                let headers = format!("x-api-key: {key}\r\nidempotency-key: {order}\r\n");
                let body = format!(
                    r#"{{"order_id":"{order}","amount":"1500.00","currency":"ARS","description":"Mate","method":"checkout","payer":{{"email":"ana@example.com"}}}}"#
                );
                let began = Instant::now();
                let answer = connection.post("/v1/payments", &headers, &body, 201).await?;
                let took = began.elapsed().as_secs_f64() * 1e3;
                let text = std::str::from_utf8(answer)?;
                let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").context("no body")?.1)?;
                made.push((body["id"].as_str().context("no id")?.to_owned(), took));
            }
        });
    }
    let mut made = Vec::new();
    while let Some(task) = tasks.join_next().await {
        made.extend(task??);
    }
    Ok(made)
}

async fn notices(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let (mut rates, mut p99) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let began = Instant::now();
        let mut times = send_notices(bench, run).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        rates.push(NOTICES as f64 / began.elapsed().as_secs_f64());
        p99.push(quantile(&mut times, 0.99));
    }
    row("notices stored and answered, per second", &summary(&mut rates));
    row("the same: answered within, p99, ms", &summary(&mut p99));
    Ok(())
}

async fn send_notices(bench: &Bench, run: usize) -> anyhow::Result<Vec<f64>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..DOORS {
        let (address, next) = (bench.address, next.clone());
        let (project, secret) = (bench.project.id.clone(), bench.simulator.webhook_secret.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= NOTICES {
                    return anyhow::Ok(times);
                }
                let id = 1_000_000_000 + run * NOTICES + number;
                let ts = SystemClock.now().timestamp();
                let manifest = format!("id:{id};request-id:r-{id};ts:{ts};");
                let mut v1 = String::new();
                for byte in hmac_sha256(secret.as_bytes(), &[manifest.as_bytes()]) {
                    write!(v1, "{byte:02x}")?;
                }
                let headers = format!("x-request-id: r-{id}\r\nx-signature: ts={ts},v1={v1}\r\n");
                let path = format!("/webhooks/mercadopago/{project}?data.id={id}&type=payment");
                let body =
                    format!(r#"{{"type":"payment","action":"payment.updated","data":{{"id":"{id}"}}}}"#);
                let began = Instant::now();
                connection.post(&path, &headers, &body, 200).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    Ok(times)
}

/// What it costs that many wait, between two rounds of asking about them.
async fn waiting(bench: &Bench) -> anyhow::Result<()> {
    // What the notices left behind is not what is measured.
    sql(bench, "update payment_notices set status = 'ignored', handled_at = now() where status = 'pending'")
        .await?;
    sql(bench, "update payment_transactions set action = null where action = 'sync'").await?;
    let before = busy(bench).await?;
    let project = bench.project.id.trim_start_matches("prj_");
    let plant = format!(
        "insert into payment_transactions (project_id, id, provider, method, order_id, amount_minor, order_amount_minor,
             amount_refunded_minor, currency, request, metadata, status, provider_key, action, run_at, attempts, fingerprint,
             created_at, updated_at)
         select '{project}', gen_random_uuid(), 'mercadopago', 'ticket', 'W-' || n, 1000, 1000, 0, 'ARS',
                '{{\"description\": \"x\", \"payer\": {{\"email\": \"a@example.com\"}}}}', '{{}}', 'pending', 'k', 'sync',
                now() + interval '1 hour', 0, '', now(), now()
         from generate_series(1, {WAITING}) n"
    );
    sql(bench, &plant).await?;
    sql(bench, "vacuum analyze payment_transactions").await?;
    let after = busy(bench).await?;
    row("CPU of hub and PostgreSQL, nobody waiting, % of a core", &format!("{:>9.2}", before * 100.0));
    row("the same, 100,000 pending payments between rounds", &format!("{:>9.2}", after * 100.0));
    Ok(())
}

/// How much of a core hub and PostgreSQL use.
async fn busy(bench: &Bench) -> anyhow::Result<f64> {
    let hub = bench.hub.pid().context("the hub does not run")?;
    let file = bench.directory.path("hub/postgresql/data/postmaster.pid");
    let postmaster = std::fs::read_to_string(file)?.lines().next().context("no pid")?.parse()?;
    let processes = Processes { hub, postmaster };
    let began = (processes.cpu_seconds()?, Instant::now());
    tokio::time::sleep(WATCH).await;
    Ok((processes.cpu_seconds()? - began.0) / began.1.elapsed().as_secs_f64())
}

async fn sql(bench: &Bench, statement: &str) -> anyhow::Result<()> {
    let mut psql = command("/usr/bin/psql");
    psql.arg("-h").arg(bench.directory.path("hub/postgresql/socket"));
    psql.args(["-U", "trastienda", "-d", "trastienda", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]);
    let output = psql.output().await?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
