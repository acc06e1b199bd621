//! What waits, for the metrics: looked up every few seconds. The numbers are the database's, so every hub shows the same.
//!
//! Counting stops at [`COUNT_MAX`] a queue or endpoint: a backlog of millions is not walked through to be shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

use crate::app::App;

const EVERY: Duration = Duration::from_secs(10);
const COUNT_MAX: i64 = 10_000;

/// The queues that need nothing but their own table: what is due in each.
const QUEUES: [(&str, &str); 5] = [
    ("webhook_replays", "webhook_replays where finished_at is null"),
    ("emails", "notifications where status = 'pending' and channel = 'email'"),
    ("payments", "payment_transactions where action is not null"),
    ("payment_notices", "payment_notices where status = 'pending'"),
    ("operator_mails", "operator_mails where status = 'pending'"),
];

/// Keeps the gauges up to date until the program is to stop.
pub async fn run(app: App) {
    while !app.shutdown.token.is_cancelled() {
        if let Err(error) = look(&app.db, app.clock.now()).await {
            tracing::warn!(%error, "the queues' gauges were not brought up to date");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
}

/// Brings all gauges up to date.
pub async fn look(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    for (queue, rows) in QUEUES {
        // Made of the constants above.
        let statement = format!(
            "select count(*), min(run_at) from (select run_at from {rows} and lease_token is null and run_at <= $1 limit $2) due"
        );
        let query = sqlx::query_as::<_, (i64, Option<DateTime<Utc>>)>(AssertSqlSafe(statement));
        let (due, oldest) = query.bind(now).bind(COUNT_MAX).fetch_one(db).await?;
        show_queue(queue, due, oldest, now);
    }
    look_at_endpoints(db, now).await
}

async fn look_at_endpoints(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let row = sqlx::query!(
        r#"
        with endpoints as (
            select e.disabled_at is not null as is_disabled, e.open_until, w.waiting, w.due, w.oldest
            from webhook_endpoints e
            cross join lateral (
                select count(*) as waiting,
                       count(*) filter (where run_at <= $1) as due,
                       min(run_at) filter (where run_at <= $1) as oldest
                from (
                    select run_at
                    from webhook_deliveries
                    where endpoint_id = e.id and status = 'pending' and lease_token is null
                    order by run_at
                    limit $2
                ) as first
            ) as w
        )
        select coalesce(sum(due) filter (where not is_disabled and open_until is null), 0)::bigint as "due!",
               min(oldest) filter (where not is_disabled and open_until is null) as oldest,
               coalesce(sum(waiting) filter (where is_disabled or open_until is not null), 0)::bigint as "held!",
               count(*) filter (where is_disabled) as "disabled!",
               count(*) filter (where not is_disabled and open_until is null) as "closed!",
               count(*) filter (where not is_disabled and open_until > $1) as "open!",
               count(*) filter (where not is_disabled and open_until <= $1) as "half_open!"
        from endpoints
        "#,
        now,
        COUNT_MAX,
    )
    .fetch_one(db)
    .await?;
    show_queue("deliveries", row.due, row.oldest, now);
    metrics::gauge!("trastienda_webhook_deliveries_held").set(float(row.held));
    metrics::gauge!("trastienda_webhook_endpoints_disabled").set(float(row.disabled));
    for (state, count) in [("closed", row.closed), ("open", row.open), ("half_open", row.half_open)] {
        metrics::gauge!("trastienda_webhook_circuits", "state" => state).set(float(count));
    }
    Ok(())
}

fn show_queue(queue: &'static str, due: i64, oldest: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    let age = oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0));
    metrics::gauge!("trastienda_queue_due", "queue" => queue).set(float(due));
    metrics::gauge!("trastienda_queue_oldest_due_seconds", "queue" => queue).set(float(age));
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds, far under 2^52")]
fn float(number: i64) -> f64 {
    number as f64
}
