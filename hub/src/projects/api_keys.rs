//! API keys: made, shown once, stored as Argon2id hashes, rotated with or without grace.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use trastienda_protocol::api_key::{ApiKey, Mode};
use trastienda_protocol::ids::{Id as _, ProjectId};

/// A key as the database knows it.
#[derive(Debug)]
pub struct StoredKey {
    /// The project that it opens.
    pub project_id: ProjectId,
    /// Argon2id, PHC string.
    pub secret_hash: String,
    /// When its grace ends; `None` for the current key.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Argon2id with OWASP's smallest recommended memory (19 MiB, 2 passes): the secret has 256 random bits,
/// so the hash guards a stolen database and not a weak password.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

/// Hashes a key's secret. Takes tens of milliseconds: call it on a blocking thread.
pub fn hash(key: &ApiKey) -> anyhow::Result<String> {
    Ok(argon2()
        .hash_password(key.secret().as_bytes())
        .map_err(|error| anyhow::anyhow!("argon2: {error}"))?
        .to_string())
}

/// Whether a secret fits a hash. Takes tens of milliseconds: call it on a blocking thread.
pub fn fits(key: &ApiKey, secret_hash: &str) -> bool {
    PasswordHash::new(secret_hash)
        .is_ok_and(|hash| argon2().verify_password(key.secret().as_bytes(), &hash).is_ok())
}

/// Makes a key and its hash, off the async threads.
pub async fn generate(mode: Mode) -> anyhow::Result<(ApiKey, String)> {
    tokio::task::spawn_blocking(move || {
        let key = ApiKey::generate(mode)?;
        let hash = hash(&key)?;
        Ok((key, hash))
    })
    .await?
}

/// Stores a key as the project's current one.
pub(crate) async fn insert_key(
    conn: &mut PgConnection,
    project: ProjectId,
    key: &ApiKey,
    secret_hash: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into api_keys (key_id, project_id, secret_hash, last_four, created_at)
        values ($1, $2, $3, $4, $5)
        "#,
        key.key_id(),
        project.uuid(),
        secret_hash,
        key.last_four(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the project's keys: the current one after its grace, an older one in grace at once.
pub(crate) async fn expire_keys(
    conn: &mut PgConnection,
    project: ProjectId,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!("delete from api_keys where project_id = $1 and expires_at is not null", project.uuid())
        .execute(&mut *conn)
        .await?;
    if grace.is_zero() {
        sqlx::query!("delete from api_keys where project_id = $1", project.uuid()).execute(conn).await?;
    } else {
        sqlx::query!(
            "update api_keys set expires_at = $2 where project_id = $1",
            project.uuid(),
            now + grace
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// The key with this id, unless its grace is over.
pub(crate) async fn find_key(
    conn: &mut PgConnection,
    key_id: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<StoredKey>> {
    let row = sqlx::query!(
        r#"
        select project_id, secret_hash, expires_at
        from api_keys
        where key_id = $1 and (expires_at is null or expires_at > $2)
        "#,
        key_id,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| StoredKey {
        project_id: ProjectId::from_uuid(row.project_id),
        secret_hash: row.secret_hash,
        expires_at: row.expires_at,
    }))
}

/// Notes when keys were last used, in seconds since 1970.
pub(super) async fn write_uses(db: &sqlx::PgPool, key_ids: &[String], seconds: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update api_keys k
        set last_used_at = greatest(k.last_used_at, to_timestamp(used.at))
        from unnest($1::text[], $2::bigint[]) as used (key_id, at)
        where k.key_id = used.key_id
        "#,
        key_ids,
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_fits_and_the_hash_is_argon2id() {
        let key = ApiKey::generate(Mode::Live).unwrap();
        let hash = hash(&key).unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains(key.secret()));
        assert!(fits(&key, &hash));
        assert!(!fits(&ApiKey::generate(Mode::Live).unwrap(), &hash));
    }
}
