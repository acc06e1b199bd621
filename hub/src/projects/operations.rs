//! What the operator does to projects, the same from the API and from the shell.

use chrono::TimeDelta;
use sqlx::PgPool;
use trastienda_protocol::api_key::{ApiKey, Mode};
use trastienda_protocol::clock::Clock;
use trastienda_protocol::ids::{self, IdSource, ProjectId};

use super::model::{LimitOverrides, Project, ProjectContext};
use super::plans::Plan;
use super::store::ProjectChanges;
use super::{api_keys, changes, store};
use crate::http::{Error, Result};

/// A project to be made.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its name.
    pub name: String,
    /// Its main domain.
    pub domain: String,
    /// Its plan.
    pub plan: Plan,
    /// Real money or test accounts.
    pub mode: Mode,
}

/// The longest grace of a rotated key.
pub const GRACE_MAX: TimeDelta = TimeDelta::days(30);

/// Works on projects with nothing but the database: commands have no running hub.
#[derive(Debug, Clone, Copy)]
pub struct Operations<'a> {
    /// The database.
    pub db: &'a PgPool,
    /// Where the time comes from.
    pub clock: &'a dyn Clock,
    /// Where ids come from.
    pub ids: &'a dyn IdSource,
}

impl Operations<'_> {
    /// Makes a project and its key, which is shown this once.
    pub async fn create(&self, new: NewProject) -> Result<(Project, ApiKey)> {
        let now = self.clock.now();
        let (key, secret_hash) = api_keys::generate(new.mode).await?;
        let project = Project {
            id: ids::new(self.ids, self.clock),
            name: new.name,
            domain: new.domain,
            mode: new.mode,
            plan: new.plan,
            is_active: true,
            created_at: now,
        };
        let mut tx = self.db.begin().await?;
        store::insert_project(&mut tx, &project).await?;
        api_keys::insert_key(&mut tx, project.id, &key, &secret_hash, now).await?;
        tx.commit().await?;
        Ok((project, key))
    }

    /// A project with its limits and flags.
    pub async fn get(&self, id: ProjectId) -> Result<ProjectContext> {
        let mut conn = self.db.acquire().await?;
        store::find_context(&mut conn, id).await?.ok_or(Error::NotFound("project"))
    }

    /// Changes a project; when this returns, every hub knows.
    pub async fn update(&self, id: ProjectId, what: &ProjectChanges) -> Result<ProjectContext> {
        let mut tx = self.db.begin().await?;
        if !store::update_project(&mut tx, id, what, self.clock.now()).await? {
            return Err(Error::NotFound("project"));
        }
        self.commit_change(tx).await?;
        self.get(id).await
    }

    /// Makes a new key. Without grace the old one is dead on every hub when this returns.
    pub async fn rotate_key(&self, id: ProjectId, grace: TimeDelta) -> Result<ApiKey> {
        let mode = self.get(id).await?.project.mode;
        let now = self.clock.now();
        let (key, secret_hash) = api_keys::generate(mode).await?;
        let mut tx = self.db.begin().await?;
        // Two rotations at once: the second waits here and then ends the first one's key.
        let locked = sqlx::query_scalar!(
            r#"select 1 as "one!" from projects where id = $1 for update"#,
            trastienda_protocol::ids::Id::uuid(id),
        );
        locked.fetch_one(&mut *tx).await?;
        api_keys::expire_keys(&mut tx, id, now, grace).await?;
        api_keys::insert_key(&mut tx, id, &key, &secret_hash, now).await?;
        self.commit_change(tx).await?;
        Ok(key)
    }

    /// Sets a flag, or with `None` leaves it to the plan again.
    pub async fn set_feature(
        &self,
        id: ProjectId,
        flag: &str,
        enabled: Option<bool>,
    ) -> Result<ProjectContext> {
        self.get(id).await?;
        let mut tx = self.db.begin().await?;
        store::set_feature(&mut tx, id, flag, enabled).await?;
        self.commit_change(tx).await?;
        self.get(id).await
    }

    /// Changes limits: `change` gets those in force for the project and returns the new ones.
    pub async fn set_limits(
        &self,
        id: ProjectId,
        change: impl FnOnce(LimitOverrides) -> LimitOverrides + Send,
    ) -> Result<ProjectContext> {
        self.get(id).await?;
        let mut tx = self.db.begin().await?;
        let limits = change(store::find_limits(&mut tx, id).await?);
        store::set_limits(&mut tx, id, &limits).await?;
        self.commit_change(tx).await?;
        self.get(id).await
    }

    async fn commit_change(&self, mut tx: sqlx::Transaction<'_, sqlx::Postgres>) -> Result<()> {
        let epoch = changes::raise(&mut tx).await?;
        tx.commit().await?;
        changes::announce(self.db, epoch).await?;
        Ok(())
    }
}
