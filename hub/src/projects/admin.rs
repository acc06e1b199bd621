//! `/admin/v1`: what the operator does to projects over HTTP. The same from the shell: `trastienda-hub project …`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use trastienda_protocol::api_key::Mode;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{LimitOverrides, Project, ProjectContext};
use super::operations::{GRACE_MAX, NewProject, Operations};
use super::plans::{FLAGS, Flag, Limits, Plan};
use super::store::{self, ProjectChanges};
use crate::app::App;
use crate::http::pagination::{ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

const MODES: &[(&str, Mode)] = &[("live", Mode::Live), ("test", Mode::Test)];

/// The slice's routes for the operator.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update))
        .routes(routes!(rotate_key))
        .routes(routes!(set_feature))
        .routes(routes!(set_limits))
        .routes(routes!(plans))
}

impl App {
    /// The operator's works on this hub's database.
    pub fn operations(&self) -> Operations<'_> {
        Operations { db: &self.db, clock: &*self.clock, ids: &*self.ids }
    }
}

/// A project as the operator sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectDetail {
    #[serde(flatten)]
    project: Project,
    limits: Limits,
    #[schema(value_type = std::collections::BTreeMap<String, bool>)]
    features: std::collections::BTreeMap<String, bool>,
}

impl From<ProjectContext> for ProjectDetail {
    fn from(context: ProjectContext) -> Self {
        Self { limits: context.limits, features: context.features(), project: context.project }
    }
}

/// A new project with its key, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectCreated {
    project: Project,
    api_key: String,
}

/// A new key, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyRotated {
    api_key: String,
}

/// A plan with its limits.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanDetail {
    name: Plan,
    limits: Limits,
    features: std::collections::BTreeMap<String, bool>,
}

/// The plans and the flags that they decide about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plans {
    plans: Vec<PlanDetail>,
    flags: &'static [Flag],
}

/// Checks what a new project is made of.
///
/// # Errors
/// Every field that is missing, wrong or unknown.
pub fn parse_new(body: &Value) -> std::result::Result<NewProject, Vec<FieldError>> {
    let mut errors = Errors::default();
    let new = Fields::of(body, &mut errors).and_then(|mut fields| {
        let name = fields.required("name", check::line(1, 128));
        let domain = fields.required("domain", domain);
        let plan = fields.optional("plan", check::one_of(Plan::CHOICES)).unwrap_or(Plan::Free);
        let mode = fields.optional("mode", check::one_of(MODES)).unwrap_or(Mode::Live);
        fields.finish();
        Some(NewProject { name: name?, domain: domain?, plan, mode })
    });
    errors.finish(new)
}

fn domain(value: &Value) -> std::result::Result<String, String> {
    let text = check::line(1, 253)(value)?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = text
        .split_once(':')
        .map_or(text.as_str(), |(host, port)| if port.parse::<u16>().is_ok() { host } else { "" });
    if host.split('.').all(label) {
        Ok(text)
    } else {
        Err("must be a domain without scheme or path, as `shop.example.com`".to_owned())
    }
}

/// Makes a project and its API key.
#[utoipa::path(post, path = "/admin/v1/projects", tag = "administration", responses((status = 201, body = ProjectCreated)))]
async fn create(
    State(app): State<App>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<ProjectCreated>)> {
    let (project, key) = app.operations().create(parse_new(&body)?).await?;
    Ok((StatusCode::CREATED, Json(ProjectCreated { project, api_key: key.expose().to_owned() })))
}

/// Lists projects, newest first.
#[utoipa::path(get, path = "/admin/v1/projects", tag = "administration", responses((status = 200, body = Page<Project>)))]
async fn list(State(app): State<App>, mut query: ListQuery) -> Result<Json<Page<Project>>> {
    let [] = query.filters([])?;
    let mut conn = app.db.acquire().await?;
    let projects = store::list_projects(&mut conn, &query).await?;
    Ok(Json(Page::of(projects, &query, store::place, |project| project)))
}

/// Shows a project with its limits and flags.
#[utoipa::path(get, path = "/admin/v1/projects/{id}", tag = "administration", responses((status = 200, body = ProjectDetail)))]
async fn get(State(app): State<App>, Path(id): Path<String>) -> Result<Json<ProjectDetail>> {
    Ok(Json(app.operations().get(project_id(&id)?).await?.into()))
}

/// Changes a project's `name`, `domain`, `plan` or `is_active`.
#[utoipa::path(patch, path = "/admin/v1/projects/{id}", tag = "administration", responses((status = 200, body = ProjectDetail)))]
async fn update(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<ProjectDetail>> {
    let mut errors = Errors::default();
    let changes = Fields::of(&body, &mut errors).map(|mut fields| {
        let changes = ProjectChanges {
            name: fields.optional("name", check::line(1, 128)),
            domain: fields.optional("domain", domain),
            plan: fields.optional("plan", check::one_of(Plan::CHOICES)),
            is_active: fields.optional("is_active", check::boolean),
        };
        fields.finish();
        changes
    });
    let changes = errors.finish(changes)?;
    Ok(Json(app.operations().update(project_id(&id)?, &changes).await?.into()))
}

/// Makes a new key; the old one ends after its grace.
#[utoipa::path(post, path = "/admin/v1/projects/{id}/rotate-key", tag = "administration", responses((status = 200, body = KeyRotated)))]
async fn rotate_key(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<KeyRotated>> {
    let mut errors = Errors::default();
    let grace = Fields::of(&body, &mut errors).map(|mut fields| {
        let grace = fields.optional("grace_seconds", check::integer(0, GRACE_MAX.num_seconds())).unwrap_or(0);
        fields.finish();
        TimeDelta::seconds(grace)
    });
    let grace = errors.finish(grace)?;
    let key = app.operations().rotate_key(project_id(&id)?, grace).await?;
    Ok(Json(KeyRotated { api_key: key.expose().to_owned() }))
}

/// Sets a feature flag for a project; null leaves it to the plan.
#[utoipa::path(put, path = "/admin/v1/projects/{id}/features/{flag}", tag = "administration", responses((status = 200, body = ProjectDetail)))]
async fn set_feature(
    State(app): State<App>,
    Path((id, flag)): Path<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Json<ProjectDetail>> {
    let id = project_id(&id)?;
    check_flag(&flag)?;
    let mut errors = Errors::default();
    let enabled = Fields::of(&body, &mut errors).and_then(|mut fields| {
        let enabled = fields.nullable("enabled", check::boolean);
        if body.get("enabled").is_none() {
            fields.refuse("enabled", "must be true, false or null");
        }
        fields.finish();
        enabled
    });
    let enabled = errors.finish(enabled)?;
    Ok(Json(app.operations().set_feature(id, &flag, enabled).await?.into()))
}

/// Sets a project's limits: each optional, null is the plan's.
#[utoipa::path(put, path = "/admin/v1/projects/{id}/limits", tag = "administration", responses((status = 200, body = ProjectDetail)))]
async fn set_limits(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<ProjectDetail>> {
    let id = project_id(&id)?;
    let change = parse_limits(&body)?;
    Ok(Json(app.operations().set_limits(id, |limits| change.apply(limits)).await?.into()))
}

/// Lists the plans, their limits and their flags.
#[utoipa::path(get, path = "/admin/v1/plans", tag = "administration", responses((status = 200, body = Plans)))]
async fn plans() -> Json<Plans> {
    let plans = Plan::CHOICES.iter().map(|(_, plan)| PlanDetail {
        name: *plan,
        limits: plan.limits(),
        features: FLAGS.iter().map(|flag| (flag.name.to_owned(), plan.flag(flag.name))).collect(),
    });
    Json(Plans { plans: plans.collect(), flags: FLAGS })
}

/// Limits to be changed: outer `None` stays, inner `None` is the plan's.
#[derive(Debug, Default)]
pub struct LimitChanges([Option<Option<i32>>; 7]);

const LIMITS: [(&str, i64); 7] = [
    ("requests_per_minute", 1),
    ("events_per_day", 0),
    ("emails_per_day", 0),
    ("whatsapp_per_day", 0),
    ("payments_per_day", 0),
    ("endpoints", 0),
    ("retention_days", 30),
];

impl LimitChanges {
    /// The limits after the change.
    pub fn apply(self, limits: LimitOverrides) -> LimitOverrides {
        let [requests, events, emails, whatsapp, payments, endpoints, retention] = self.0;
        LimitOverrides {
            requests_per_minute: requests.unwrap_or(limits.requests_per_minute),
            events_per_day: events.unwrap_or(limits.events_per_day),
            emails_per_day: emails.unwrap_or(limits.emails_per_day),
            whatsapp_per_day: whatsapp.unwrap_or(limits.whatsapp_per_day),
            payments_per_day: payments.unwrap_or(limits.payments_per_day),
            endpoints: endpoints.unwrap_or(limits.endpoints),
            retention_days: retention.unwrap_or(limits.retention_days),
        }
    }
}

/// Checks limits.
///
/// # Errors
/// Every field that is wrong or unknown.
pub fn parse_limits(body: &Value) -> std::result::Result<LimitChanges, Vec<FieldError>> {
    let mut errors = Errors::default();
    let changes = Fields::of(body, &mut errors).map(|mut fields| {
        let changes = LIMITS.map(|(name, min)| {
            let limit = fields.nullable(name, check::integer(min, 1_000_000_000))?;
            Some(limit.and_then(|limit| i32::try_from(limit).ok()))
        });
        fields.finish();
        LimitChanges(changes)
    });
    errors.finish(changes)
}

/// A flag's name: lower-case letters, digits and `_`, at most 64.
///
/// # Errors
/// What would be right.
pub fn check_flag(flag: &str) -> Result<()> {
    let shaped = (1..=64).contains(&flag.len())
        && flag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b));
    if shaped {
        return Ok(());
    }
    Err(Error::field("/flag", "must have 1 to 64 lower-case letters, digits, `_`, `-` and `.`"))
}

fn project_id(text: &str) -> Result<ProjectId> {
    ProjectId::parse(text).map_err(|_| Error::NotFound("project"))
}
