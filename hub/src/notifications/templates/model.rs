//! Templates, as callers write and see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::{Id as _, TemplateId};
use trastienda_protocol::notification::{Channel, locale};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;

use super::DEFAULT_LOCALE;
use crate::notifications::store::TemplateRow;

/// Characters of a part.
const PART_MAX: usize = 200_000;

/// What a caller sends to `PUT /v1/templates/{name}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateBody {
    /// What it is for.
    pub channel: Channel,
    /// Its locale, `es` when absent.
    pub locale: String,
    /// The subject (e-mail).
    pub subject: Option<String>,
    /// The HTML part (e-mail).
    pub html: Option<String>,
    /// The HTML part written in MJML, instead of `html` (e-mail).
    pub mjml: Option<String>,
    /// The plain text; in an e-mail it is made from the HTML when absent.
    pub text: Option<String>,
    /// Variables with which it must render before it becomes active, and which a preview uses. Absent: those of the
    /// version before it.
    pub sample: Map<String, Value>,
}

impl TemplateBody {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let template = Fields::of(body, &mut errors).and_then(|mut fields| {
            let channel = fields.required("channel", check::one_of(Channel::CHOICES));
            let locale = fields.optional("locale", locale).unwrap_or_else(|| DEFAULT_LOCALE.to_owned());
            let subject = fields.optional("subject", check::line(1, 998));
            let html = fields.optional("html", check::text(1, PART_MAX));
            let mjml = fields.optional("mjml", check::text(1, PART_MAX));
            let text = fields.optional("text", check::text(1, PART_MAX));
            let sample = fields.optional("sample", check::object).unwrap_or_default();
            match channel {
                Some(Channel::Email) => {
                    if !fields.has("subject") {
                        fields.refuse("subject", "is required in an e-mail's template");
                    }
                    if !["html", "mjml", "text"].into_iter().any(|name| fields.has(name)) {
                        fields.refuse(
                            "html",
                            "`html` or `mjml`, `text`, or both are required in an e-mail's template",
                        );
                    }
                    if fields.has("html") && fields.has("mjml") {
                        fields.refuse("mjml", "cannot go with `html`: it becomes the HTML part");
                    }
                }
                Some(Channel::Whatsapp) => {
                    if !fields.has("text") {
                        fields.refuse("text", "is required in a WhatsApp template");
                    }
                    for name in ["subject", "html", "mjml"] {
                        if fields.has(name) {
                            fields.refuse(name, "has no place in a WhatsApp template");
                        }
                    }
                }
                None => {}
            }
            fields.finish();
            Some(Self { channel: channel?, locale, subject, html, mjml, text, sample })
        });
        errors.finish(template)
    }
}

/// One version of a template.
#[derive(Debug, Serialize, ToSchema)]
pub struct Template {
    /// The version's id; null for a template that comes with the hub.
    pub id: Option<TemplateId>,
    /// The template's name.
    pub name: String,
    /// Its number within the name; 0 is a template that comes with the hub.
    pub version: i32,
    /// Whether it comes with the hub.
    pub builtin: bool,
    /// What it is for.
    pub channel: String,
    /// Its locale.
    pub locale: String,
    /// The subject (e-mail).
    pub subject: Option<String>,
    /// The HTML part (e-mail), as it was written.
    pub html: Option<String>,
    /// The HTML part in MJML (e-mail), as it was written.
    pub mjml: Option<String>,
    /// The plain text.
    pub text: Option<String>,
    /// The variables that it speaks of.
    pub variables: Vec<String>,
    /// The variables of its preview.
    pub sample: Value,
    /// Whether notifications are rendered with it.
    pub active: bool,
    /// The id of the API key that made it.
    pub made_by: Option<String>,
    /// The id of the API key that last made it active.
    pub activated_by: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it last became active.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub activated_at: Option<DateTime<Utc>>,
}

impl From<TemplateRow> for Template {
    fn from(row: TemplateRow) -> Self {
        Self {
            id: Some(TemplateId::from_uuid(row.id)),
            name: row.name,
            version: row.version,
            builtin: false,
            channel: row.channel,
            locale: row.locale,
            subject: row.subject,
            html: row.html,
            mjml: row.mjml,
            text: row.text,
            variables: row.variables,
            sample: row.sample,
            active: row.is_active,
            made_by: row.made_by,
            activated_by: row.activated_by,
            created_at: Some(row.created_at),
            activated_at: row.activated_at,
        }
    }
}

/// One time at which a version became the active one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activated {
    #[serde(skip)]
    pub(crate) id: uuid::Uuid,
    /// The version.
    pub version: i32,
    /// Its channel.
    pub channel: String,
    /// Its locale.
    pub locale: String,
    /// The id of the API key that did it.
    pub activated_by: Option<String>,
    /// When.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
}

/// A template rendered, and not sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// The version that was rendered.
    pub version: i32,
    /// Its locale.
    pub locale: String,
    /// The subject (e-mail).
    pub subject: Option<String>,
    /// The HTML part (e-mail).
    pub html: Option<String>,
    /// The plain text.
    pub text: Option<String>,
}
