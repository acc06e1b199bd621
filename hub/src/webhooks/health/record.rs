//! Taking in what a batch of attempts showed, in the transaction that finishes them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Circuit, Health, Outcome};
use crate::app::App;
use crate::queue::Verdict;
use crate::webhooks::deliver::Attempted;
use crate::webhooks::failure::Class;
use crate::webhooks::store::{self, HealthRow};
use crate::webhooks::warn::{self, Case, Why};

/// Takes in attempts. A healthy endpoint's successes cost nothing: its row is looked at only when an attempt failed,
/// when the claim saw it failing, or when this hub wrote a failure that it has not seen healed.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    suspects: Mutex<HashSet<Uuid>>,
}

/// What a batch changed.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Something was announced: wake after the commit ([`warn::wake`]).
    pub(crate) announced: bool,
    /// The endpoints whose circuit closed: what they hold is due.
    pub(crate) closed: Vec<Uuid>,
}

impl Recorder {
    /// Writes what changed by attempts that were made, each under its log's id.
    pub(crate) async fn record(
        &self,
        app: &App,
        conn: &mut PgConnection,
        tried: &[(Uuid, &Attempted)],
        now: DateTime<Utc>,
    ) -> anyhow::Result<Recorded> {
        let concerned = self.concerned(tried);
        if concerned.is_empty() {
            return Ok(Recorded::default());
        }
        let ids: Vec<Uuid> = concerned.keys().copied().collect();
        let mut recorded = Recorded::default();
        // Locked in the order of their ids: two hubs that finish at once wait for each other, never in a circle.
        for row in store::lock_health(conn, &ids).await? {
            let attempts = concerned.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let settled = settle(app, conn, &row, attempts, now).await?;
            recorded.announced |= settled.announced;
            if settled.is_healthy && row.health.open_until.is_some() {
                recorded.closed.push(row.id);
            }
            let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            if settled.is_healthy {
                suspects.remove(&row.id);
            } else {
                suspects.insert(row.id);
            }
        }
        Ok(recorded)
    }

    fn concerned<'a>(&self, tried: &[(Uuid, &'a Attempted)]) -> BTreeMap<Uuid, Vec<&'a Attempted>> {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeMap<Uuid, Vec<&Attempted>> = BTreeMap::new();
        let mut concerned: HashSet<Uuid> = HashSet::new();
        for (_, attempted) in tried {
            let id = attempted.delivery.target.id;
            all.entry(id).or_default().push(attempted);
            let failed = attempted.verdict != Some(Verdict::Done);
            if failed || attempted.delivery.target.is_failing || suspects.contains(&id) {
                concerned.insert(id);
            }
        }
        all.retain(|id, _| concerned.contains(id));
        all
    }
}

struct Settled {
    is_healthy: bool,
    announced: bool,
}

/// One endpoint's attempts, in the order in which they ended.
async fn settle(
    app: &App,
    conn: &mut PgConnection,
    row: &HealthRow,
    attempts: &[&Attempted],
    now: DateTime<Utc>,
) -> anyhow::Result<Settled> {
    let mut health = row.health;
    for attempted in attempts {
        health = health.after(outcome(attempted), attempted.delivery.is_probe, now);
    }
    let is_gone = attempts.iter().any(|attempted| attempted.is_gone);
    let alert = health.alert(now).filter(|_| !row.is_disabled);
    if let Some(alert) = alert {
        health.alerted_percent = alert;
    }
    if health != row.health {
        store::update_health(conn, row, &health).await?;
        tell_circuit(row, &health, now);
    }
    let case = Case { row, health: &health, now };
    let is_healthy = health == Health::default();
    if !row.is_disabled && (is_gone || alert == Some(100)) {
        warn::disable(app, conn, &case, if is_gone { Why::Gone } else { Why::Patience }).await?;
    } else if let Some(percent) = alert {
        warn::on_the_way(app, conn, &case, percent).await?;
    } else {
        return Ok(Settled { is_healthy, announced: false });
    }
    Ok(Settled { is_healthy, announced: true })
}

fn outcome(attempted: &Attempted) -> Outcome {
    if attempted.verdict == Some(Verdict::Done) {
        return Outcome::Taken;
    }
    match (attempted.response_code, attempted.error_class) {
        (Some(code), _) if code >= 500 => Outcome::Down,
        (Some(_), _) => Outcome::Refused,
        (None, Some(Class::Hub)) => Outcome::Unknown,
        (None, _) => Outcome::Down,
    }
}

/// A circuit that opens or closes is a change of state that an operator wants to see.
fn tell_circuit(row: &HealthRow, health: &Health, now: DateTime<Utc>) {
    let (project, endpoint) = (row.project(), row.endpoint());
    match (row.health.open_until, health.open_until) {
        (None, Some(until)) => {
            metrics::counter!("trastienda_webhook_circuit_changes_total", "to" => Circuit::Open.as_str())
                .increment(1);
            tracing::warn!(project.id = %project, endpoint.id = %endpoint, open_seconds = (until - now).num_seconds(),
                "an endpoint's circuit is open: its deliveries wait, and one probe will go");
        }
        (Some(_), None) => {
            metrics::counter!("trastienda_webhook_circuit_changes_total", "to" => Circuit::Closed.as_str())
                .increment(1);
            tracing::info!(project.id = %project, endpoint.id = %endpoint, "an endpoint's circuit is closed: what waited goes");
        }
        _ => {}
    }
}
