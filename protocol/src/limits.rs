//! The sizes past which a body is refused, in bytes unless the name says otherwise.

use chrono::TimeDelta;

/// A body that has no rule of its own.
pub const BODY_MAX: usize = 256 * 1024;
/// A notification, attachments included.
pub const NOTIFICATION_MAX: usize = 10 * 1024 * 1024;
/// A notification's attachments together, once decoded.
pub const ATTACHMENTS_MAX: usize = 7 * 1024 * 1024;
/// A batch, counted while it is inflated.
pub const BATCH_MAX: usize = 16 * 1024 * 1024;
/// Operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 1_000;
/// A notice from a payment provider.
pub const PROVIDER_NOTICE_MAX: usize = 32 * 1024;
/// How far ahead of the receiver's clock a client-made id may be.
pub const ID_AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);
/// Characters in an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Whether a text can be an `Idempotency-Key`: 1 to 255 printable ASCII characters.
pub fn is_idempotency_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDEMPOTENCY_KEY_MAX && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}
