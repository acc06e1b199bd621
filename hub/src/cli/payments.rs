//! `trastienda-hub payments …`.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{Id as _, ProjectId, RandomIds};

use super::say;
use crate::app::{App, Parts};
use crate::config::ServeArgs;
use crate::db::{self, Store};
use crate::payments::reconcile::{self, Report};
use crate::shutdown::Shutdown;
use crate::{serve, telemetry};

#[derive(Subcommand)]
pub(super) enum PaymentsCommand {
    /// Compare a project's payments with its provider's books and with the orders that the shop reported. What was
    /// missed is taken in; what differs becomes a case. Beside a running hub, as often as you like.
    Reconcile(Box<ReconcileArgs>),
}

#[derive(Args)]
pub(super) struct ReconcileArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// From when on: a day (`2026-11-01`, UTC) or a time with an offset (`2026-11-01T08:00:00-03:00`).
    #[arg(long)]
    since: String,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: ServeArgs,
}

impl PaymentsCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self::Reconcile(args) = self;
        let project =
            ProjectId::parse(&args.project).with_context(|| format!("--project {}", args.project))?;
        let since = parse_since(&args.since).context("--since must be a day or a time with an offset")?;
        let (config, store_config) = args.serve.check()?;
        telemetry::start_logs(&args.serve.log)?;
        serve::install_tls();
        let store = Store::open(&store_config).await?;
        let report = compare(config, &store, project, since).await;
        store.close(false).await;
        say(&told(&report?, args.json)?);
        Ok(())
    }
}

async fn compare(
    config: crate::config::Config,
    store: &Store,
    project: ProjectId,
    since: DateTime<Utc>,
) -> anyhow::Result<Report> {
    let app = build(config, store).await?;
    reconcile::run(&app, project, since).await
}

/// A hub without queues: what follows from a command is the running hub's, which looks every second.
pub(super) async fn build(config: crate::config::Config, store: &Store) -> anyhow::Result<App> {
    db::migrate(&store.pool, SystemClock.now()).await?;
    let parts = Parts {
        db: store.pool.clone(),
        config,
        sealer: store.sealer.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        shutdown: Shutdown::default(),
        metrics: telemetry::start_metrics()?,
    };
    let (app, _wakes) = App::build(parts).await?;
    Ok(app)
}

pub(super) fn parse_since(text: &str) -> Option<DateTime<Utc>> {
    let day = text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    day.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
}

fn told(report: &Report, as_json: bool) -> anyhow::Result<String> {
    let Report { checked, ignored, caught_up, raised } = report;
    if as_json {
        let document = json!({
            "checked": checked, "ignored": ignored, "caught_up": caught_up, "raised": report.raised_total(), "cases": raised,
        });
        return Ok(serde_json::to_string_pretty(&document)?);
    }
    let mut lines = vec![
        format!("compared  {checked} of the provider's payments ({ignored} are not ours)"),
        format!("caught up {caught_up}"),
        format!("cases     {} raised", report.raised_total()),
    ];
    lines.extend(raised.iter().map(|(kind, count)| format!("          {count:>5} {kind}")));
    if report.raised_total() > 0 {
        lines.push("see them with `GET /v1/payment-cases?status=open`".to_owned());
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_or_a_time_says_since_when() {
        let at = |text: &str| parse_since(text).map(|time| time.to_rfc3339());
        assert_eq!(at("2026-11-01").as_deref(), Some("2026-11-01T00:00:00+00:00"));
        assert_eq!(at("2026-11-01T08:00:00-03:00").as_deref(), Some("2026-11-01T11:00:00+00:00"));
        for wrong in ["", "yesterday", "2026-11-01T08:00:00", "2026-13-01"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
