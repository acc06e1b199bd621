//! Server-sent events: a page hears that something changed, and fetches itself again. What changed is not said here, so
//! that there is one way to show it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use super::desk::Desk;
use super::session::Operator;
use super::store;

const EVERY: Duration = Duration::from_secs(2);

pub(super) async fn stream(State(desk): State<Desk>, _operator: Operator) -> Response {
    let token = desk.app.shutdown.token.clone();
    let changes = stream::unfold((desk, None), |(desk, before)| async move {
        let mut before: Option<String> = before;
        loop {
            tokio::select! {
                () = desk.app.shutdown.token.cancelled() => return None,
                () = tokio::time::sleep(EVERY) => {}
            }
            // A database that does not answer changes nothing that could be shown.
            let Ok(state) = store::get_pulse(&desk.app.db).await else { continue };
            let is_first = before.is_none();
            if before.as_ref() != Some(&state) {
                before = Some(state);
                if !is_first {
                    let event = Event::default().event("changed").data("");
                    return Some((Ok::<_, Infallible>(event), (desk, before)));
                }
            }
        }
    });
    let changes = futures_util::StreamExt::take_until(changes, token.cancelled_owned());
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))).into_response()
}
