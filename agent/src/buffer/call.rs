//! The words of the buffer: what goes in, what comes out, what can go wrong.

use super::shared::Hold;
use bytes::Bytes;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::ids::{EventId, Id as _, NotificationId, PaymentId};
use uuid::Uuid;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced to the disk: outlives a power cut.
    Disk,
    /// Handed to the operating system: outlives the agent, not a power cut.
    Process,
}

impl Durability {
    /// Reads the word of the setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "disk" => Some(Self::Disk),
            "process" => Some(Self::Process),
            _ => None,
        }
    }
}

/// When new calls are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of calls kept, dead letters included.
    pub max_bytes: u64,
    /// Calls kept, dead letters included.
    pub max_rows: u64,
    /// Bytes that must stay free on the file system. `None`: a twentieth of it, at most 256 MiB.
    pub min_free: Option<u64>,
}

impl Limits {
    /// Why another call of so many bytes is not taken, if it is not.
    pub(super) fn refusal(&self, totals: Totals, bytes: u64, disk: Disk) -> Option<FullReason> {
        if totals.rows + totals.dead_letters >= self.max_rows {
            return Some(FullReason::Rows(self.max_rows));
        }
        if totals.bytes + bytes > self.max_bytes {
            return Some(FullReason::Bytes(self.max_bytes));
        }
        let min_free = self.min_free_of(disk);
        (disk.free < min_free).then_some(FullReason::Disk { free: disk.free, min_free })
    }

    /// What must stay free on this disk.
    pub(crate) fn min_free_of(&self, disk: Disk) -> u64 {
        self.min_free.unwrap_or((disk.size / 20).min(256 << 20))
    }

    /// How full the buffer is, in hundredths of the limit that is nearest.
    pub(crate) fn percent(&self, totals: Totals) -> u64 {
        let part = |used: u64, max: u64| used.saturating_mul(100).checked_div(max).unwrap_or(100);
        part(totals.rows + totals.dead_letters, self.max_rows).max(part(totals.bytes, self.max_bytes))
    }
}

/// The file system that the buffer is on, as last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// All its bytes.
    pub(crate) size: u64,
    /// Those that this process could still write.
    pub(crate) free: u64,
}

/// A call to be taken, checked.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// What it creates.
    pub kind: Kind,
    /// The caller's id, or one made for it.
    pub id: Uuid,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The order that it is about: what keeps its order.
    pub order_id: Option<String>,
    /// Now, in milliseconds.
    pub accepted_at: i64,
    /// After this it is never sent, in milliseconds.
    pub expires_at: Option<i64>,
    /// Keyed digest of the body.
    pub fingerprint: [u8; 32],
    /// The caller's bytes.
    pub body: Bytes,
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The id under which the hub will know it.
    pub id: Uuid,
    /// When it was first accepted, in milliseconds.
    pub accepted_at: i64,
    /// Whether it had been accepted before.
    pub replayed: bool,
    /// Whether its time to be sent is over by now.
    pub expired: bool,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullReason {
    /// The rows' limit.
    Rows(u64),
    /// The bytes' limit.
    Bytes(u64),
    /// What must stay free on the file system.
    Disk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must be.
        min_free: u64,
    },
}

impl std::fmt::Display for FullReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows(max) => write!(f, "the buffer holds its {max} calls (TRASTIENDA_BUFFER_MAX_ROWS)"),
            Self::Bytes(max) => write!(f, "the buffer holds its {max} bytes (TRASTIENDA_BUFFER_MAX_BYTES)"),
            Self::Disk { free, min_free } => write!(
                f,
                "the disk has {free} bytes left, and {min_free} must stay free (TRASTIENDA_BUFFER_MIN_FREE)"
            ),
        }
    }
}

/// Why a call is not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcceptError {
    /// The id or the idempotency key belongs to a call with another body.
    #[error("the id or the idempotency key belongs to another call")]
    Reused,
    /// Its time to be sent is over already.
    #[error("its time to be sent is over")]
    Expired,
    /// There is no room.
    #[error("{0}")]
    Full(FullReason),
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The database did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    code: Option<rusqlite::ErrorCode>,
    message: String,
}

impl StorageError {
    pub(super) fn stopped() -> Self {
        Self { code: None, message: "the buffer is stopping".to_owned() }
    }

    pub(super) fn no_database() -> Self {
        Self { code: None, message: "the buffer was damaged and no new one can be started".to_owned() }
    }

    /// Whether the file's content is not a sound database.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(self.code, Some(DatabaseCorrupt | NotADatabase))
    }

    /// Whether the disk fails.
    pub(super) fn is_io(&self) -> bool {
        matches!(self.code, Some(rusqlite::ErrorCode::SystemIoFailure))
    }

    /// Whether the disk is full or fails.
    pub fn is_disk(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
        matches!(self.code, Some(DiskFull | SystemIoFailure | CannotOpen))
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self { code: error.sqlite_error_code(), message: error.to_string() }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls that wait for the hub.
    pub rows: u64,
    /// Bytes of those and of the dead letters.
    pub bytes: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// A call that waits for the hub.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its place in the order of acceptance.
    pub seq: i64,
    /// What it creates.
    pub kind: Kind,
    /// The id under which it was acknowledged.
    pub id: Uuid,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// When it was acknowledged, in milliseconds.
    pub accepted_at: i64,
    /// The caller's bytes.
    pub body: Vec<u8>,
}

impl Pending {
    /// The id as callers and the hub write it.
    pub fn public_id(&self) -> String {
        public_id(self.kind, self.id)
    }
}

/// An id as callers and the hub write it.
pub fn public_id(kind: Kind, id: Uuid) -> String {
    match kind {
        Kind::Event => EventId::from_uuid(id).to_string(),
        Kind::Notification => NotificationId::from_uuid(id).to_string(),
        Kind::Payment => PaymentId::from_uuid(id).to_string(),
    }
}

/// What an id that callers and the hub write names.
pub fn parse_id(text: &str) -> Option<(Kind, Uuid)> {
    let event = || EventId::parse(text).ok().map(|id| (Kind::Event, id.uuid()));
    let notification = || NotificationId::parse(text).ok().map(|id| (Kind::Notification, id.uuid()));
    let payment = || PaymentId::parse(text).ok().map(|id| (Kind::Payment, id.uuid()));
    event().or_else(notification).or_else(payment)
}

/// Which calls go together: each lane has a batch of its own on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Payments and mail, and before them the older events of their orders.
    Urgent,
    /// Events, oldest first.
    Backlog,
    /// Events that came after a place in the order of acceptance, while older ones still wait.
    Fresh {
        /// That place.
        after: i64,
    },
}

/// What a lane asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Which lane.
    pub lane: Lane,
    /// Now, in milliseconds.
    pub now: i64,
    /// Calls in the batch at most.
    pub max_rows: usize,
    /// Bytes of bodies at most, unless a single one has more.
    pub max_bytes: usize,
    /// Calls acknowledged before this are over, in milliseconds.
    pub not_before: Option<i64>,
}

/// What can be sent now. Its rows are in no other claim until it is dropped.
#[derive(Debug, Default)]
pub struct Claim {
    /// In order.
    pub operations: Vec<Pending>,
    /// Rows whose time to be sent is over.
    pub expired: Vec<i64>,
    /// When the first of the postponed ones is due, in milliseconds.
    pub next_run_at: Option<i64>,
    /// There are rows that were not looked at.
    pub more: bool,
    /// There are rows that wait for nothing but a row of this claim, the one before them in their order.
    pub behind: bool,
    pub(super) hold: Option<Hold>,
}

/// What became of calls out of a damaged database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Back in the buffer.
    pub recovered: u64,
    /// Known already.
    pub known: u64,
}

/// Why something is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The hub refused it for good.
    Refused,
    /// It failed alone too often.
    Parked,
    /// Its time to be sent was over.
    Expired,
}

impl Reason {
    /// The word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Parked => "parked",
            Self::Expired => "expired",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Refused, Self::Parked, Self::Expired].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Which row.
    pub seq: i64,
    /// What became of it.
    pub settled: Settled,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The hub has it.
    Delivered,
    /// It goes to the dead letters, with the hub's last answer.
    Dead {
        /// Why.
        reason: Reason,
        /// The hub's answer, a JSON document.
        answer: Option<String>,
        /// The hub's version (perhaps unknown, then empty), when nothing but fields that it does not
        /// know was wrong: another version is asked again.
        hub_version: Option<String>,
    },
    /// It stays, and is not tried before `run_at`.
    Deferred {
        /// In milliseconds.
        run_at: i64,
        /// Counted towards the attempts after which it is parked.
        failed_alone: bool,
        /// The hub's answer, a JSON document.
        answer: Option<String>,
    },
}

/// A call that will not be sent unless a person says so.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its place in the order of acceptance.
    pub seq: i64,
    /// What it would have created.
    pub kind: Kind,
    /// The id under which it was acknowledged.
    pub id: Uuid,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// When it was acknowledged, in milliseconds.
    pub accepted_at: i64,
    /// When it became a dead letter, in milliseconds.
    pub failed_at: i64,
    /// How often it had failed alone.
    pub attempts: i64,
    /// Why.
    pub reason: Reason,
    /// The hub's last answer.
    pub answer: Option<serde_json::Value>,
}
