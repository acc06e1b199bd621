//! The providers' door: what arrives is read and verified by its provider, stored, and only then answered. Handling it
//! comes after ([`super::notices`]), since the body says nothing that may be believed.

use axum::extract::Request;
use chrono::TimeDelta;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::limits::PROVIDER_NOTICE_MAX;
use utoipa_axum::router::OpenApiRouter;

use super::credentials;
use super::notices::Notices as Queue;
use super::provider::{self, Arrival, Notices, Provider, Trust};
use super::store::{self, Hinted, NewNotice};
use crate::app::App;
use crate::http::{Error, Result, body};
use crate::queue::worker::Queue as _;

/// Unsigned hints that a project may be given in a minute.
const HINTS_PER_MINUTE: i64 = 60;
/// Refused notices that are kept of a project.
const SAMPLES_MAX: i64 = 20;

/// The doors of all providers that say something by themselves.
pub fn router() -> OpenApiRouter<App> {
    let doors = provider::ALL.iter().filter_map(|provider| provider.notices()).map(Notices::door);
    doors.fold(OpenApiRouter::new(), OpenApiRouter::merge)
}

/// The address to give to a provider.
pub(crate) fn address(app: &App, provider: &str, project: ProjectId) -> String {
    let base = app.config.public_url.as_str().trim_end_matches('/');
    format!("{base}/webhooks/{provider}/{project}")
}

/// Takes a notice: verified by its provider, stored before it is answered, handled after. `Ok`: the provider need not
/// send it again.
pub(crate) async fn take(
    app: &App,
    provider: &dyn Provider,
    notices: &dyn Notices,
    project: &str,
    request: Request,
) -> Result<()> {
    let unknown = || Error::NotFound("address");
    let project = ProjectId::parse(project).map_err(|_| unknown())?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, PROVIDER_NOTICE_MAX).await?;
    let mut conn = app.db.acquire().await?;
    let row = store::find_active_provider(&mut conn, project, provider.name()).await?.ok_or_else(unknown)?;
    let now = app.clock.now();
    let secrets = credentials::open_secrets(app, &row)?;
    let secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
    let arrival = Arrival { query: parts.uri.query(), headers: &parts.headers, body: &body };
    let Some(notice) = notices.read(&arrival, &secrets, now) else {
        count("unreadable");
        return Err(Error::field("", "names neither a topic nor a payment"));
    };
    let new = NewNotice {
        project,
        id: app.ids.uuid(now),
        provider: provider.name(),
        topic: &notice.topic,
        resource_id: &notice.resource_id,
    };
    if let Trust::Refused(reason) = notice.trust {
        store::insert_sample(&mut conn, &new, reason, now, SAMPLES_MAX).await?;
        return Err(refused(reason));
    }
    let is_signed = notice.trust == Trust::Signed;
    if notice.is_test {
        count("ping");
        tracing::info!(project.id = %project, is_signed, "the provider's test notice arrived");
        return Ok(());
    }
    if is_signed {
        store::insert_notice(&mut conn, &new, now).await?;
        count("signed");
    } else if notices.is_followed(&notice.topic) {
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
        return Ok(());
    }
    app.wakes.wake(Queue::NAME);
    Ok(())
}

fn refused(reason: &'static str) -> Error {
    metrics::counter!("trastienda_payment_notices_refused_total", "reason" => reason).increment(1);
    count("bad_signature");
    Error::Unauthorized(
        "the signature is not this project's: is the webhook secret that of the same application?",
    )
}

fn count(outcome: &'static str) {
    metrics::counter!("trastienda_payment_notices_total", "outcome" => outcome).increment(1);
}
