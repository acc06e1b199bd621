//! `make bench`: what a call costs the shop, beside what it would have cost otherwise, in the same run; and how fast mail
//! is accepted and sent.
//!
//! Medians of five runs. Timings decide nothing: this prints, and never fails because something was slow.

mod mail;

use std::process::ExitCode;

use anyhow::Context as _;
use e2e::{Shop, Stack, Transport, root};

const RUNS: usize = 5;
const CALLS: usize = 300;

/// One way of telling somebody that an order was created.
struct Way {
    name: &'static str,
    transport: Transport,
    kind: &'static str,
}

const WAYS: [Way; 5] = [
    Way { name: "extension → agent, on disk", transport: Transport::Extension, kind: "trastienda" },
    Way { name: "pure PHP → agent, on disk", transport: Transport::Socket, kind: "trastienda" },
    Way { name: "HTTP → hub, committed", transport: Transport::Http, kind: "trastienda" },
    Way { name: "Laravel's database queue (SQLite, FULL)", transport: Transport::Extension, kind: "queue" },
    Way { name: "bare SQLite commit (FULL)", transport: Transport::Extension, kind: "sqlite" },
];

fn main() -> ExitCode {
    let result =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(measure()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn say(text: &str) {
    println!("{text}");
}

/// Everything, or one part: `bench calls`, `bench mail`, `bench mail 10` for a tenth of it.
async fn measure() -> anyhow::Result<()> {
    let part = std::env::args().nth(1);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_wanted("calls") {
        calls().await?;
    }
    if is_wanted("mail") {
        let part = std::env::args().nth(2).map_or(Ok(1), |part| part.parse())?;
        mail::measure(part).await?;
    }
    Ok(())
}

async fn calls() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    // The limit of a plan is not what is measured.
    stack.hub.lift_limits(&stack.project_a).await?;
    say(&format!(
        "{CALLS} calls of 1 KB from one PHP process, {RUNS} runs, microseconds: median of the runs (least to most)\n"
    ));
    let mut reference = None;
    for way in WAYS {
        let mut medians = Vec::new();
        let mut worst = Vec::new();
        for _ in 0..RUNS {
            let times = run(&stack.shop_a, &way).await?;
            medians.push(quantile(&times, 0.5));
            worst.push(quantile(&times, 0.99));
        }
        medians.sort_by(f64::total_cmp);
        worst.sort_by(f64::total_cmp);
        let p50 = quantile(&medians, 0.5);
        let first = *reference.get_or_insert(p50);
        say(&format!(
            "  {:<42} p50 {p50:>8.0} ({:.0} to {:.0})   p99 {:>8.0}   {:>5.2}×",
            way.name,
            medians.first().copied().unwrap_or_default(),
            medians.last().copied().unwrap_or_default(),
            quantile(&worst, 0.5),
            p50 / first,
        ));
    }
    stack.stop().await
}

async fn run(shop: &Shop, way: &Way) -> anyhow::Result<Vec<f64>> {
    let script = root().join("tests/bench/calls.php");
    let output = shop.script(way.transport, &script, &[&CALLS.to_string(), way.kind]).await?;
    let line = output.lines().last().context("the script printed nothing")?;
    let mut times: Vec<f64> =
        serde_json::from_str(line).with_context(|| format!("{}: {output}", way.name))?;
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// A quantile of sorted values.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred values"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}
