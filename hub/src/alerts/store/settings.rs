//! SQL of what was set on the dashboard.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What was set; what is null is the variables'.
#[derive(Debug)]
pub(crate) struct SettingsRow {
    pub(crate) email: Option<String>,
    pub(crate) webhook_url: Option<String>,
    pub(crate) webhook_secret_sealed: Option<Vec<u8>>,
    pub(crate) looked_at: Option<DateTime<Utc>>,
}

pub(crate) async fn get_settings(conn: &mut PgConnection) -> sqlx::Result<SettingsRow> {
    sqlx::query_as!(
        SettingsRow,
        "select email, webhook_url, webhook_secret_sealed, looked_at from alert_settings where only_row"
    )
    .fetch_one(conn)
    .await
}

/// Notes that a hub looked: a small write that a full disk refuses.
pub(crate) async fn mark_looked(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update alert_settings set looked_at = $1 where only_row", now).execute(conn).await?;
    Ok(())
}

pub(crate) async fn set_email(
    conn: &mut PgConnection,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("update alert_settings set email = $1, updated_at = $2 where only_row", email, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets the webhook, or takes it away.
pub(crate) async fn set_webhook(
    conn: &mut PgConnection,
    webhook: Option<(&str, &[u8])>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update alert_settings
        set webhook_url = $1, webhook_secret_sealed = $2, updated_at = $3
        where only_row
        "#,
        webhook.map(|(url, _)| url),
        webhook.map(|(_, sealed)| sealed),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What was set for a kind.
#[derive(Debug)]
pub(crate) struct RuleRow {
    pub(crate) kind: String,
    pub(crate) is_on: bool,
    pub(crate) threshold: Option<i32>,
}

pub(crate) async fn list_rules(conn: &mut PgConnection) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as!(RuleRow, "select kind, is_on, threshold from alert_rules order by kind")
        .fetch_all(conn)
        .await
}

pub(crate) async fn upsert_rule(
    conn: &mut PgConnection,
    rule: &RuleRow,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into alert_rules (kind, is_on, threshold, updated_at)
        values ($1, $2, $3, $4)
        on conflict (kind) do update
        set is_on = excluded.is_on, threshold = excluded.threshold, updated_at = excluded.updated_at
        "#,
        rule.kind,
        rule.is_on,
        rule.threshold,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Back to what the variables say.
pub(crate) async fn delete_rule(conn: &mut PgConnection, kind: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from alert_rules where kind = $1", kind).execute(conn).await?;
    Ok(())
}
