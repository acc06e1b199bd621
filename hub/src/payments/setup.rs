//! `/v1/payment-providers`: a project's credentials, checked at the provider before they are kept.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use trastienda_protocol::api_key::Mode;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::payment::Method;
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calls::Calls;
use super::credentials::{SECRET_OVERLAP, SECRET_PURPOSE, TOKEN_PURPOSE};
use super::provider::{self, Access, Account, CallError, Provider};
use super::{inbound, store};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};

/// The routes of credentials.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set))
}

/// A provider that the project has credentials at. The credentials themselves are never read back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderView {
    /// Its name.
    provider: String,
    /// Whose credentials they are, as the provider numbers its accounts.
    account_id: Option<String>,
    /// The account's country, as `MLA`.
    site: Option<String>,
    /// Whether it is a test account.
    is_test: bool,
    /// What a browser makes card tokens with.
    public_key: Option<String>,
    /// The address to give to the provider for its notices.
    notification_url: String,
    /// When they were set.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    updated_at: DateTime<Utc>,
    /// The last notices whose signature was refused, newest first: many of them mean a wrong `webhook_secret`.
    refused_notices: Vec<RefusedNotice>,
}

/// A notice whose signature was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedNotice {
    /// When it came.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    at: DateTime<Utc>,
    /// `malformed`, `stale` or `mismatch`.
    reason: String,
    /// What it was about.
    topic: String,
    /// The provider's id of that.
    resource_id: String,
}

impl From<store::SampleRow> for RefusedNotice {
    fn from(row: store::SampleRow) -> Self {
        Self { at: row.received_at, reason: row.reason, topic: row.topic, resource_id: row.resource_id }
    }
}

/// The project's providers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Providers {
    /// Those with credentials.
    data: Vec<ProviderView>,
    /// The address to give to Mercado Pago, also before there are credentials.
    notification_url: String,
}

/// Lists the providers that the project has credentials at.
#[utoipa::path(get, path = "/v1/payment-providers", tag = "payments", responses((status = 200, body = Providers)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Providers>> {
    // Of those who may be given credentials, the one that customers are sent to.
    let usual = provider::for_method(Method::Checkout).ok_or(Error::NotFound("payment provider"))?;
    let notification_url = inbound::address(&app, usual.name(), caller.project.id);
    let mut conn = app.db.acquire().await?;
    let mut data = Vec::new();
    for row in store::list_providers(&mut conn, caller.project.id).await? {
        let refused = store::list_samples(&mut conn, caller.project.id, &row.provider).await?;
        data.push(ProviderView {
            notification_url: inbound::address(&app, &row.provider, caller.project.id),
            provider: row.provider,
            account_id: row.account_id,
            site: row.site,
            is_test: row.is_test,
            public_key: row.public_key,
            updated_at: row.updated_at,
            refused_notices: refused.into_iter().map(RefusedNotice::from).collect(),
        });
    }
    Ok(Json(Providers { data, notification_url }))
}

struct NewCredentials {
    access_token: SecretString,
    webhook_secret: SecretString,
    public_key: Option<String>,
}

impl NewCredentials {
    fn parse(body: &Value) -> std::result::Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let credentials = Fields::of(body, &mut errors).and_then(|mut fields| {
            let access_token = fields.required("access_token", secret);
            let webhook_secret = fields.required("webhook_secret", secret);
            let public_key = fields.optional("public_key", check::line(1, 256));
            fields.finish();
            Some(Self { access_token: access_token?, webhook_secret: webhook_secret?, public_key })
        });
        errors.finish(credentials)
    }
}

/// Visible ASCII: anything else was torn when it was copied, and has no place in a header.
fn secret(value: &Value) -> std::result::Result<SecretString, String> {
    let text = check::line(8, 512)(value)?;
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(SecretString::from(text))
    } else {
        Err("must be printable ASCII without spaces".to_owned())
    }
}

/// Sets the project's credentials at a provider. They are checked there first, sealed, and never read back. The
/// webhook secret that they replace is taken for another day.
#[utoipa::path(
    put, path = "/v1/payment-providers/{provider}", tag = "payments",
    responses((status = 204), (status = 422, body = Problem), (status = 503, body = Problem)),
)]
async fn set(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<StatusCode> {
    let provider = provider::find(&name)
        .filter(|provider| provider.needs_credentials())
        .ok_or(Error::NotFound("payment provider that takes credentials"))?;
    let new = NewCredentials::parse(&body)?;
    let account = ask_account(&app, provider, &new.access_token).await?;
    // Tokens of the old kind belong to a live account and are marked as its test ones; the account tells of others.
    let is_test = account.is_test || new.access_token.expose_secret().starts_with("TEST-");
    if caller.project.mode == Mode::Test && !is_test {
        return Err(Error::field(
            "/access_token",
            "belongs to a live account, and this is a test project: use a test seller's token",
        ));
    }
    let account = Account { is_test, ..account };
    keep(&app, &caller, provider, &new, &account).await?;
    tracing::info!(project.id = %caller.project.id, provider = name, site = account.site, is_test, "credentials were set");
    Ok(StatusCode::NO_CONTENT)
}

async fn keep(
    app: &App,
    caller: &Caller,
    provider: &dyn Provider,
    new: &NewCredentials,
    account: &Account,
) -> Result<()> {
    let now = app.clock.now();
    let project = caller.project.id;
    let token = app.sealer.seal(TOKEN_PURPOSE, new.access_token.expose_secret().as_bytes())?;
    let secret = new.webhook_secret.expose_secret().as_bytes();
    let sealed = app.sealer.seal(SECRET_PURPOSE, secret)?;
    let mut tx = app.db.begin().await?;
    let known = store::find_provider(&mut tx, project, provider.name()).await?;
    let mut previous = None;
    if let Some(row) = &known {
        let is_same = app.sealer.open(SECRET_PURPOSE, &row.webhook_secret_sealed)? == secret;
        previous = if is_same {
            row.previous_webhook_secret_sealed.as_deref().zip(row.previous_webhook_secret_expires_at)
        } else {
            Some((row.webhook_secret_sealed.as_slice(), now + SECRET_OVERLAP))
        };
        if row.account_id.as_ref().is_some_and(|id| *id != account.id) {
            tracing::warn!(project.id = %project, provider = provider.name(), "the credentials are of another account: payments of the one before can no longer be asked about");
        }
    }
    let new_row = store::NewProvider {
        provider: provider.name(),
        access_token_sealed: &token,
        webhook_secret_sealed: &sealed,
        previous,
        public_key: new.public_key.as_deref(),
        account,
    };
    store::upsert_provider(&mut tx, project, &new_row, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn ask_account(app: &App, provider: &dyn Provider, token: &SecretString) -> Result<Account> {
    let access = Access {
        http: app.outbound.operator().clone(),
        base_url: provider.base_url(app),
        token: token.clone(),
    };
    let exchange = provider.account(&access).await;
    Calls::default().record("account", app.clock.now(), exchange).map_err(|error| match error {
        CallError::Unauthorized { .. } | CallError::Refused { .. } | CallError::NotFound => Error::field(
            "/access_token",
            "is not taken by the provider: it is mistyped, was revoked, or is no access token",
        ),
        error => unavailable(provider, &error),
    })
}

/// 503: the provider did not answer a while ago, and is left alone.
pub(crate) fn resting(provider: &dyn Provider, wait: std::time::Duration) -> Error {
    let detail =
        format!("{} does not answer; it is asked again in {} s", provider.name(), wait.as_secs().max(1));
    Problem::new(503, "provider_unavailable", "Provider unavailable", detail).into()
}

/// 503: the provider did not answer.
pub(crate) fn unavailable(provider: &dyn Provider, error: &CallError) -> Error {
    let detail = format!("{} does not answer ({error}); try again shortly", provider.name());
    Problem::new(503, "provider_unavailable", "Provider unavailable", detail).into()
}
