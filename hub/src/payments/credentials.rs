//! A project's credentials at a provider: sealed in the database, opened for one call.

use chrono::TimeDelta;
use secrecy::SecretString;
use sqlx::PgConnection;
use trastienda_protocol::ids::ProjectId;

use super::provider::{Access, Provider};
use super::store;
use crate::app::App;

/// What access tokens are sealed for.
pub(crate) const TOKEN_PURPOSE: &str = "payment_providers.access_token";
/// What webhook secrets are sealed for.
pub(crate) const SECRET_PURPOSE: &str = "payment_providers.webhook_secret";
/// How long a replaced webhook secret is still taken: notices that were signed before are retried for days, but
/// each retry is signed anew.
pub(crate) const SECRET_OVERLAP: TimeDelta = TimeDelta::days(1);

/// Credentials, opened.
pub(crate) struct Credentials {
    pub(crate) access: Access,
    /// Whose they are.
    pub(crate) account_id: Option<String>,
}

/// The project's credentials, if it set any; empty ones where none are needed.
pub(crate) async fn open(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &dyn Provider,
) -> anyhow::Result<Option<Credentials>> {
    let row = if provider.needs_credentials() {
        store::find_provider(conn, project, provider.name()).await?
    } else {
        None
    };
    of(app, provider, row.as_ref())
}

/// The same, of a row that was read.
pub(crate) fn of(
    app: &App,
    provider: &dyn Provider,
    row: Option<&store::ProviderRow>,
) -> anyhow::Result<Option<Credentials>> {
    if !provider.needs_credentials() {
        let access = Access {
            http: app.outbound.operator().clone(),
            base_url: provider.base_url(app),
            token: SecretString::default(),
        };
        return Ok(Some(Credentials { access, account_id: None }));
    }
    let Some(row) = row else { return Ok(None) };
    let token = app.sealer.open_text(TOKEN_PURPOSE, &row.access_token_sealed)?;
    let access = Access { http: app.outbound.operator().clone(), base_url: provider.base_url(app), token };
    Ok(Some(Credentials { access, account_id: row.account_id.clone() }))
}

/// The secrets that may have signed a notice.
pub(crate) fn open_secrets(app: &App, row: &store::ProviderRow) -> anyhow::Result<Vec<Vec<u8>>> {
    let now = app.clock.now();
    let previous = row
        .previous_webhook_secret_sealed
        .as_ref()
        .filter(|_| row.previous_webhook_secret_expires_at.is_some_and(|at| at > now));
    let sealed = std::iter::once(&row.webhook_secret_sealed).chain(previous);
    sealed.map(|sealed| Ok(app.sealer.open(SECRET_PURPOSE, sealed)?)).collect()
}
