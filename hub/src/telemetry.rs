//! Logs and metrics.
//!
//! A log line reads alone and carries fields with dotted names (`project.id`, `event.id`,
//! `delivery.attempt`). Never in it: keys, secrets, tokens, bodies, addresses, card data.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogArgs, LogFormat};

/// Starts logging to standard error.
pub fn start_logs(args: &LogArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match args.format().map_err(anyhow::Error::msg)? {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
        }
        LogFormat::Pretty => builder.compact().with_target(false).init(),
    }
    Ok(())
}

/// Starts collecting metrics; the handle writes them for Prometheus. Once per process: later calls
/// (tests that start several hubs) get a handle of their own that stays empty.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets)?
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics were already being collected in this process");
    }
    describe();
    Ok(handle)
}

fn describe() {
    metrics::describe_counter!(
        "trastienda_http_requests_total",
        "Requests answered, by route, method and status"
    );
    metrics::describe_histogram!("trastienda_http_request_seconds", "Time to answer a request, by route");
    metrics::describe_counter!("trastienda_jobs_total", "Jobs run, by queue and outcome");
    metrics::describe_gauge!("trastienda_jobs_in_flight", "Jobs being run by this hub, by queue");
    metrics::describe_counter!(
        "trastienda_leases_released_total",
        "Leases of hubs that died or hung, taken back"
    );
    metrics::describe_counter!("trastienda_events_total", "Events stored, by source and outcome");
    metrics::describe_counter!(
        "trastienda_webhook_attempts_total",
        "Webhook attempts, by outcome and class of failure"
    );
    metrics::describe_histogram!("trastienda_webhook_attempt_seconds", "Time a receiver took to answer");
    metrics::describe_counter!("trastienda_webhook_circuit_changes_total", "Circuits that opened or closed");
    metrics::describe_gauge!(
        "trastienda_webhook_circuits",
        "Enabled endpoints by the state of their circuit"
    );
    metrics::describe_gauge!("trastienda_webhook_endpoints_disabled", "Endpoints that are disabled");
    metrics::describe_gauge!(
        "trastienda_webhook_deliveries_held",
        "Deliveries that wait for a disabled or open endpoint"
    );
    metrics::describe_gauge!("trastienda_queue_due", "Jobs that could run now, by queue");
    metrics::describe_gauge!(
        "trastienda_queue_oldest_due_seconds",
        "How long the oldest of them has been due, by queue"
    );
    metrics::describe_counter!("trastienda_operator_alerts_total", "What the operator was told, by kind");
    metrics::describe_counter!(
        "trastienda_events_flagged_total",
        "Batch events whose data does not satisfy their schema"
    );
    metrics::describe_counter!(
        "trastienda_refused_after_acknowledgement_total",
        "Operations refused though an agent had acknowledged them"
    );
}
