//! SQL of providers' credentials, which go in and out sealed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

use crate::payments::provider::Account;
use crate::payments::sweep;

/// A project's credentials at a provider.
#[derive(Debug)]
pub(crate) struct ProviderRow {
    pub(crate) provider: String,
    pub(crate) access_token_sealed: Vec<u8>,
    pub(crate) webhook_secret_sealed: Vec<u8>,
    pub(crate) previous_webhook_secret_sealed: Option<Vec<u8>>,
    pub(crate) previous_webhook_secret_expires_at: Option<DateTime<Utc>>,
    pub(crate) public_key: Option<String>,
    pub(crate) site: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) is_test: bool,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What is to be kept.
#[derive(Debug)]
pub(crate) struct NewProvider<'a> {
    pub(crate) provider: &'a str,
    pub(crate) access_token_sealed: &'a [u8],
    pub(crate) webhook_secret_sealed: &'a [u8],
    /// The secret that it replaces, which is taken until then.
    pub(crate) previous: Option<(&'a [u8], DateTime<Utc>)>,
    pub(crate) public_key: Option<&'a str>,
    pub(crate) account: &'a Account,
}

pub(crate) async fn upsert_provider(
    conn: &mut PgConnection,
    project: ProjectId,
    new: &NewProvider<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_providers (project_id, provider, access_token_sealed, webhook_secret_sealed,
                                       previous_webhook_secret_sealed, previous_webhook_secret_expires_at, public_key, site,
                                       account_id, is_test, created_at, updated_at, sweep_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)
        on conflict (project_id, provider) do update
        set access_token_sealed = excluded.access_token_sealed,
            webhook_secret_sealed = excluded.webhook_secret_sealed,
            previous_webhook_secret_sealed = excluded.previous_webhook_secret_sealed,
            previous_webhook_secret_expires_at = excluded.previous_webhook_secret_expires_at,
            public_key = excluded.public_key,
            site = excluded.site,
            account_id = excluded.account_id,
            is_test = excluded.is_test,
            updated_at = excluded.updated_at
        "#,
        project.uuid(),
        new.provider,
        new.access_token_sealed,
        new.webhook_secret_sealed,
        new.previous.map(|(sealed, _)| sealed),
        new.previous.map(|(_, until)| until),
        new.public_key,
        new.account.site,
        new.account.id,
        new.account.is_test,
        now,
        now + sweep::EVERY,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn find_provider(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
) -> sqlx::Result<Option<ProviderRow>> {
    sqlx::query_as!(
        ProviderRow,
        r#"
        select provider, access_token_sealed, webhook_secret_sealed, previous_webhook_secret_sealed,
               previous_webhook_secret_expires_at, public_key, site, account_id, is_test, updated_at
        from payment_providers
        where project_id = $1 and provider = $2
        "#,
        project.uuid(),
        provider,
    )
    .fetch_optional(conn)
    .await
}

/// The same, of a project that is active: whoever sends notices is told nothing about others.
pub(crate) async fn find_active_provider(
    conn: &mut PgConnection,
    project: ProjectId,
    provider: &str,
) -> sqlx::Result<Option<ProviderRow>> {
    sqlx::query_as!(
        ProviderRow,
        r#"
        select provider, access_token_sealed, webhook_secret_sealed, previous_webhook_secret_sealed,
               previous_webhook_secret_expires_at, public_key, site, account_id, is_test, v.updated_at
        from payment_providers v
        join projects p on p.id = v.project_id and p.is_active
        where project_id = $1 and provider = $2
        "#,
        project.uuid(),
        provider,
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn list_providers(
    conn: &mut PgConnection,
    project: ProjectId,
) -> sqlx::Result<Vec<ProviderRow>> {
    sqlx::query_as!(
        ProviderRow,
        r#"
        select provider, access_token_sealed, webhook_secret_sealed, previous_webhook_secret_sealed,
               previous_webhook_secret_expires_at, public_key, site, account_id, is_test, updated_at
        from payment_providers
        where project_id = $1
        order by provider
        "#,
        project.uuid(),
    )
    .fetch_all(conn)
    .await
}
