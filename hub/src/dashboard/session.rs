//! Logging in and out. A session is a cookie with 256 random bits of which the database has the digest; its CSRF token is
//! another digest of them, so that there is nothing more to keep.
//!
//! Wrong tries are counted in the audit log, by address and by name, so that all hubs count together.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::desk::{Desk, Look};
use super::form::{Form, STRANGERS_MAX, from_here};
use super::pages::Lang;
use super::{IDLE, LIFETIME, account, audit, store};
use crate::http::{Error, Result};

/// Who came in by the admin token.
pub(super) const BY_TOKEN: &str = "admin-token";

const COOKIE: &str = "trastienda_session";
const LANG_COOKIE: &str = "trastienda_lang";
const THEME_COOKIE: &str = "trastienda_theme";
/// Wrong tries from one address within the window.
const WRONG_BY_ADDRESS: i64 = 10;
/// Wrong tries for one name, from wherever.
const WRONG_BY_NAME: i64 = 30;
const WINDOW: TimeDelta = TimeDelta::minutes(5);

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Operator {
    pub(super) name: String,
    pub(super) csrf: String,
    pub(super) look: Look,
    pub(super) digest: Vec<u8>,
    secret: String,
}

impl Operator {
    /// A token that only this session can have for this thing.
    pub(super) fn ticket(&self, what: &str) -> String {
        hex::encode(digest(&format!("ticket:{what}"), &self.secret))
    }
}

impl FromRequestParts<Desk> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Response> {
        find(&parts.headers, &parts.uri, desk)
            .await
            .map_err(axum::response::IntoResponse::into_response)?
            .ok_or_else(|| {
                let to = if parts.method == "GET" { local(&parts.uri) } else { "/".to_owned() };
                let query =
                    url::form_urlencoded::Serializer::new(String::new()).append_pair("to", &to).finish();
                Redirect::to(&format!("/login?{query}")).into_response()
            })
    }
}

async fn find(headers: &HeaderMap, uri: &Uri, desk: &Desk) -> Result<Option<Operator>> {
    let Some(secret) = cookie(headers, COOKIE).filter(|secret| secret.len() == 64) else { return Ok(None) };
    let token_digest = digest("session", secret);
    let now = desk.app.clock.now();
    let mut conn = desk.app.db.acquire().await?;
    let Some(name) = store::find_session(&mut conn, &token_digest, now, now - IDLE).await? else {
        return Ok(None);
    };
    let csrf = hex::encode(digest("csrf", secret));
    let secret = secret.to_owned();
    Ok(Some(Operator { name, csrf, look: look(headers, uri), digest: token_digest, secret }))
}

fn digest(purpose: &str, secret: &str) -> Vec<u8> {
    Sha256::new().chain_update(purpose).chain_update([0]).chain_update(secret).finalize().to_vec()
}

pub(super) fn look(headers: &HeaderMap, uri: &Uri) -> Look {
    let lang = match cookie(headers, LANG_COOKIE) {
        Some("en") => Lang::En,
        Some("es") => Lang::Es,
        _ => accepted(headers),
    };
    let theme = match cookie(headers, THEME_COOKIE) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    };
    Look { lang, theme, path: local(uri) }
}

/// Spanish, unless the browser asks for English and not for Spanish.
fn accepted(headers: &HeaderMap) -> Lang {
    let wanted =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has = |lang: &str| wanted.split([',', ';']).any(|tag| tag.trim().starts_with(lang));
    if has("en") && !has("es") { Lang::En } else { Lang::Es }
}

fn local(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// An address on this site and nowhere else.
fn safe_path(text: &str) -> &str {
    let is_local = text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\r', '\n']);
    if is_local { text } else { "/" }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn set_cookie(desk: &Desk, name: &str, value: &str, seconds: i64, http_only: bool) -> Option<HeaderValue> {
    let secure = if desk.app.config.public_url.scheme() == "https" { "; Secure" } else { "" };
    let hidden = if http_only { "; HttpOnly" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{secure}{hidden}");
    HeaderValue::from_str(&text).ok()
}

/// The log-in page.
pub(super) async fn show(State(desk): State<Desk>, request: Request) -> Result<Response> {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let look = look(request.headers(), request.uri());
    desk.bare_page(&look, "login.html", json!({"to": safe_path(query.raw("to")), "is_wrong": false}))
}

pub(super) async fn log_in(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response> {
    from_here(request.headers(), &desk)?;
    let look = look(request.headers(), &Uri::from_static("/login"));
    let form = Form::read(request, STRANGERS_MAX).await?;
    let name = form.get("name").unwrap_or(BY_TOKEN).to_owned();
    let address = peer.ip().to_string();
    let now = desk.app.clock.now();
    let mut conn = desk.app.db.acquire().await?;
    let (by_address, by_name) = store::count_refused(&mut conn, &address, &name, now - WINDOW).await?;
    if by_address >= WRONG_BY_ADDRESS || by_name >= WRONG_BY_NAME {
        return Err(Error::TooMany {
            code: "rate_limited",
            detail: "demasiados intentos: espera unos minutos / too many tries: wait some minutes".to_owned(),
            retry_after: WINDOW.num_seconds().unsigned_abs(),
        });
    }
    let given = form.raw("secret").trim();
    let is_right = if name == BY_TOKEN {
        let expected = desk.app.config.admin_token.as_ref();
        expected.is_some_and(|expected| expected.expose_secret().as_bytes().ct_eq(given.as_bytes()).into())
    } else {
        let hash = store::find_password(&mut conn, &name).await?;
        account::fits(given.to_owned(), hash).await?
    };
    let entry = audit::Entry {
        action: if is_right { "session.opened" } else { "session.refused" },
        address: Some(&address),
        outcome: if is_right { "ok" } else { "refused" },
        ..audit::Entry::default()
    };
    audit::write(&desk, &mut conn, &name, entry).await?;
    if !is_right {
        metrics::counter!("trastienda_dashboard_logins_total", "outcome" => "refused").increment(1);
        let to = safe_path(form.raw("to"));
        let mut page = desk.bare_page(&look, "login.html", json!({"to": to, "is_wrong": true}))?;
        *page.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(page);
    }
    metrics::counter!("trastienda_dashboard_logins_total", "outcome" => "ok").increment(1);
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(anyhow::Error::from)?;
    let secret = hex::encode(bytes);
    store::insert_session(&mut conn, &digest("session", &secret), &name, now, now + LIFETIME).await?;
    let mut response = Redirect::to(safe_path(form.raw("to"))).into_response();
    if let Some(value) = set_cookie(&desk, COOKIE, &secret, LIFETIME.num_seconds(), true) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

pub(super) async fn log_out(State(desk): State<Desk>, sent: super::form::Sent) -> Result<Response> {
    let mut conn = desk.app.db.acquire().await?;
    store::delete_session(&mut conn, &sent.operator.digest).await?;
    Ok(logged_out(&desk))
}

/// To the log-in page, without the cookie.
pub(super) fn logged_out(desk: &Desk) -> Response {
    let mut response = Redirect::to("/login").into_response();
    if let Some(value) = set_cookie(desk, COOKIE, "", 0, true) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Language and light or dark; anybody's own, also before logging in.
pub(super) async fn prefer(State(desk): State<Desk>, request: Request) -> Result<Response> {
    from_here(request.headers(), &desk)?;
    let form = Form::read(request, STRANGERS_MAX).await?;
    let mut response = Redirect::to(safe_path(form.raw("to"))).into_response();
    let choices = [
        (LANG_COOKIE, form.get("lang").filter(|lang| matches!(*lang, "es" | "en"))),
        (THEME_COOKIE, form.get("theme").filter(|theme| matches!(*theme, "light" | "dark" | "auto"))),
    ];
    for (name, value) in choices {
        if let Some(value) = value.and_then(|value| set_cookie(&desk, name, value, 31_536_000, true)) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}
