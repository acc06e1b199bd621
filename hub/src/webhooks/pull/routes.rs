//! `/v1/agent/poll` and `/v1/agent/results`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use rand::RngExt as _;
use tokio::time::Instant;
use trastienda_protocol::api_key::ApiKey;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::limits::BATCH_MAX;
use trastienda_protocol::pull::{Poll, Polled, Received, ReceivedResult, Results};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::exchange;
use super::letters::{self, Letter};
use super::queue::parse_lease;
use crate::agents;
use crate::app::App;
use crate::http::auth::{self, Caller};
use crate::http::{Error, JsonBody, Result};

/// When a key changed somewhere, polls look at theirs again within this time, not all at once.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// What agents call, apart from the shop's own requests.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(poll)).routes(routes!(results))
}

/// Leases deliveries of the project's `agent:///` endpoints; waits until there is one. A poll is a heartbeat.
#[utoipa::path(post, path = "/v1/agent/poll", tag = "agents", request_body = Poll, responses((status = 200, body = Polled)))]
async fn poll(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Json<Polled>> {
    let asked = Poll::parse(&body)?;
    let key = auth::given_api_key(&headers)?;
    let project = caller.project.id;
    // Nothing that is not needed is kept while it waits.
    drop((body, headers, caller));
    if app.pull.exchange.is_beat_due(project.uuid(), &asked.agent_id) {
        // A thousand agents wait at once: what is over by then is no part of what each of them keeps.
        Box::pin(beat(&app, project, &asked)).await?;
    }
    let max = usize::try_from(asked.max).unwrap_or(1);
    let waiting = app.pull.exchange.poll(project.uuid(), &asked.agent_id, max);
    let waiting = waiting.ok_or_else(|| Error::TooMany {
        code: "rate_limited",
        detail: "too many polls of this project wait here".to_owned(),
        retry_after: 1,
    })?;
    let deadline = Instant::now() + Duration::from_secs(asked.wait.into());
    drop(asked);
    let deliveries = wait(&app, &waiting, &key, deadline).await;
    // Also when the key is refused: it is answered.
    waiting.answered();
    Ok(Json(Polled { deliveries: deliveries? }))
}

/// Writes that the agent was here, and pulls.
async fn beat(app: &App, project: ProjectId, asked: &Poll) -> Result<()> {
    let mut conn = app.db.acquire().await?;
    agents::upsert_pulling(&mut conn, project, (&asked.agent_id, &asked.status), app.clock.now()).await?;
    Ok(())
}

async fn wait(
    app: &App,
    waiting: &exchange::Poll,
    key: &ApiKey,
    deadline: Instant,
) -> Result<Vec<trastienda_protocol::pull::PulledDelivery>> {
    loop {
        let changed = app.verifier.changed();
        tokio::pin!(changed);
        // From here on no change is missed; what changed before is seen by the look at the key.
        changed.as_mut().enable();
        auth::authenticate_key(app, key).await?;
        if let Some(hub) = app.member.number() {
            let deliveries = waiting.take(hub, || app.ids.uuid(app.clock.now()));
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
        tokio::select! {
            () = waiting.woken() => {
                // What comes together is taken together.
                tokio::task::yield_now().await;
            }
            () = changed => {
                let pause = LOOK_AGAIN_MAX.mul_f64(rand::rng().random_range(0.0..1.0));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = waiting.woken() => {}
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
            () = app.shutdown.token.cancelled() => {
                return Err(Error::Unavailable("a hub that is stopping"));
            }
        }
    }
}

/// What became of leased deliveries. A result whose lease is over is answered and changes nothing.
#[utoipa::path(post, path = "/v1/agent/results", tag = "agents", request_body = Results, responses((status = 200, body = Received)))]
async fn results(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<BATCH_MAX>,
) -> Result<Json<Received>> {
    let Results { agent_id, results } = Results::parse(&body)?;
    let project = caller.project.id;
    let own = app.member.number();
    let (mut answers, mut letters) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        let Some((hub, lease)) = parse_lease(&result.lease) else {
            answers.push(ReceivedResult::Late);
            continue;
        };
        if Some(hub) == own {
            let is_taken = app.pull.exchange.report(project.uuid(), &agent_id, lease, result);
            answers.push(if is_taken { ReceivedResult::Taken } else { ReceivedResult::Late });
        } else {
            let (agent, lease) = (agent_id.clone(), result.lease.clone());
            letters.push(Letter::Result { to: hub, project, agent, lease, result });
            answers.push(ReceivedResult::PassedOn);
        }
    }
    if !letters.is_empty() {
        letters::post(&app.db, letters).await?;
    }
    Ok(Json(Received { results: answers }))
}
