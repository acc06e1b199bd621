//! `GET /w/{token}`: the address that a person taps. The hub notes the tap, once, and sends them on to WhatsApp.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use trastienda_protocol::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::channel::whatsapp;
use super::model::detail;
use super::over::{self, Over};
use super::store::{self, OpenRow};
use crate::app::App;
use crate::events;
use crate::http::{Error, Result};

/// Programs that fetch a link to show a preview of it, in lower case.
const PREVIEWERS: &[&str] = &[
    "whatsapp",
    "facebookexternalhit",
    "facebot",
    "facebookcatalog",
    "meta-externalagent",
    "meta-externalfetcher",
    "instagram",
    "twitterbot",
    "telegrambot",
    "slackbot",
    "slack-imgproxy",
    "discordbot",
    "linkedinbot",
    "skypeuripreview",
    "microsoftpreview",
    "bingpreview",
    "googlebot",
    "google-pagerenderer",
    "google-safety",
    "applebot",
    "pinterest",
    "redditbot",
    "viber",
    "line-poker",
    "vkshare",
    "embedly",
    "iframely",
    "outlook",
    "barracuda",
    "mimecast",
    "proofpoint",
];

/// The slice's open route.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(open))
}

/// Sends a person on to WhatsApp, and notes that somebody did open the link.
#[utoipa::path(
    get, path = "/w/{token}", tag = "notifications",
    responses((status = 302), (status = 404, body = Problem), (status = 410, body = Problem)),
)]
async fn open(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response> {
    if token.len() != 32 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::NotFound("link"));
    }
    let mut conn = app.db.acquire().await?;
    let found = store::find_open(&mut conn, &whatsapp::token_hash(&token)).await?;
    drop(conn);
    let row = found.ok_or(Error::NotFound("link"))?;
    let now = app.clock.now();
    if row.status == "failed" || row.expires_at.is_some_and(|at| at <= now) {
        return Err(gone().into());
    }
    if method == Method::GET
        && row.status == "pending"
        && !is_previewer(&headers)
        && !note(&app, &row).await?
    {
        return Err(gone().into());
    }
    let headers = [
        (header::LOCATION, row.link.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// False if it was cancelled or expired in this very moment.
async fn note(app: &App, row: &OpenRow) -> Result<bool> {
    let over = Over::opened(row);
    let key = over.key;
    let mut tx = app.db.begin().await?;
    if store::mark_over(&mut tx, key, "sent", Some(detail::OPENED), app.clock.now()).await? {
        over::announce(app, &mut tx, over).await?;
        tx.commit().await?;
        events::wake(app);
        return Ok(true);
    }
    // Two taps at once: the other one noted it.
    Ok(store::is_sent(&mut tx, key).await?)
}

fn is_previewer(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let agent = header("user-agent").to_ascii_lowercase();
    let prefetches = ["purpose", "sec-purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| header(name).to_ascii_lowercase().contains("pre"));
    prefetches || PREVIEWERS.iter().any(|known| agent.contains(known))
}

fn gone() -> Problem {
    Problem::new(
        410,
        "link_over",
        "Link over",
        "este enlace ya no vale: el mensaje se canceló o venció / this link is over: the message was cancelled or expired",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn previews(name: &'static str, value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(
            "user-agent",
            HeaderValue::from_static("Mozilla/5.0 (Linux; Android 14) Chrome/120 Mobile"),
        );
        headers.insert(name, HeaderValue::from_static(value));
        is_previewer(&headers)
    }

    #[test]
    fn link_previewers_are_known_and_browsers_are_not_taken_for_them() {
        for agent in [
            "WhatsApp/2.23.20.0 A",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Twitterbot/1.0",
            "TelegramBot (like TwitterBot)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        ] {
            assert!(previews("user-agent", agent), "{agent}");
        }
        for agent in [
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
        ] {
            assert!(!previews("user-agent", agent), "{agent}");
        }
        assert!(previews("sec-purpose", "prefetch;prerender"));
        assert!(!previews("accept", "text/html"));
    }
}
