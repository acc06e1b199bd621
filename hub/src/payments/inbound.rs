//! The provider's door: what arrives is verified, stored, and only then answered. Handling it comes after
//! ([`super::notices`]), since the body says nothing that may be believed.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::limits::PROVIDER_NOTICE_MAX;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::credentials;
use super::notices::{Notices, TOPIC};
use super::provider::mercadopago::NAME;
use super::provider::mercadopago::notice::Notice;
use super::provider::mercadopago::signature::{self, Distrust, Signed};
use super::store::{self, Hinted, NewNotice, ProviderRow};
use crate::app::App;
use crate::http::{Error, Result, body};
use crate::queue::worker::Queue as _;

/// Unsigned hints that a project may be given in a minute.
const HINTS_PER_MINUTE: i64 = 60;
/// Refused notices that are kept of a project.
const SAMPLES_MAX: i64 = 20;

/// The slice's door.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(mercadopago))
}

/// The address to give to Mercado Pago.
pub(crate) fn address(app: &App, project: ProjectId) -> String {
    let base = app.config.public_url.as_str().trim_end_matches('/');
    format!("{base}/webhooks/{NAME}/{project}")
}

/// Takes a notice from Mercado Pago: verified by `x-signature`, stored before it is answered, handled after.
#[utoipa::path(
    post, path = "/webhooks/mercadopago/{project_id}", tag = "payments",
    responses((status = 200), (status = 401, body = trastienda_protocol::problem::Problem)),
)]
async fn mercadopago(
    State(app): State<App>,
    Path(project): Path<String>,
    request: Request,
) -> Result<StatusCode> {
    let unknown = || Error::NotFound("address");
    let project = ProjectId::parse(&project).map_err(|_| unknown())?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, PROVIDER_NOTICE_MAX).await?;
    let mut conn = app.db.acquire().await?;
    let provider = store::find_active_provider(&mut conn, project, NAME).await?.ok_or_else(unknown)?;
    let Some(notice) = Notice::read(parts.uri.query(), &body) else {
        count("unreadable");
        return Err(Error::field("", "names neither a topic nor a payment"));
    };
    let now = app.clock.now();
    let new = NewNotice {
        project,
        id: app.ids.uuid(now),
        provider: NAME,
        topic: &notice.topic,
        resource_id: &notice.resource_id,
    };
    let is_signed = match is_signed(&app, &provider, &notice, &parts.headers)? {
        Ok(is_signed) => is_signed,
        Err(distrust) => {
            store::insert_sample(&mut conn, &new, distrust.as_str(), now, SAMPLES_MAX).await?;
            return Err(refused(distrust));
        }
    };
    if notice.is_ping() {
        count("ping");
        tracing::info!(project.id = %project, is_signed, "the provider's test notice arrived");
        return Ok(StatusCode::OK);
    }
    if is_signed {
        store::insert_notice(&mut conn, &new, now).await?;
        count("signed");
    } else if notice.topic == TOPIC {
        let since = now - TimeDelta::minutes(1);
        match store::insert_hint(&mut conn, &new, now, since, HINTS_PER_MINUTE).await? {
            Hinted::Stored => count("hint"),
            Hinted::AlreadyOpen => count("hint_open"),
            Hinted::TooMany => {
                count("hint_limited");
                return Err(Error::TooMany {
                    code: "rate_limited",
                    detail: format!("a project takes {HINTS_PER_MINUTE} unsigned notices a minute"),
                    retry_after: 60,
                });
            }
        }
    } else {
        count("hint_ignored");
        return Ok(StatusCode::OK);
    }
    app.wakes.wake(Notices::NAME);
    Ok(StatusCode::OK)
}

/// Whether the notice is vouched for. One that claims to be and is not is refused; one that does not is a hint.
fn is_signed(
    app: &App,
    provider: &ProviderRow,
    notice: &Notice,
    headers: &HeaderMap,
) -> anyhow::Result<std::result::Result<bool, Distrust>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signature) = header("x-signature").filter(|_| !notice.is_hint) else { return Ok(Ok(false)) };
    let signed =
        Signed { data_id: notice.signed_id.as_deref(), request_id: header("x-request-id"), signature };
    let secrets = credentials::open_secrets(app, provider)?;
    let secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
    let verified = signature::verify(signed, &secrets, app.clock.now());
    // Signed over nothing but the time, it vouches for no payment.
    Ok(verified.map(|()| notice.signed_id.is_some()))
}

fn refused(distrust: Distrust) -> Error {
    metrics::counter!("trastienda_payment_notices_refused_total", "reason" => distrust.as_str()).increment(1);
    count("bad_signature");
    Error::Unauthorized(
        "the signature is not this project's: is the webhook secret that of the same application?",
    )
}

fn count(outcome: &'static str) {
    metrics::counter!("trastienda_payment_notices_total", "outcome" => outcome).increment(1);
}
