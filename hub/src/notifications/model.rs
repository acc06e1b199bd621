//! A notification as it is stored and shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trastienda_protocol::ids::NotificationId;
use trastienda_protocol::notification::{Attachment, Channel};
use utoipa::ToSchema;

/// Why a notification stands where it stands, beneath its status.
pub mod detail {
    /// The SMTP server refused it for good.
    pub const REJECTED: &str = "rejected";
    /// It was tried for a day.
    pub const GAVE_UP: &str = "gave_up";
    /// Its `expires_at` came first.
    pub const EXPIRED: &str = "expired";
    /// The address is on the project's suppression list.
    pub const SUPPRESSED: &str = "suppressed";
    /// The shop cancelled it.
    pub const CANCELLED: &str = "cancelled";
    /// An agent had acknowledged it, and the rules refuse it.
    pub const REFUSED: &str = "refused";
    /// No message could be made of it.
    pub const INVALID: &str = "invalid";
    /// A person opened the WhatsApp link.
    pub const OPENED: &str = "opened";
}

/// What is sent by e-mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailPayload {
    /// The subject, one line.
    pub subject: String,
    /// The HTML part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The plain-text part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The sender, when it is not the hub's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where answers go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// How to get no more of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_unsubscribe: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// What a person sends by WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatsappPayload {
    /// The message.
    pub text: String,
    /// The wa.me address.
    pub link: String,
}

/// The addresses of a WhatsApp notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WhatsappLink {
    /// The wa.me address itself.
    pub link: String,
    /// The same, and the hub notes that somebody opened it.
    pub open_url: String,
}

/// The answer to an accepted notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationAccepted {
    /// Its id.
    pub id: NotificationId,
    /// How it travels.
    pub channel: Channel,
    /// `pending`; in a repeat, how it stands now.
    pub status: String,
    /// For WhatsApp: the addresses to tap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsappLink>,
}

/// A notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// How it travels.
    pub channel: Channel,
    /// An e-mail address or an E.164 number.
    pub to: String,
    /// `pending`, `sent` or `failed`.
    pub status: String,
    /// Beneath the status: `opened`, `rejected`, `gave_up`, `expired`, `suppressed`, `cancelled`, `refused`, `invalid`.
    pub detail: Option<String>,
    /// The template's name.
    pub template: Option<String>,
    /// The version that was rendered; 0 is a template that comes with the hub.
    pub template_version: Option<i32>,
    /// The locale of the template that was rendered.
    pub locale: Option<String>,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// The shop's own notes.
    pub metadata: Value,
    /// For WhatsApp: the addresses to tap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsappLink>,
    /// Attempts so far.
    pub attempt_count: i32,
    /// When the next attempt is due.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it is too late.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Why it was refused after an agent had acknowledged it.
    pub problem: Option<Value>,
    /// When the hub stored it.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// When it was sent or failed.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub finished_at: Option<DateTime<Utc>>,
    /// When its address and contents were deleted, the plan's time being over.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub blanked_at: Option<DateTime<Utc>>,
}

/// One attempt at sending.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attempt {
    /// When it began.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub at: DateTime<Utc>,
    /// Its number.
    pub attempt: i32,
    /// `sent` or `failed`.
    pub status: String,
    /// The server that was asked.
    pub server: Option<String>,
    /// Whether the server may have taken the mail without our hearing of it: what is sent again has the same Message-ID.
    pub is_doubtful: bool,
    /// The SMTP server's code.
    pub response_code: Option<i32>,
    /// The SMTP server's answer.
    pub response: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i32,
}

/// A notification with its content and every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationDetail {
    /// The notification.
    #[serde(flatten)]
    pub notification: Notification,
    /// What is sent, without the attachments' bytes.
    pub content: Value,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}
