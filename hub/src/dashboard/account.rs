//! Operators with a password of their own, and where somebody is logged in.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;
use tokio::sync::Semaphore;

use super::desk::Desk;
use super::form::Sent;
use super::session::{self, BY_TOKEN, Operator};
use super::{audit, store};
use crate::http::{Error, Result};

const PASSWORD_MIN: usize = 12;
const PASSWORD_MAX: usize = 256;
/// Checks at the same time: a flood of log-ins must not take the hub's processors.
static CHECKS: Semaphore = Semaphore::const_new(1);

/// Argon2id with OWASP's parameters for passwords that people choose (46 MiB, 1 pass).
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(46 * 1024, 1, 1, None).unwrap_or_default())
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash =
        argon2().hash_password(password.as_bytes()).map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    Ok(hash.to_string())
}

/// Whether a password fits. A name that nobody has costs the same time.
pub(super) async fn fits(password: String, stored: Option<String>) -> anyhow::Result<bool> {
    let _turn = CHECKS.acquire().await?;
    let checked = tokio::task::spawn_blocking(move || {
        let Some(stored) = stored else {
            drop(hash(&password));
            return false;
        };
        PasswordHash::new(&stored)
            .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
    });
    Ok(checked.await?)
}

pub(super) async fn show(State(desk): State<Desk>, operator: Operator) -> Result<Response> {
    let mut conn = desk.app.db.acquire().await?;
    let operators = store::list_operators(&mut conn).await?;
    let now = desk.app.clock.now();
    let sessions = store::count_sessions(&mut conn, &operator.name, now, now - super::IDLE).await?;
    desk.page(
        &operator,
        "account.html",
        json!({"operators": operators, "sessions": sessions, "section": "account", "shop": null}),
    )
}

/// Adds an operator, or gives one another password; where they were logged in, they are not any more.
pub(super) async fn put(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let name = sent.form.get("name").unwrap_or_default().to_owned();
    let password = sent.form.raw("password").trim().to_owned();
    let is_name = (2..=64).contains(&name.chars().count())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '@'))
        && name != BY_TOKEN;
    if !is_name {
        return Err(Error::field("/name", "must have 2 to 64 letters, digits, spaces and `.-_@`"));
    }
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&password.chars().count()) {
        return Err(Error::field(
            "/password",
            format!("must have {PASSWORD_MIN} to {PASSWORD_MAX} characters"),
        ));
    }
    let hashed =
        tokio::task::spawn_blocking(move || hash(&password)).await.map_err(anyhow::Error::from)??;
    let mut tx = desk.app.db.begin().await?;
    store::upsert_operator(&mut tx, &name, &hashed, desk.app.clock.now()).await?;
    store::delete_sessions(&mut tx, &name).await?;
    let entry = audit::Entry { action: "operator.set", subject: Some(&name), ..audit::Entry::default() };
    audit::write(&desk, &mut tx, &sent.operator.name, entry).await?;
    tx.commit().await?;
    Ok(Redirect::to("/account").into_response())
}

pub(super) async fn delete(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let mut tx = desk.app.db.begin().await?;
    store::delete_operator(&mut tx, &name).await?;
    store::delete_sessions(&mut tx, &name).await?;
    let entry = audit::Entry { action: "operator.deleted", subject: Some(&name), ..audit::Entry::default() };
    audit::write(&desk, &mut tx, &sent.operator.name, entry).await?;
    tx.commit().await?;
    Ok(Redirect::to("/account").into_response())
}

pub(super) async fn log_out_everywhere(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let mut tx = desk.app.db.begin().await?;
    store::delete_sessions(&mut tx, &sent.operator.name).await?;
    let entry = audit::Entry { action: "session.closed_everywhere", ..audit::Entry::default() };
    audit::write(&desk, &mut tx, &sent.operator.name, entry).await?;
    tx.commit().await?;
    Ok(session::logged_out(&desk))
}
