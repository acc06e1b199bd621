//! SQL of a project's settings.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

use crate::notifications::settings::Settings;

pub(crate) async fn find_settings(
    conn: &mut PgConnection,
    project: ProjectId,
) -> sqlx::Result<Option<Settings>> {
    sqlx::query_as!(
        Settings,
        "select locale, country, time_zone from notification_settings where project_id = $1",
        project.uuid(),
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn put_settings(
    conn: &mut PgConnection,
    project: ProjectId,
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into notification_settings (project_id, locale, country, time_zone, updated_at)
        values ($1, $2, $3, $4, $5)
        on conflict (project_id) do update
        set locale = excluded.locale,
            country = excluded.country,
            time_zone = excluded.time_zone,
            updated_at = excluded.updated_at
        "#,
        project.uuid(),
        settings.locale,
        settings.country,
        settings.time_zone,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
