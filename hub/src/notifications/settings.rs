//! `/v1/notification-settings`: in which language, country and time zone a project writes when a request does not say.

use axum::Json;
use axum::extract::State;
use chrono_tz::Tz;
use phonenumber::country::Id;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::ProjectId;
use trastienda_protocol::notification;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::store;
use super::templates::DEFAULT_LOCALE;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{JsonBody, Result};

const DEFAULT_COUNTRY: Id = Id::AR;
const DEFAULT_ZONE: Tz = Tz::America__Argentina__Buenos_Aires;

/// How a project writes when a request does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// The locale at the end of every fallback, `es` unless set.
    pub locale: String,
    /// The country of a phone number that does not say, `AR` unless set.
    pub country: String,
    /// The clock by which templates write times, `America/Argentina/Buenos_Aires` unless set.
    pub time_zone: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            locale: DEFAULT_LOCALE.to_owned(),
            country: DEFAULT_COUNTRY.as_ref().to_owned(),
            time_zone: DEFAULT_ZONE.name().to_owned(),
        }
    }
}

impl Settings {
    /// Reads a project's.
    pub(crate) async fn of(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<Self> {
        Ok(store::find_settings(conn, project).await?.unwrap_or_default())
    }

    /// The time zone, which was checked when it was written.
    pub(crate) fn zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(DEFAULT_ZONE)
    }

    /// The country, which was checked when it was written.
    pub(crate) fn country(&self) -> Id {
        self.country.parse().unwrap_or(DEFAULT_COUNTRY)
    }
}

/// The settings' routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Shows how the project writes when a request does not say.
#[utoipa::path(get, path = "/v1/notification-settings", tag = "notifications", responses((status = 200, body = Settings)))]
async fn get(State(app): State<App>, caller: Caller) -> Result<Json<Settings>> {
    let mut conn = app.db.acquire().await?;
    Ok(Json(Settings::of(&mut conn, caller.project.id).await?))
}

/// Sets it; what is absent gets its default.
#[utoipa::path(
    put, path = "/v1/notification-settings", tag = "notifications",
    request_body = Settings, responses((status = 200, body = Settings)),
)]
async fn put(State(app): State<App>, caller: Caller, JsonBody(body): JsonBody) -> Result<Json<Settings>> {
    let settings = read_body(&body)?;
    let mut conn = app.db.acquire().await?;
    store::put_settings(&mut conn, caller.project.id, &settings, app.clock.now()).await?;
    Ok(Json(settings))
}

fn read_body(body: &Value) -> Result<Settings> {
    let mut errors = Errors::default();
    let settings = Fields::of(body, &mut errors).map(|mut fields| {
        let locale = fields.optional("locale", notification::locale);
        let country = fields.optional("country", country);
        let zone = fields.optional("time_zone", time_zone);
        fields.finish();
        let default = Settings::default();
        Settings {
            locale: locale.unwrap_or(default.locale),
            country: country.unwrap_or(default.country),
            time_zone: zone.unwrap_or(default.time_zone),
        }
    });
    Ok(errors.finish(settings)?)
}

fn country(value: &Value) -> Result<String, String> {
    let text = check::line(2, 2)(value)?;
    let is_known = text.bytes().all(|b| b.is_ascii_uppercase()) && text.parse::<Id>().is_ok();
    if is_known { Ok(text) } else { Err("must be a country as `AR` or `BR`".to_owned()) }
}

fn time_zone(value: &Value) -> Result<String, String> {
    let text = check::line(1, 64)(value)?;
    match text.parse::<Tz>() {
        Ok(zone) => Ok(zone.name().to_owned()),
        Err(_) => Err("must be a time zone as `America/Sao_Paulo`".to_owned()),
    }
}
