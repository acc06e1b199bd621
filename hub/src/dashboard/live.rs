//! Server-sent events: a page hears that something changed, and fetches itself again. What changed is not said here, so
//! that there is one way to show it.
//!
//! What this hub does is heard of at once, what others do with the next wake-up of a queue; the rest when PostgreSQL's counters
//! tell of it, which they do late, and of connections that rest not at all.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use super::desk::Desk;
use super::session::Operator;
use super::store;

/// How often this hub's own moves are looked at.
const EVERY: Duration = Duration::from_millis(500);
/// After so many looks the database's counters are asked.
const ASKS: u32 = 4;

/// What was there when a page last heard.
struct Heard {
    desk: Desk,
    moves: u64,
    pulse: Option<String>,
    looks: u32,
}

impl Heard {
    /// Returns when something has changed; nothing once the hub stops.
    async fn change(&mut self) -> Option<()> {
        loop {
            tokio::select! {
                () = self.desk.app.shutdown.token.cancelled() => return None,
                () = tokio::time::sleep(EVERY) => {}
            }
            let moves = self.desk.app.moves.load(Ordering::Relaxed);
            let has_moved = std::mem::replace(&mut self.moves, moves) != moves;
            self.looks += 1;
            let has_pulse = self.looks.is_multiple_of(ASKS) && self.has_other_pulse().await;
            if has_moved || has_pulse {
                return Some(());
            }
        }
    }

    /// A database that does not answer changes nothing that could be shown.
    async fn has_other_pulse(&mut self) -> bool {
        let Ok(pulse) = store::get_pulse(&self.desk.app.db).await else { return false };
        let before = self.pulse.replace(pulse);
        before.is_some() && before != self.pulse
    }
}

pub(super) async fn stream(State(desk): State<Desk>, _operator: Operator) -> Response {
    let token = desk.app.shutdown.token.clone();
    let moves = desk.app.moves.load(Ordering::Relaxed);
    let changes = stream::unfold(Heard { desk, moves, pulse: None, looks: 0 }, |mut heard| async move {
        heard.change().await?;
        // Browsers hand on no event whose data is empty.
        Some((Ok::<_, Infallible>(Event::default().event("changed").data("renew")), heard))
    });
    let changes = futures_util::StreamExt::take_until(changes, token.cancelled_owned());
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))).into_response()
}
