//! `/v1/templates`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::notification::{self, Channel};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Preview, Template, TemplateBody, builtin, own_variables};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};
use crate::notifications::render;
use crate::notifications::store::{self, TemplateRow};

/// The templates' routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put))
        .routes(routes!(preview))
        .routes(routes!(activate))
}

/// The version that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateMade {
    name: String,
    version: i32,
}

/// What a caller sends to `POST /v1/templates/{name}/activate`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activation {
    version: i32,
}

/// What a caller sends to `POST /v1/templates/{name}/preview`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewBody {
    /// The variables; the version's sample when absent.
    data: Option<Map<String, Value>>,
    version: Option<i32>,
    locale: Option<String>,
    /// For a name that has templates of both channels; `email` when absent.
    channel: Option<Channel>,
}

/// Makes a version. The first of a name, channel and locale becomes active by itself.
#[utoipa::path(
    put, path = "/v1/templates/{name}", tag = "templates",
    request_body = TemplateBody, responses((status = 201, body = TemplateMade)),
)]
async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<TemplateMade>)> {
    let name = notification::template_name(&Value::String(name))
        .map_err(|message| Error::field("?name", message))?;
    let template = TemplateBody::parse(&body)?;
    let wrong = render::check_syntax(template.parts());
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    if !template.sample.is_empty() {
        let own = own_variables(&caller.project);
        render::render(template.parts(), &template.locale, "/sample", &template.sample, &own)?;
    }
    let now = app.clock.now();
    let row = TemplateRow {
        id: app.ids.uuid(now),
        name: name.clone(),
        version: 0,
        channel: template.channel.as_str().to_owned(),
        locale: template.locale,
        subject: template.subject,
        html: template.html,
        text: template.text,
        sample: Value::Object(template.sample),
        is_active: false,
        created_at: now,
        activated_at: None,
    };
    let mut tx = app.db.begin().await?;
    let version = store::insert_template(&mut tx, caller.project.id, &row).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(TemplateMade { name, version })))
}

/// Lists versions, newest first, and at the end what comes with the hub. Filters: `name`, `channel`, `locale`.
#[utoipa::path(get, path = "/v1/templates", tag = "templates", responses((status = 200, body = Page<Template>)))]
async fn list(State(app): State<App>, caller: Caller, mut query: ListQuery) -> Result<Json<Page<Template>>> {
    let [name, channel, locale] = query.filters(["name", "channel", "locale"])?;
    let filters = store::TemplateFilters { name, channel, locale };
    let mut conn = app.db.acquire().await?;
    let rows = store::list_templates(&mut conn, caller.project.id, &query, &filters).await?;
    let place = |row: &TemplateRow| Cursor { created_at: row.created_at, id: row.id };
    let mut page = Page::of(rows, &query, place, Template::from);
    if page.next_cursor.is_none() && query.created_after.is_none() && query.created_before.is_none() {
        let own = store::list_own_names(&mut conn, caller.project.id).await?;
        let builtins = builtin::list(|name, channel| {
            own.iter().any(|(own_name, own_channel)| own_name == name && own_channel == channel.as_str())
        });
        let is_wanted =
            |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        page.data.extend(builtins.into_iter().filter(|template| {
            is_wanted(&filters.name, &template.name)
                && is_wanted(&filters.channel, &template.channel)
                && is_wanted(&filters.locale, &template.locale)
        }));
    }
    Ok(Json(page))
}

/// Shows a version: `?version=`, or the active one for `?channel=` (`email`) and `?locale=` (`es`).
#[utoipa::path(get, path = "/v1/templates/{name}", tag = "templates", responses((status = 200, body = Template)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    mut query: ListQuery,
) -> Result<Json<Template>> {
    let [version, channel, locale] = query.filters(["version", "channel", "locale"])?;
    let version = version
        .map(|text| text.parse().map_err(|_| Error::field("?version", "must be a whole number")))
        .transpose()?;
    let channel = channel
        .map(|text| {
            Channel::parse(&text).ok_or_else(|| Error::field("?channel", "must be `email` or `whatsapp`"))
        })
        .transpose()?;
    let mut conn = app.db.acquire().await?;
    let choice = Choice { name: &name, version, channel, locale: locale.as_deref() };
    Ok(Json(choose(&mut conn, &caller, choice).await?))
}

/// Renders a version without sending it.
#[utoipa::path(
    post, path = "/v1/templates/{name}/preview", tag = "templates",
    request_body = PreviewBody, responses((status = 200, body = Preview)),
)]
async fn preview(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Preview>> {
    let PreviewBody { data, version, locale, channel } = parse_preview(&body)?;
    let mut conn = app.db.acquire().await?;
    let choice = Choice { name: &name, version, channel, locale: locale.as_deref() };
    let template = choose(&mut conn, &caller, choice).await?;
    drop(conn);
    let parts = render::Parts {
        subject: template.subject.as_deref(),
        html: template.html.as_deref(),
        text: template.text.as_deref(),
    };
    let sample = template.sample.as_object().cloned().unwrap_or_default();
    let shown_in = locale.as_deref().unwrap_or(&template.locale);
    let own = own_variables(&caller.project);
    let rendered = render::render(parts, shown_in, "/data", &data.unwrap_or(sample), &own)?;
    let text = rendered.text.or_else(|| rendered.html.as_deref().map(render::text_of_html));
    Ok(Json(Preview {
        version: template.version,
        locale: template.locale,
        subject: rendered.subject,
        html: rendered.html,
        text,
    }))
}

/// Makes a version the active one of its channel and locale; an older one is how to roll back.
#[utoipa::path(
    post, path = "/v1/templates/{name}/activate", tag = "templates",
    request_body = Activation, responses((status = 200, body = Template)),
)]
async fn activate(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Template>> {
    let version = parse_activation(&body)?;
    let mut tx = app.db.begin().await?;
    store::lock_name(&mut tx, caller.project.id, &name).await?;
    let row = store::find_version(&mut tx, caller.project.id, &name, version).await?;
    let row = row.ok_or(Error::NotFound("version of the template"))?;
    store::mark_active(&mut tx, caller.project.id, &row, app.clock.now()).await?;
    let row = store::find_version(&mut tx, caller.project.id, &name, version).await?;
    tx.commit().await?;
    Ok(Json(row.ok_or(Error::NotFound("version of the template"))?.into()))
}

struct Choice<'a> {
    name: &'a str,
    version: Option<i32>,
    channel: Option<Channel>,
    locale: Option<&'a str>,
}

/// The version that a caller means.
async fn choose(conn: &mut sqlx::PgConnection, caller: &Caller, choice: Choice<'_>) -> Result<Template> {
    let Choice { name, version, channel, locale } = choice;
    let project = caller.project.id;
    if let Some(version) = version.filter(|version| *version > 0) {
        let row = store::find_version(conn, project, name, version).await?;
        return Ok(row.ok_or(Error::NotFound("version of the template"))?.into());
    }
    let channels: &[Channel] = match &channel {
        Some(channel) => std::slice::from_ref(channel),
        None => &[Channel::Email, Channel::Whatsapp],
    };
    for channel in channels.iter().copied() {
        // Version 0 asks for what comes with the hub, whatever the project has.
        let mut own = match version {
            Some(_) => Vec::new(),
            None => store::list_active(conn, project, name, Some(channel.as_str())).await?,
        };
        if let Some(index) = super::pick(&own, locale) {
            return Ok(own.swap_remove(index).into());
        }
        if own.is_empty()
            && let Some(found) = builtin::find(name, channel, &super::fallbacks(locale))
        {
            return Ok(builtin::show(name, channel, found));
        }
    }
    Err(Error::NotFound("template"))
}

fn parse_activation(body: &Value) -> Result<i32> {
    let mut errors = Errors::default();
    let version = Fields::of(body, &mut errors).and_then(|mut fields| {
        let version = fields.required("version", check::integer(1, i64::from(i32::MAX)));
        fields.finish();
        i32::try_from(version?).ok()
    });
    Ok(errors.finish(version)?)
}

fn parse_preview(body: &Value) -> Result<PreviewBody, Vec<FieldError>> {
    let mut errors = Errors::default();
    let preview = Fields::of(body, &mut errors).map(|mut fields| {
        let data = fields.optional("data", check::object);
        let version = fields.optional("version", check::integer(0, i64::from(i32::MAX)));
        let locale = fields.optional("locale", notification::locale);
        let channel = fields.optional("channel", check::one_of(Channel::CHOICES));
        fields.finish();
        PreviewBody {
            data,
            version: version.and_then(|version| i32::try_from(version).ok()),
            locale,
            channel,
        }
    });
    errors.finish(preview)
}
