//! Letting one probe through when a circuit's open time is over.
//!
//! The right to send it is a hub's number in the endpoint's row, taken by one update: of several hubs one gets it, and
//! its claim takes one delivery while nothing of that endpoint is in flight there. The attempt's outcome takes the right
//! away again, with the lease, in one transaction. A hub that dies with it loses it to the next. For an endpoint that
//! agents pull, only a hub at which one waits may have it.

use std::time::Duration;

use chrono::TimeDelta;

use crate::app::App;
use crate::queue::members;
use crate::queue::worker::Queue as _;
use crate::webhooks::deliver::Deliveries;
use crate::webhooks::{pull, store};

const LOOK: Duration = Duration::from_secs(1);
/// A hub that has only just joined may not be in the list of the living yet.
const JOINING: TimeDelta = TimeDelta::seconds(5);

/// Looks every second for circuits whose open time is over, until the program is to stop.
pub(crate) async fn run(app: App) {
    while !app.shutdown.token.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!(error = format!("{error:#}"), "no probes were let through");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
}

async fn look(app: &App) -> anyhow::Result<()> {
    let Some(hub) = app.member.number() else { return Ok(()) };
    let now = app.clock.now();
    if !store::has_open_circuits(&app.db, now).await? {
        return Ok(());
    }
    let alive: Vec<i32> = members::list_alive(&app.db).await?.iter().map(|hub| hub.number).collect();
    if store::grant_probes(&app.db, hub, (&alive, &pull::pullers(app)), now, now - JOINING).await? > 0 {
        // The right is this hub's alone.
        app.wakes.of(Deliveries::NAME).notify_one();
        app.pull.exchange.look_everywhere();
    }
    Ok(())
}
