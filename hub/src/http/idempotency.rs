//! `Idempotency-Key`: one namespace per project for single calls and batches, kept as long as the thing it made.
//!
//! The key is written in the transaction that makes the thing, so only work that committed is remembered, and a
//! call that arrives meanwhile waits for that transaction and then finds the key. A repeat answers with the thing
//! as it is now.

use std::collections::HashSet;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::limits::is_idempotency_key;
use trastienda_protocol::problem::Problem;
use uuid::Uuid;

use super::{Error, Result};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The key that came with the request, if one did.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| is_idempotency_key(key));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| Problem::invalid_idempotency_key().into())
    }
}

impl IdempotencyKey {
    /// The key, where one is required.
    pub fn required(self) -> Result<String> {
        self.0.ok_or_else(|| Problem::idempotency_key_required().into())
    }
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The project.
    pub project: ProjectId,
    /// The caller's key.
    pub key: &'a str,
    /// The digest of the body that came with it.
    pub fingerprint: &'a [u8; 32],
    /// What it makes: `event`, `notification`, `payment`, `refund`, `endpoint`.
    pub kind: &'static str,
    /// The id of the thing that it is to make.
    pub resource: Uuid,
    /// Until when the call is under way, when it goes on after the transaction.
    pub lease_until: Option<DateTime<Utc>>,
}

/// Writes the key, or says what it already made (`Some`).
pub async fn claim(conn: &mut PgConnection, claim: Claim<'_>, now: DateTime<Utc>) -> Result<Option<Uuid>> {
    let inserted = sqlx::query!(
        r#"
        insert into idempotency_keys (project_id, key, fingerprint, kind, resource_id, lease_until, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (project_id, key) do nothing
        "#,
        claim.project.uuid(),
        claim.key,
        claim.fingerprint,
        claim.kind,
        claim.resource,
        claim.lease_until,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let existing = sqlx::query!(
        r#"
        select fingerprint, kind, resource_id, lease_until
        from idempotency_keys
        where project_id = $1 and key = $2
        "#,
        claim.project.uuid(),
        claim.key,
    )
    .fetch_one(conn)
    .await?;
    if existing.kind != claim.kind || existing.fingerprint != claim.fingerprint {
        return Err(reused());
    }
    if existing.lease_until.is_some_and(|until| until > now) {
        return Err(Error::Conflict {
            code: "idempotency_key_in_progress",
            detail: "the first call with this `Idempotency-Key` is still running; ask again in a moment"
                .to_owned(),
        });
    }
    Ok(Some(existing.resource_id))
}

/// Writes the keys that are new, and gives them: for calls that need not go on after the transaction.
pub async fn claim_new(
    conn: &mut PgConnection,
    claims: &[Claim<'_>],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<(ProjectId, String)>> {
    let mut rows = claims.to_vec();
    // In one order, so that two transactions with the same keys wait for each other in turn.
    rows.sort_unstable_by_key(|claim| (claim.project.uuid(), claim.key));
    let inserted = sqlx::query!(
        r#"
        insert into idempotency_keys (project_id, key, fingerprint, kind, resource_id, created_at)
        select new.project_id, new.key, new.fingerprint, new.kind, new.resource_id, $6
        from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::uuid[])
            as new(project_id, key, fingerprint, kind, resource_id)
        on conflict (project_id, key) do nothing
        returning project_id, key
        "#,
        &rows.iter().map(|claim| claim.project.uuid()).collect::<Vec<_>>(),
        &rows.iter().map(|claim| claim.key.to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|claim| claim.fingerprint.to_vec()).collect::<Vec<_>>(),
        &rows.iter().map(|claim| claim.kind.to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|claim| claim.resource).collect::<Vec<_>>(),
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(inserted.into_iter().map(|row| (ProjectId::from_uuid(row.project_id), row.key)).collect())
}

/// Says that a call is over that was claimed with a lease.
pub async fn release(conn: &mut PgConnection, project: ProjectId, key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update idempotency_keys set lease_until = null where project_id = $1 and key = $2",
        project.uuid(),
        key,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same key (or id) with another body.
pub fn reused() -> Error {
    Problem::new(
        422,
        "idempotency_key_reused",
        "Idempotency key reused",
        "this `Idempotency-Key` or `id` was used before with another body; a new call needs a new one",
    )
    .into()
}

/// Marks an answer as a repeat.
pub fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}
