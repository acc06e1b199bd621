//! `trastienda-hub project …`.

use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::{open, operations, refusal, say};
use crate::config::StoreArgs;
use crate::db::Store;
use crate::http::pagination::{Cursor, ListQuery};
use crate::projects::admin::{check_flag, parse_limits, parse_new};
use crate::projects::model::{Project, ProjectContext};
use crate::projects::store::{self, ProjectChanges};

#[derive(Subcommand)]
pub(super) enum ProjectCommand {
    /// Make a project and show its API key, this once.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Its main domain, as `shop.example.com`.
        #[arg(long)]
        domain: String,
        /// `free` or `pro`.
        #[arg(long, default_value = "free")]
        plan: String,
        /// `live`, or `test` for the provider's test accounts.
        #[arg(long, default_value = "live")]
        mode: String,
        #[command(flatten)]
        common: Common,
    },
    /// List projects, newest first.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Make a new API key and show it, this once.
    RotateKey {
        /// The project.
        id: String,
        /// Seconds for which the old key still works.
        #[arg(long, default_value_t = 0)]
        grace_seconds: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Refuse the project's key until it is activated again.
    Deactivate {
        /// The project.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Take the project's key again.
    Activate {
        /// The project.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Set a feature flag.
    Feature {
        /// The project.
        id: String,
        /// The flag.
        flag: String,
        /// On, off, or as the plan says.
        value: FlagValue,
        #[command(flatten)]
        common: Common,
    },
    /// Set limits; `default` is the plan's.
    Limits {
        /// The project.
        id: String,
        /// Limits as `name=value`, as `events_per_day=5000` or `endpoints=default`.
        #[arg(required = true)]
        limits: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub(super) struct Common {
    #[command(flatten)]
    store: StoreArgs,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum FlagValue {
    On,
    Off,
    Default,
}

impl ProjectCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let common = self.common();
        let json = common.json;
        let store = open(&common.store).await?;
        let answer = self.answer(&store).await;
        store.close(false).await;
        let (document, text) = answer?;
        say(&if json { serde_json::to_string_pretty(&document)? } else { text });
        Ok(())
    }

    fn common(&self) -> &Common {
        match self {
            Self::Create { common, .. }
            | Self::List { common }
            | Self::RotateKey { common, .. }
            | Self::Deactivate { common, .. }
            | Self::Activate { common, .. }
            | Self::Feature { common, .. }
            | Self::Limits { common, .. } => common,
        }
    }

    async fn answer(self, store: &Store) -> anyhow::Result<(Value, String)> {
        let operations = operations(store);
        match self {
            Self::Create { name, domain, plan, mode, .. } => {
                let body = json!({"name": name, "domain": domain, "plan": plan, "mode": mode});
                let new = parse_new(&body).map_err(|errors| refusal(errors.into()))?;
                let (project, key) = operations.create(new).await.map_err(refusal)?;
                let text = format!("{}\nAPI key (shown this once): {}", line(&project), key.expose());
                Ok((json!({"project": project, "api_key": key.expose()}), text))
            }
            Self::List { .. } => list(store).await,
            Self::RotateKey { id, grace_seconds, .. } => {
                let grace = TimeDelta::seconds(grace_seconds.into());
                let key = operations.rotate_key(parse_id(&id)?, grace).await.map_err(refusal)?;
                Ok((
                    json!({"api_key": key.expose()}),
                    format!("New API key (shown this once): {}", key.expose()),
                ))
            }
            Self::Deactivate { id, .. } => set_active(store, &id, false).await,
            Self::Activate { id, .. } => set_active(store, &id, true).await,
            Self::Feature { id, flag, value, .. } => {
                check_flag(&flag).map_err(refusal)?;
                let enabled = match value {
                    FlagValue::On => Some(true),
                    FlagValue::Off => Some(false),
                    FlagValue::Default => None,
                };
                let context =
                    operations.set_feature(parse_id(&id)?, &flag, enabled).await.map_err(refusal)?;
                let state = if context.feature(&flag) { "on" } else { "off" };
                Ok((
                    json!({"flag": flag, "enabled": context.feature(&flag)}),
                    format!("{flag} is {state} for {}", context.project.name),
                ))
            }
            Self::Limits { id, limits, .. } => {
                let change = parse_limits(&limits_body(&limits)?).map_err(|errors| refusal(errors.into()))?;
                let context = operations
                    .set_limits(parse_id(&id)?, |limits| change.apply(limits))
                    .await
                    .map_err(refusal)?;
                Ok((json!({"limits": context.limits}), describe(&context)?))
            }
        }
    }
}

async fn list(store: &Store) -> anyhow::Result<(Value, String)> {
    let mut conn = store.pool.acquire().await?;
    let mut projects: Vec<Project> = Vec::new();
    let mut query = ListQuery::starting_at(Cursor::newest(), 200);
    loop {
        let page = store::list_projects(&mut conn, &query).await?;
        let count = page.len();
        projects.extend(page.into_iter().take(200));
        match projects.last() {
            Some(last) if count > 200 => query.after = store::place(last),
            _ => break,
        }
    }
    let text = projects.iter().map(line).collect::<Vec<_>>().join("\n");
    Ok((json!({"data": projects}), if text.is_empty() { "no projects yet".to_owned() } else { text }))
}

async fn set_active(store: &Store, id: &str, active: bool) -> anyhow::Result<(Value, String)> {
    let changes = ProjectChanges { is_active: Some(active), ..ProjectChanges::default() };
    let context = operations(store).update(parse_id(id)?, &changes).await.map_err(refusal)?;
    Ok((json!({"project": context.project}), line(&context.project)))
}

fn line(project: &Project) -> String {
    let state = if project.is_active { "active" } else { "inactive" };
    format!(
        "{}  {}  {}  {}  {}  {state}",
        project.id,
        project.name,
        project.domain,
        project.plan.as_str(),
        project.mode.as_str()
    )
}

fn describe(context: &ProjectContext) -> anyhow::Result<String> {
    Ok(format!("{}\n{}", line(&context.project), serde_json::to_string_pretty(&context.limits)?))
}

fn limits_body(limits: &[String]) -> anyhow::Result<Value> {
    let mut body = serde_json::Map::new();
    for limit in limits {
        let (name, value) =
            limit.split_once('=').ok_or_else(|| anyhow::anyhow!("`{limit}` must be `name=value`"))?;
        let value = match value {
            "default" => Value::Null,
            number => number.parse::<i64>().map_or_else(|_| Value::from(number), Value::from),
        };
        body.insert(name.to_owned(), value);
    }
    Ok(Value::Object(body))
}

fn parse_id(text: &str) -> anyhow::Result<ProjectId> {
    ProjectId::parse(text).map_err(|error| anyhow::anyhow!("the project's id {error}"))
}
