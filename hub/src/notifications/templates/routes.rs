//! `/v1/templates`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::notification::{self, Channel};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::diff::Diff;
use super::{Activated, DEFAULT_LOCALE, Found, Preview, Template, TemplateBody, builtin, own_variables};
use crate::app::App;
use crate::http::auth::{Caller, KeyId};
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};
use crate::notifications::render;
use crate::notifications::settings::Settings;
use crate::notifications::store::{self, TemplateRow};

/// The templates' routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put))
        .routes(routes!(preview))
        .routes(routes!(activate))
        .routes(routes!(activations))
        .routes(routes!(diff))
}

/// The version that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateMade {
    name: String,
    version: i32,
    /// Whether it became the active one by itself: the first of its channel and locale, if it renders with its sample.
    active: bool,
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

/// Makes a version. The first of a name, channel and locale becomes active by itself if it renders with its sample.
#[utoipa::path(
    put, path = "/v1/templates/{name}", tag = "templates",
    request_body = TemplateBody, responses((status = 201, body = TemplateMade)),
)]
async fn put(
    State(app): State<App>,
    caller: Caller,
    KeyId(key_id): KeyId,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<TemplateMade>)> {
    let name = notification::template_name(&Value::String(name))
        .map_err(|message| Error::field("?name", message))?;
    let template = TemplateBody::parse(&body)?;
    let compiled_html = compile(&template).await?;
    let now = app.clock.now();
    let mut row = TemplateRow {
        id: app.ids.uuid(now),
        name,
        version: 0,
        channel: template.channel.as_str().to_owned(),
        locale: template.locale,
        subject: template.subject,
        html: template.html,
        mjml: template.mjml,
        compiled_html,
        text: template.text,
        variables: Vec::new(),
        sample: Value::Null,
        is_active: false,
        made_by: Some(key_id),
        created_at: now,
        activated_by: None,
        activated_at: None,
    };
    let wrong = render::check_syntax(row.parts());
    if !wrong.is_empty() {
        return Err(at_source(&row, wrong).into());
    }
    row.variables = render::variables(row.parts());
    let mut tx = app.db.begin().await?;
    store::lock_name(&mut tx, caller.project.id, &row.name).await?;
    let settings = Settings::of(&mut tx, caller.project.id).await?;
    let is_own = !template.sample.is_empty();
    row.sample = if is_own {
        Value::Object(template.sample)
    } else {
        let before = store::find_sample(&mut tx, caller.project.id, &row).await?;
        let builtin = || Some(builtin::find(&row.name, template.channel, &[DEFAULT_LOCALE])?.sample);
        before.or_else(builtin).unwrap_or_else(|| Value::Object(Map::new()))
    };
    let fits = render_sample(&caller, &settings, &row);
    let may_be_active = match fits {
        Err(errors) if is_own => return Err(errors.into()),
        fits => fits.is_ok(),
    };
    let (version, active) = store::insert_template(&mut tx, caller.project.id, &row, may_be_active).await?;
    row.version = version;
    if active {
        let by = (row.made_by.as_deref(), now);
        store::insert_activation(&mut tx, caller.project.id, app.ids.uuid(now), &row, by).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(TemplateMade { name: row.name, version, active })))
}

/// What is rendered instead of the HTML that was written.
async fn compile(template: &TemplateBody) -> Result<Option<String>, Vec<FieldError>> {
    match (&template.mjml, &template.html) {
        (Some(mjml), _) => render::compile::compile_mjml(mjml.clone()).await.map(Some),
        (None, Some(html)) => render::compile::inline_html(html.clone()).await,
        (None, None) => Ok(None),
    }
}

/// What is wrong in the HTML is wrong in the MJML that became it.
fn at_source(row: &TemplateRow, mut errors: Vec<FieldError>) -> Vec<FieldError> {
    if row.mjml.is_some() {
        for error in errors.iter_mut().filter(|error| error.pointer == "/html") {
            "/mjml".clone_into(&mut error.pointer);
        }
    }
    errors
}

/// Whether a version renders with its own sample.
fn render_sample(caller: &Caller, settings: &Settings, row: &TemplateRow) -> Result<(), Vec<FieldError>> {
    let own = own_variables(&caller.project);
    let sample = row.sample.as_object().cloned().unwrap_or_default();
    let manner = render::Manner { locale: &row.locale, time_zone: settings.zone() };
    render::render(row.parts(), manner, "/sample", &sample, &own).map(|_| ())
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
    let version = read_version("?version", version)?;
    let channel = read_channel(channel)?;
    let mut conn = app.db.acquire().await?;
    let choice = Choice { name: &name, version, channel, locale: locale.as_deref() };
    Ok(Json(choose(&mut conn, &caller, choice).await?.into()))
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
    let found = choose(&mut conn, &caller, choice).await?;
    let settings = Settings::of(&mut conn, caller.project.id).await?;
    drop(conn);
    let found = Found::from(found);
    let sample = found.sample.as_object().cloned().unwrap_or_default();
    let shown_in = locale.as_deref().unwrap_or(&found.locale);
    let own = own_variables(&caller.project);
    let manner = render::Manner { locale: shown_in, time_zone: settings.zone() };
    let rendered = render::render(found.parts(), manner, "/data", &data.unwrap_or(sample), &own)?;
    let text = rendered.text.or_else(|| rendered.html.as_deref().map(render::text_of_html));
    Ok(Json(Preview {
        version: found.version,
        locale: found.locale,
        subject: rendered.subject,
        html: rendered.html,
        text,
    }))
}

/// Makes a version the active one of its channel and locale; an older one is how to roll back. It must render with its
/// sample.
#[utoipa::path(
    post, path = "/v1/templates/{name}/activate", tag = "templates",
    request_body = Activation, responses((status = 200, body = Template), (status = 422, body = Problem)),
)]
async fn activate(
    State(app): State<App>,
    caller: Caller,
    KeyId(key_id): KeyId,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Template>> {
    let version = parse_activation(&body)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    store::lock_name(&mut tx, caller.project.id, &name).await?;
    let row = store::find_version(&mut tx, caller.project.id, &name, version).await?;
    let row = row.ok_or(Error::NotFound("version of the template"))?;
    let settings = Settings::of(&mut tx, caller.project.id).await?;
    render_sample(&caller, &settings, &row)?;
    if !row.is_active {
        store::mark_active(&mut tx, caller.project.id, &row, (&key_id, now)).await?;
        let id = app.ids.uuid(now);
        store::insert_activation(&mut tx, caller.project.id, id, &row, (Some(&key_id), now)).await?;
    }
    let row = store::find_version(&mut tx, caller.project.id, &name, version).await?;
    tx.commit().await?;
    Ok(Json(row.ok_or(Error::NotFound("version of the template"))?.into()))
}

/// Lists which version became active when, and by whom; newest first.
#[utoipa::path(get, path = "/v1/templates/{name}/activations", tag = "templates", responses((status = 200, body = Page<Activated>)))]
async fn activations(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    mut query: ListQuery,
) -> Result<Json<Page<Activated>>> {
    let [] = query.filters([])?;
    let mut conn = app.db.acquire().await?;
    let rows = store::list_activations(&mut conn, caller.project.id, &name, &query).await?;
    let place = |row: &Activated| Cursor { created_at: row.created_at, id: row.id };
    Ok(Json(Page::of(rows, &query, place, |row| row)))
}

/// Shows what changed between two versions: `?from=` and `?to=`, by default from the active one. Version 0 is the one that
/// comes with the hub, for `?channel=` and `?locale=`.
#[utoipa::path(get, path = "/v1/templates/{name}/diff", tag = "templates", responses((status = 200, body = Diff)))]
async fn diff(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    mut query: ListQuery,
) -> Result<Json<Diff>> {
    let [from, to, channel, locale] = query.filters(["from", "to", "channel", "locale"])?;
    let from = read_version("?from", from)?;
    let to = read_version("?to", to)?.ok_or_else(|| Error::field("?to", "is required: a version"))?;
    let channel = read_channel(channel)?;
    let mut conn = app.db.acquire().await?;
    let choice = |version| Choice { name: &name, version, channel, locale: locale.as_deref() };
    let to = Template::from(choose(&mut conn, &caller, choice(Some(to))).await?);
    let from = if from.is_some() {
        choose(&mut conn, &caller, choice(from)).await?
    } else {
        // The active one of what the other is.
        let channel = Channel::parse(&to.channel);
        let choice = Choice { name: &name, version: None, channel, locale: Some(&to.locale) };
        choose(&mut conn, &caller, choice).await?
    };
    Ok(Json(Diff::of(&from.into(), &to)))
}

fn read_version(name: &'static str, text: Option<String>) -> Result<Option<i32>> {
    text.map(|text| text.parse().map_err(|_| Error::field(name, "must be a whole number"))).transpose()
}

fn read_channel(text: Option<String>) -> Result<Option<Channel>> {
    text.map(|text| {
        Channel::parse(&text).ok_or_else(|| Error::field("?channel", "must be `email` or `whatsapp`"))
    })
    .transpose()
}

/// A version that was found: the project's own, or one that comes with the hub.
enum Chosen {
    Own(TemplateRow),
    Builtin { name: String, channel: Channel, found: Found },
}

impl From<Chosen> for Template {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Own(row) => row.into(),
            Chosen::Builtin { name, channel, found } => builtin::show(&name, channel, found),
        }
    }
}

impl From<Chosen> for Found {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Own(row) => row.into(),
            Chosen::Builtin { found, .. } => found,
        }
    }
}

struct Choice<'a> {
    name: &'a str,
    version: Option<i32>,
    channel: Option<Channel>,
    locale: Option<&'a str>,
}

/// The version that a caller means.
async fn choose(conn: &mut sqlx::PgConnection, caller: &Caller, choice: Choice<'_>) -> Result<Chosen> {
    let Choice { name, version, channel, locale } = choice;
    let project = caller.project.id;
    if let Some(version) = version.filter(|version| *version > 0) {
        let row = store::find_version(conn, project, name, version).await?;
        return Ok(Chosen::Own(row.ok_or(Error::NotFound("version of the template"))?));
    }
    let settings = Settings::of(conn, project).await?;
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
        if let Some(index) = super::pick(&own, locale, &settings.locale) {
            return Ok(Chosen::Own(own.swap_remove(index)));
        }
        let chain = super::with_spanish(super::fallbacks(locale, &settings.locale));
        if own.is_empty()
            && let Some(found) = builtin::find(name, channel, &chain)
        {
            return Ok(Chosen::Builtin { name: name.to_owned(), channel, found });
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
