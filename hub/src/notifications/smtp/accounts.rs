//! `/v1/smtp-accounts`: a project's own SMTP servers, in the order in which they are tried. Passwords are sealed and
//! never read back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use tokio::time::{Duration, Instant};
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::{Id as _, ProjectId, SmtpAccountId};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::server::{Account, Security, Server};
use super::talk;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};
use crate::notifications::channel::email;
use crate::notifications::store::{self, AccountRow};
use crate::seal::Sealer;

/// Accounts of one project.
const ACCOUNTS_MAX: usize = 10;
/// What its password is sealed for.
const PURPOSE: &str = "smtp_accounts.password";
const SECURITIES: &[(&str, &str)] = &[("starttls", "starttls"), ("tls", "tls"), ("none", "none")];

/// An account, without its password.
#[derive(Debug, Serialize, ToSchema)]
pub struct SmtpAccount {
    /// Its id.
    pub id: SmtpAccountId,
    /// What the shop calls it.
    pub name: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// `starttls`, `tls` or `none`.
    pub security: String,
    /// The user name.
    pub username: Option<String>,
    /// Whether a password is kept.
    pub has_password: bool,
    /// The sender of mail that names none.
    pub from: Option<String>,
    /// The lowest is tried first.
    pub position: i32,
    /// Whether it is used.
    pub enabled: bool,
    /// Failures in a row.
    pub failures: i32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it last failed.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub failed_at: Option<DateTime<Utc>>,
    /// When it last took a mail, to the minute.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub worked_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
}

impl From<AccountRow> for SmtpAccount {
    fn from(row: AccountRow) -> Self {
        Self {
            id: SmtpAccountId::from_uuid(row.id),
            name: row.name,
            host: row.host,
            port: row.port,
            security: row.security,
            username: row.username,
            has_password: row.sealed_password.is_some(),
            from: row.sender,
            position: row.position,
            enabled: row.is_enabled,
            failures: row.failures,
            last_error: row.last_error,
            failed_at: row.failed_at,
            worked_at: row.worked_at,
            created_at: row.created_at,
        }
    }
}

/// A project's accounts, in the order in which they are tried.
#[derive(Debug, Serialize, ToSchema)]
pub struct SmtpAccounts {
    data: Vec<SmtpAccount>,
}

/// What a caller sends; in a change all of it may be absent.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct SmtpAccountBody {
    /// The server, a name or a public address.
    host: Option<String>,
    /// Its port; 587, or 465 for `tls`, when absent.
    port: Option<i32>,
    /// `starttls` (the default), `tls`, or `none` where the operator allows it.
    security: Option<&'static str>,
    /// The user name; null: no login.
    #[schema(value_type = Option<String>)]
    username: Option<Option<String>>,
    /// The password, sealed and never read back.
    #[serde(skip)]
    #[schema(value_type = Option<String>)]
    password: Option<String>,
    /// The sender of mail that names none, as `Shop <hola@shop.example>`.
    from: Option<String>,
    /// What the shop calls it; the host when absent.
    name: Option<String>,
    /// The lowest is tried first; 0 when absent.
    position: Option<i32>,
    /// Whether it is used; true when absent.
    enabled: Option<bool>,
}

/// How a test went.
#[derive(Debug, Serialize, ToSchema)]
pub struct SmtpTest {
    /// Whether the server let us in.
    ok: bool,
    /// What went wrong.
    error: Option<String>,
}

/// The accounts' routes.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, delete))
        .routes(routes!(test))
}

/// Adds an account. From then on the project writes through its own accounts alone.
#[utoipa::path(
    post, path = "/v1/smtp-accounts", tag = "notifications",
    request_body = SmtpAccountBody, responses((status = 201, body = SmtpAccount)),
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<SmtpAccount>)> {
    let body = read_body(&body, true)?;
    let now = app.clock.now();
    let host = body.host.clone().unwrap_or_default();
    let row = AccountRow {
        project_id: caller.project.id.uuid(),
        id: app.ids.uuid(now),
        name: host.clone(),
        host,
        port: if body.security == Some("tls") { 465 } else { 587 },
        security: "starttls".to_owned(),
        username: None,
        sealed_password: None,
        sender: None,
        position: 0,
        is_enabled: true,
        failures: 0,
        last_error: None,
        failed_at: None,
        worked_at: None,
        created_at: now,
        updated_at: now,
    };
    let row = changed(&app.sealer, row, body)?;
    check_host(&app, &row).await?;
    let mut tx = app.db.begin().await?;
    // Two calls at once count the same accounts.
    store::lock_name(&mut tx, caller.project.id, "smtp-accounts").await?;
    if store::list_accounts(&mut tx, row.project_id).await?.len() >= ACCOUNTS_MAX {
        let detail = format!("a project may have {ACCOUNTS_MAX} SMTP accounts");
        return Err(Error::Conflict { code: "too_many_accounts", detail });
    }
    store::put_account(&mut tx, &row).await?;
    tx.commit().await?;
    app.wakes.wake("emails");
    Ok((StatusCode::CREATED, Json(row.into())))
}

/// Lists the accounts in the order in which they are tried.
#[utoipa::path(get, path = "/v1/smtp-accounts", tag = "notifications", responses((status = 200, body = SmtpAccounts)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<SmtpAccounts>> {
    let mut conn = app.db.acquire().await?;
    let rows = store::list_accounts(&mut conn, caller.project.id.uuid()).await?;
    Ok(Json(SmtpAccounts { data: rows.into_iter().map(SmtpAccount::from).collect() }))
}

/// Shows an account and how it is.
#[utoipa::path(get, path = "/v1/smtp-accounts/{id}", tag = "notifications", responses((status = 200, body = SmtpAccount)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<SmtpAccount>> {
    let mut conn = app.db.acquire().await?;
    Ok(Json(find(&mut conn, caller.project.id, &id).await?.into()))
}

/// Changes an account; its failures are forgotten.
#[utoipa::path(
    patch, path = "/v1/smtp-accounts/{id}", tag = "notifications",
    request_body = SmtpAccountBody, responses((status = 200, body = SmtpAccount)),
)]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<SmtpAccount>> {
    let body = read_body(&body, false)?;
    let mut conn = app.db.acquire().await?;
    let before = find(&mut conn, caller.project.id, &id).await?;
    if body.password.is_none()
        && body.host.as_ref().is_some_and(|host| *host != before.host)
        && before.sealed_password.is_some()
    {
        return Err(Error::field(
            "/password",
            "is required with another `host`: the kept one belongs to the old",
        ));
    }
    let mut row = changed(&app.sealer, before, body)?;
    row.updated_at = app.clock.now();
    check_host(&app, &row).await?;
    store::put_account(&mut conn, &row).await?;
    app.wakes.wake("emails");
    Ok(Json(row.into()))
}

/// Deletes an account. Without any, the project writes through the operator's servers again.
#[utoipa::path(delete, path = "/v1/smtp-accounts/{id}", tag = "notifications", responses((status = 204)))]
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let id = parse_id(&id)?;
    let mut conn = app.db.acquire().await?;
    if store::delete_account(&mut conn, caller.project.id, id.uuid()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NotFound("SMTP account"))
    }
}

/// Connects and logs in, and sends nothing.
#[utoipa::path(post, path = "/v1/smtp-accounts/{id}/test", tag = "notifications", responses((status = 200, body = SmtpTest)))]
async fn test(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<SmtpTest>> {
    let mut conn = app.db.acquire().await?;
    let row = find(&mut conn, caller.project.id, &id).await?;
    drop(conn);
    let server = server(&app.sealer, &row).map_err(anyhow::Error::msg)?;
    let deadline = Instant::now() + Duration::from_secs(15);
    let opened = talk::open(&server, &app.outbound, deadline).await;
    Ok(Json(match opened {
        Ok(_) => SmtpTest { ok: true, error: None },
        Err(failure) => SmtpTest { ok: false, error: Some(failure.told()) },
    }))
}

async fn find(conn: &mut PgConnection, project: ProjectId, id: &str) -> Result<AccountRow> {
    let row = store::find_account(conn, project, parse_id(id)?.uuid()).await?;
    row.ok_or(Error::NotFound("SMTP account"))
}

fn parse_id(text: &str) -> Result<SmtpAccountId> {
    SmtpAccountId::parse(text).map_err(|_| Error::NotFound("SMTP account"))
}

fn changed(sealer: &Sealer, mut row: AccountRow, body: SmtpAccountBody) -> Result<AccountRow> {
    row.host = body.host.unwrap_or(row.host);
    row.port = body.port.unwrap_or(row.port);
    row.security = body.security.map_or(row.security, str::to_owned);
    row.sender = body.from.or(row.sender);
    row.name = body.name.unwrap_or(row.name);
    row.position = body.position.unwrap_or(row.position);
    row.is_enabled = body.enabled.unwrap_or(row.is_enabled);
    match body.username {
        Some(None) => (row.username, row.sealed_password) = (None, None),
        Some(username) => row.username = username,
        None => {}
    }
    if let Some(password) = body.password {
        row.sealed_password = Some(sealer.seal(PURPOSE, password.as_bytes()).map_err(anyhow::Error::from)?);
    }
    if row.username.is_some() != row.sealed_password.is_some() {
        return Err(Error::field("/password", "`username` and `password` go together"));
    }
    Ok(row)
}

async fn check_host(app: &App, row: &AccountRow) -> Result<()> {
    let port = u16::try_from(row.port).unwrap_or_default();
    let checked = app.outbound.addresses(&row.host, port, row.security == "none").await;
    checked.map(|_| ()).map_err(|refused| Error::field("/host", refused.to_string()))
}

/// What a row says, ready to be used.
pub(crate) fn server(sealer: &Sealer, row: &AccountRow) -> Result<Server, String> {
    let credentials = match (&row.username, &row.sealed_password) {
        (Some(username), Some(sealed)) => {
            let password = sealer.open_text(PURPOSE, sealed).map_err(|error| error.to_string())?;
            Some(Credentials::new(username.clone(), password.expose_secret().to_owned()))
        }
        _ => None,
    };
    let security = match row.security.as_str() {
        "tls" => Security::Tls,
        "none" => Security::None,
        _ => Security::StartTls,
    };
    Ok(Server {
        key: format!("{}/{}/{}", row.project_id, row.id, row.updated_at.timestamp_micros()),
        label: row.name.clone(),
        host: row.host.clone(),
        port: u16::try_from(row.port).unwrap_or_default(),
        security,
        credentials,
        hello: ClientId::default(),
        connections: None,
        root: None,
        account: Some(Account {
            project_id: row.project_id,
            id: row.id,
            sender: row.sender.clone().unwrap_or_default(),
        }),
    })
}

fn read_body(body: &Value, is_new: bool) -> Result<SmtpAccountBody, Vec<FieldError>> {
    let mut errors = Errors::default();
    let body = Fields::of(body, &mut errors).map(|mut fields| {
        let host = fields.optional("host", host);
        let port = fields.optional("port", check::integer(1, 65_535));
        let security = fields.optional("security", check::one_of(SECURITIES));
        let username = fields.nullable("username", check::line(1, 255));
        let password = fields.optional("password", check::line(1, 1_024));
        let from = fields.optional("from", sender);
        let name = fields.optional("name", check::line(1, 100));
        let position = fields.optional("position", check::integer(0, 1_000));
        let enabled = fields.optional("enabled", check::boolean);
        if is_new {
            for name in ["host", "from"] {
                if !fields.has(name) {
                    fields.refuse(name, "is required");
                }
            }
        }
        fields.finish();
        SmtpAccountBody {
            host,
            port: port.and_then(|port| i32::try_from(port).ok()),
            security,
            username,
            password,
            from,
            name,
            position: position.and_then(|position| i32::try_from(position).ok()),
            enabled,
        }
    });
    errors.finish(body)
}

fn host(value: &Value) -> Result<String, String> {
    let text = check::line(1, 253)(value)?;
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    if plain { Ok(text) } else { Err("must be a host as `smtp.example.com`".to_owned()) }
}

fn sender(value: &Value) -> Result<String, String> {
    let text = check::line(3, 320)(value)?;
    match email::parse_mailbox(&text) {
        Some(_) => Ok(text),
        None => Err("must be an address, as `Shop <hola@shop.example>`".to_owned()),
    }
}
