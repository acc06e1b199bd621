//! Verifying API keys: Argon2id once per key and process, a keyed digest in memory after that.
//!
//! - What is remembered is trusted until a key or a project changes anywhere (`queue::listen` hears of it). After
//!   that, and always while the listening connection is down, the database is asked first; a key whose hash is
//!   still the same needs no Argon2 again, so that one change does not make every shop's next call slow.
//! - The key id is public, so wrong secrets are throttled per key id before Argon2 runs, and one verification
//!   runs at a time per key id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use subtle::ConstantTimeEq as _;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};
use trastienda_protocol::api_key::ApiKey;
use trastienda_protocol::mac::hmac_sha256;

use super::api_keys;
use super::model::ProjectContext;
use super::store;

/// Wrong secrets for one key id within [`WINDOW`] after which Argon2 is not run any more.
const WRONG_MAX: u32 = 10;
const WINDOW: TimeDelta = TimeDelta::minutes(1);
/// Argon2 runs at once in one process.
const HASHES_MAX: usize = 2;

/// Why a key is not taken.
#[derive(Debug)]
pub enum Rejected {
    /// Unknown, rotated away, or its secret is wrong.
    Unknown,
    /// The key is right and its project is not active.
    Inactive,
    /// Too many wrong secrets for this key id; seconds to wait.
    Throttled(u64),
    /// The database failed.
    Failed(anyhow::Error),
}

struct Verified {
    digest: [u8; 32],
    secret_hash: String,
    expires_at: Option<DateTime<Utc>>,
    context: Arc<ProjectContext>,
    generation: u64,
    /// When it was last used, and what of that is written, in seconds since 1970.
    used: Uses,
}

/// Noted with every request, written once in a while.
#[derive(Debug, Default)]
struct Uses {
    last: AtomicI64,
    written: AtomicI64,
}

#[derive(Default)]
struct Gate {
    turn: tokio::sync::Mutex<()>,
    wrong: Mutex<(Option<DateTime<Utc>>, u32)>,
}

/// The keys that this process has verified.
pub struct Verifier {
    digest_key: [u8; 32],
    verified: RwLock<HashMap<String, Arc<Verified>>>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    generation: AtomicU64,
    listening: AtomicBool,
    changed: Notify,
    hashes: Semaphore,
}

impl Verifier {
    /// A verifier that knows no key yet.
    pub fn new() -> anyhow::Result<Self> {
        let mut digest_key = [0u8; 32];
        getrandom::fill(&mut digest_key)?;
        Ok(Self {
            digest_key,
            verified: RwLock::default(),
            gates: Mutex::default(),
            generation: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            changed: Notify::new(),
            hashes: Semaphore::new(HASHES_MAX),
        })
    }

    /// Trusts nothing that it remembers until the database has been asked: a key or a project changed somewhere.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Returns at the next [`Verifier::forget`]: whoever was let in for longer looks again.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Says whether changes elsewhere are being heard of.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::SeqCst);
        if !listening {
            self.forget();
        }
    }

    /// The project that a key opens.
    pub async fn verify(
        &self,
        db: &PgPool,
        key: &ApiKey,
        now: DateTime<Utc>,
    ) -> Result<Arc<ProjectContext>, Rejected> {
        let digest = hmac_sha256(&self.digest_key, &[key.secret().as_bytes()]);
        if let Some(verified) = self.trusted(key, &digest, now) {
            verified.used.last.store(now.timestamp(), Ordering::Relaxed);
            return active(&verified.context);
        }
        // Seldom, and large: it is not to be part of every request that waits for something.
        Box::pin(self.look_up(db, key, digest, now)).await
    }

    /// Asks the database, and Argon2 if the secret was never seen to fit.
    async fn look_up(
        &self,
        db: &PgPool,
        key: &ApiKey,
        digest: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Arc<ProjectContext>, Rejected> {
        let gate = self.gate(key.key_id());
        let _turn = gate.turn.lock().await;
        if let Some(verified) = self.trusted(key, &digest, now) {
            verified.used.last.store(now.timestamp(), Ordering::Relaxed);
            return active(&verified.context);
        }
        let generation = self.generation.load(Ordering::SeqCst);
        let mut conn = db.acquire().await.map_err(|error| Rejected::Failed(error.into()))?;
        let stored = api_keys::find_key(&mut conn, key.key_id(), now)
            .await
            .map_err(|error| Rejected::Failed(error.into()))?;
        let Some(stored) = stored else {
            self.verified.write().unwrap_or_else(PoisonError::into_inner).remove(key.key_id());
            return Err(Rejected::Unknown);
        };
        let known =
            self.remembered(key, &digest, now).is_some_and(|known| known.secret_hash == stored.secret_hash);
        if !known {
            gate.allow(now)?;
            drop(conn);
            if !self.fits(key.clone(), stored.secret_hash.clone()).await? {
                gate.count_wrong(now);
                return Err(Rejected::Unknown);
            }
            conn = db.acquire().await.map_err(|error| Rejected::Failed(error.into()))?;
        }
        let context = store::find_context(&mut conn, stored.project_id).await.map_err(Rejected::Failed)?;
        let Some(context) = context.map(Arc::new) else { return Err(Rejected::Unknown) };
        let verified = Verified {
            digest,
            secret_hash: stored.secret_hash,
            expires_at: stored.expires_at,
            context: context.clone(),
            generation,
            used: Uses { last: AtomicI64::new(now.timestamp()), written: AtomicI64::new(0) },
        };
        self.verified
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.key_id().to_owned(), Arc::new(verified));
        active(&context)
    }

    /// Writes when keys were last used, as far as that is news.
    pub async fn write_uses(&self, db: &PgPool) -> sqlx::Result<()> {
        let known: Vec<(String, Arc<Verified>)> = {
            let verified = self.verified.read().unwrap_or_else(PoisonError::into_inner);
            verified.iter().map(|(key_id, verified)| (key_id.clone(), verified.clone())).collect()
        };
        let news = known.iter().filter_map(|(key_id, verified)| {
            let last = verified.used.last.load(Ordering::Relaxed);
            (last > verified.used.written.load(Ordering::Relaxed)).then_some((key_id.clone(), last))
        });
        let (key_ids, seconds): (Vec<String>, Vec<i64>) = news.unzip();
        if key_ids.is_empty() {
            return Ok(());
        }
        api_keys::write_uses(db, &key_ids, &seconds).await?;
        for (_, verified) in known {
            let last = verified.used.last.load(Ordering::Relaxed);
            // What came meanwhile is at most as late as the next writing.
            verified.used.written.store(last, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is remembered, if nothing has changed since.
    fn trusted(&self, key: &ApiKey, digest: &[u8; 32], now: DateTime<Utc>) -> Option<Arc<Verified>> {
        let known = self.remembered(key, digest, now)?;
        let current = known.generation == self.generation.load(Ordering::SeqCst);
        (current && self.listening.load(Ordering::SeqCst)).then_some(known)
    }

    fn remembered(&self, key: &ApiKey, digest: &[u8; 32], now: DateTime<Utc>) -> Option<Arc<Verified>> {
        let known =
            self.verified.read().unwrap_or_else(PoisonError::into_inner).get(key.key_id()).cloned()?;
        let in_time = known.expires_at.is_none_or(|expires_at| expires_at > now);
        (in_time && bool::from(known.digest.ct_eq(digest))).then_some(known)
    }

    async fn fits(&self, key: ApiKey, secret_hash: String) -> Result<bool, Rejected> {
        let _permit = self.hashes.acquire().await.map_err(|error| Rejected::Failed(error.into()))?;
        tokio::task::spawn_blocking(move || api_keys::fits(&key, &secret_hash))
            .await
            .map_err(|error| Rejected::Failed(error.into()))
    }

    fn gate(&self, key_id: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        // Made-up key ids must not grow the map for ever; one in use is kept by its holder.
        if gates.len() > 10_000 {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.has_wrong());
        }
        gates.entry(key_id.to_owned()).or_default().clone()
    }
}

impl Gate {
    fn allow(&self, now: DateTime<Utc>) -> Result<(), Rejected> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        match *wrong {
            (Some(since), count) if count >= WRONG_MAX && now - since < WINDOW => {
                let left = (WINDOW - (now - since)).num_seconds();
                Err(Rejected::Throttled(u64::try_from(left).unwrap_or(0).max(1)))
            }
            _ => Ok(()),
        }
    }

    fn count_wrong(&self, now: DateTime<Utc>) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        *wrong = match *wrong {
            (Some(since), count) if now - since < WINDOW => (Some(since), count + 1),
            _ => (Some(now), 1),
        };
    }

    fn has_wrong(&self) -> bool {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).1 > 0
    }
}

fn active(context: &Arc<ProjectContext>) -> Result<Arc<ProjectContext>, Rejected> {
    if context.project.is_active { Ok(context.clone()) } else { Err(Rejected::Inactive) }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}
