//! What waits, for the metrics: looked up every few seconds. The numbers are the database's, so every hub shows the same.
//!
//! Counting stops at [`COUNT_MAX`] a queue or endpoint: a backlog of millions is not walked through to be shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::app::App;

const EVERY: Duration = Duration::from_secs(10);
const COUNT_MAX: i64 = 10_000;

/// The queues that need nothing but their own table: what is due in each.
const QUEUES: [(&str, &str); 6] = [
    ("webhook_replays", "webhook_replays where finished_at is null"),
    ("emails", "notifications where status = 'pending' and channel = 'email'"),
    ("payments", "payment_transactions where action is not null"),
    ("payment_notices", "payment_notices where status = 'pending'"),
    ("operator_mails", "operator_mails where status = 'pending'"),
    ("alert_webhooks", "alert_webhooks where status = 'pending'"),
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

/// What is due in a queue.
#[derive(Debug)]
pub(crate) struct QueueSeen {
    pub(crate) name: &'static str,
    pub(crate) due: i64,
    pub(crate) oldest: Option<DateTime<Utc>>,
}

impl QueueSeen {
    /// How long the oldest has been due.
    pub(crate) fn age_seconds(&self, now: DateTime<Utc>) -> i64 {
        self.oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0))
    }

    fn show(&self, now: DateTime<Utc>) {
        metrics::gauge!("trastienda_queue_due", "queue" => self.name).set(float(self.due));
        metrics::gauge!("trastienda_queue_oldest_due_seconds", "queue" => self.name)
            .set(float(self.age_seconds(now)));
    }
}

/// Brings all gauges up to date.
pub async fn look(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let mut conn = db.acquire().await?;
    for queue in list_own(&mut conn, now).await? {
        queue.show(now);
    }
    let endpoints = get_endpoints(&mut conn, now).await?;
    endpoints.queue.show(now);
    metrics::gauge!("trastienda_webhook_deliveries_held").set(float(endpoints.held));
    metrics::gauge!("trastienda_webhook_endpoints_disabled").set(float(endpoints.disabled));
    for (state, count) in endpoints.circuits {
        metrics::gauge!("trastienda_webhook_circuits", "state" => state).set(float(count));
    }
    Ok(())
}

/// What is due in every queue: of deliveries those that could go.
pub(crate) async fn list_queues(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<QueueSeen>> {
    let mut queues = list_own(conn, now).await?;
    queues.push(get_endpoints(conn, now).await?.queue);
    Ok(queues)
}

async fn list_own(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<QueueSeen>> {
    let mut queues = Vec::new();
    for (name, rows) in QUEUES {
        let query = sqlx::query_as::<_, (i64, Option<DateTime<Utc>>)>(AssertSqlSafe(due_statement(rows)));
        let (due, oldest) = query.bind(now).bind(COUNT_MAX).fetch_one(&mut *conn).await?;
        queues.push(QueueSeen { name, due, oldest });
    }
    Ok(queues)
}

/// Made of the constants above.
fn due_statement(rows: &str) -> String {
    format!(
        "select count(*), min(run_at) from (select run_at from {rows} and lease_token is null and run_at <= $1 limit $2) due"
    )
}

/// Every statement that is put together here and how many parameters it has, for the test that has them explained.
pub fn statements() -> Vec<(String, usize)> {
    QUEUES.iter().map(|(_, rows)| (due_statement(rows), 2)).collect()
}

/// Deliveries and the endpoints that they wait for.
struct Endpoints {
    queue: QueueSeen,
    held: i64,
    disabled: i64,
    circuits: [(&'static str, i64); 3],
}

async fn get_endpoints(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Endpoints> {
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
    .fetch_one(conn)
    .await?;
    Ok(Endpoints {
        queue: QueueSeen { name: "deliveries", due: row.due, oldest: row.oldest },
        held: row.held,
        disabled: row.disabled,
        circuits: [("closed", row.closed), ("open", row.open), ("half_open", row.half_open)],
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds, far under 2^52")]
fn float(number: i64) -> f64 {
    number as f64
}
