//! SQL of templates. A version never changes once made; what changes is which one is active.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

use crate::http::pagination::ListQuery;
use crate::notifications::render::Parts;
use crate::notifications::templates::Activated;

/// A version's row.
#[derive(Debug, Clone)]
pub(crate) struct TemplateRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i32,
    pub(crate) channel: String,
    pub(crate) locale: String,
    pub(crate) subject: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) mjml: Option<String>,
    pub(crate) compiled_html: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) variables: Vec<String>,
    pub(crate) sample: Value,
    pub(crate) is_active: bool,
    pub(crate) made_by: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) activated_by: Option<String>,
    pub(crate) activated_at: Option<DateTime<Utc>>,
}

impl TemplateRow {
    /// Its parts, as they are rendered.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            subject: self.subject.as_deref(),
            html: self.compiled_html.as_deref().or(self.html.as_deref()),
            text: self.text.as_deref(),
        }
    }
}

/// Whoever holds this lock commits before the next takes a number or moves what is active.
pub(crate) async fn lock_name(conn: &mut PgConnection, project: ProjectId, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1::text, 1))",
        format!("{}/{name}", project.uuid()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the name's next version, under the name's lock; the first of a channel and locale becomes active by itself if
/// it may. Gives the version and whether it did.
pub(crate) async fn insert_template(
    conn: &mut PgConnection,
    project: ProjectId,
    row: &TemplateRow,
    may_be_active: bool,
) -> sqlx::Result<(i32, bool)> {
    let made = sqlx::query!(
        r#"
        insert into templates (project_id, id, name, version, channel, locale, subject, html, mjml, compiled_html, text,
                               variables, sample, made_by, created_at, is_active, activated_at, activated_by)
        select $1, $2, $3, n.version, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::timestamptz,
               n.is_first and $15::boolean,
               case when n.is_first and $15::boolean then $14::timestamptz end,
               case when n.is_first and $15::boolean then $13 end
        from (
            select coalesce(max(version), 0) + 1 as version,
                   not coalesce(bool_or(is_active and channel = $4 and locale = $5), false) as is_first
            from templates
            where project_id = $1 and name = $3
        ) n
        returning version, is_active
        "#,
        project.uuid(),
        row.id,
        row.name,
        row.channel,
        row.locale,
        row.subject,
        row.html,
        row.mjml,
        row.compiled_html,
        row.text,
        &row.variables,
        row.sample,
        row.made_by,
        row.created_at,
        may_be_active,
    )
    .fetch_one(conn)
    .await?;
    Ok((made.version, made.is_active))
}

/// The sample of the latest version that has one, of the same locale if there is one.
pub(crate) async fn find_sample(
    conn: &mut PgConnection,
    project: ProjectId,
    row: &TemplateRow,
) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!(
        r#"
        select sample
        from templates
        where project_id = $1 and name = $2 and channel = $3 and sample <> '{}'
        order by locale = $4 desc, version desc
        limit 1
        "#,
        project.uuid(),
        row.name,
        row.channel,
        row.locale,
    )
    .fetch_optional(conn)
    .await
}

/// Remembers that a version became active.
pub(crate) async fn insert_activation(
    conn: &mut PgConnection,
    project: ProjectId,
    id: Uuid,
    row: &TemplateRow,
    by: (Option<&str>, DateTime<Utc>),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into template_activations (project_id, id, name, channel, locale, version, activated_by, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        project.uuid(),
        id,
        row.name,
        row.channel,
        row.locale,
        row.version,
        by.0,
        by.1,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of a name's activations, newest first.
pub(crate) async fn list_activations(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
    query: &ListQuery,
) -> sqlx::Result<Vec<Activated>> {
    sqlx::query_as!(
        Activated,
        r#"
        select id, version, channel, locale, activated_by, created_at
        from template_activations
        where project_id = $1 and name = $2
          and (created_at, id) < ($3, $4)
          and ($5::timestamptz is null or created_at > $5)
          and ($6::timestamptz is null or created_at < $6)
        order by created_at desc, id desc
        limit $7
        "#,
        project.uuid(),
        name,
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await
}

/// Makes a version the active one of its channel and locale. It must exist.
pub(crate) async fn mark_active(
    conn: &mut PgConnection,
    project: ProjectId,
    row: &TemplateRow,
    by: (&str, DateTime<Utc>),
) -> sqlx::Result<()> {
    // First the old one: only one may be active at any moment.
    sqlx::query!(
        r#"
        update templates
        set is_active = false
        where project_id = $1 and name = $2 and channel = $3 and locale = $4 and is_active and id <> $5
        "#,
        project.uuid(),
        row.name,
        row.channel,
        row.locale,
        row.id,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        update templates
        set is_active = true, activated_at = $3, activated_by = $4
        where project_id = $1 and id = $2 and not is_active
        "#,
        project.uuid(),
        row.id,
        by.1,
        by.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn find_version(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
    version: i32,
) -> sqlx::Result<Option<TemplateRow>> {
    sqlx::query_as!(
        TemplateRow,
        r#"
        select id, name, version, channel, locale, subject, html, mjml, compiled_html, text, variables, sample, is_active,
               made_by, created_at, activated_by, activated_at
        from templates
        where project_id = $1 and name = $2 and version = $3
        "#,
        project.uuid(),
        name,
        version,
    )
    .fetch_optional(conn)
    .await
}

/// The number of a name's newest version for a channel, draft or not.
pub(crate) async fn find_newest(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
    channel: &str,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        "select max(version) from templates where project_id = $1 and name = $2 and channel = $3",
        project.uuid(),
        name,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// The active versions of a name, of one channel or of all.
pub(crate) async fn list_active(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
    channel: Option<&str>,
) -> sqlx::Result<Vec<TemplateRow>> {
    sqlx::query_as!(
        TemplateRow,
        r#"
        select id, name, version, channel, locale, subject, html, mjml, compiled_html, text, variables, sample, is_active,
               made_by, created_at, activated_by, activated_at
        from templates
        where project_id = $1 and name = $2 and is_active and ($3::text is null or channel = $3)
        order by channel, locale
        "#,
        project.uuid(),
        name,
        channel,
    )
    .fetch_all(conn)
    .await
}

/// The filters of the list.
pub(crate) struct TemplateFilters {
    pub(crate) name: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) locale: Option<String>,
}

pub(crate) async fn list_templates(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &TemplateFilters,
) -> sqlx::Result<Vec<TemplateRow>> {
    sqlx::query_as!(
        TemplateRow,
        r#"
        select id, name, version, channel, locale, subject, html, mjml, compiled_html, text, variables, sample, is_active,
               made_by, created_at, activated_by, activated_at
        from templates
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::text is null or name = $6)
          and ($7::text is null or channel = $7)
          and ($8::text is null or locale = $8)
        order by created_at desc, id desc
        limit $9
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.name,
        filters.channel,
        filters.locale,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await
}

/// The names and channels of which the project has an active version of its own.
pub(crate) async fn list_own_names(
    conn: &mut PgConnection,
    project: ProjectId,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "select distinct name, channel from templates where project_id = $1 and is_active",
        project.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.channel)).collect())
}
