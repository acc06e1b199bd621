//! What a call costs the shop, beside what it would have cost otherwise.

use anyhow::Context as _;
use e2e::{Shop, Stack, Transport, root};

use crate::report::{quantile, say};

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

/// Measures all ways.
pub(crate) async fn measure(runs: usize) -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    // The limit of a plan is not what is measured.
    stack.hub.lift_limits(&stack.project_a).await?;
    say(&format!(
        "{CALLS} calls of 1 KB from one PHP process, {runs} runs, microseconds: median of the runs (least to most)\n"
    ));
    let mut reference = None;
    for way in WAYS {
        let mut medians = Vec::new();
        let mut worst = Vec::new();
        for _ in 0..runs {
            let mut times = run(&stack.shop_a, &way).await?;
            medians.push(quantile(&mut times, 0.5));
            worst.push(quantile(&mut times, 0.99));
        }
        let p50 = quantile(&mut medians, 0.5);
        let first = *reference.get_or_insert(p50);
        say(&format!(
            "  {:<42} p50 {p50:>8.0} ({:.0} to {:.0})   p99 {:>8.0}   {:>5.2}×",
            way.name,
            medians.first().copied().unwrap_or_default(),
            medians.last().copied().unwrap_or_default(),
            quantile(&mut worst, 0.5),
            p50 / first,
        ));
    }
    stack.stop().await
}

async fn run(shop: &Shop, way: &Way) -> anyhow::Result<Vec<f64>> {
    let script = root().join("tests/bench/calls.php");
    let output = shop.script(way.transport, &script, &[&CALLS.to_string(), way.kind]).await?;
    let line = output.lines().last().context("the script printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("{}: {output}", way.name))
}
