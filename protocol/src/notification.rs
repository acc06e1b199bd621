//! Notifications: an e-mail or a WhatsApp link, from a template or with a text of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::check::{self, Errors, Fields};
use crate::ids::NotificationId;
use crate::limits::ATTACHMENTS_MAX;
use crate::problem::FieldError;

/// How a notification travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Channel {
    /// By SMTP.
    Email,
    /// By a wa.me link that a person taps.
    Whatsapp,
}

impl Channel {
    /// The words and what they mean.
    pub const CHOICES: &'static [(&'static str, Self)] =
        &[("email", Self::Email), ("whatsapp", Self::Whatsapp)];

    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Whatsapp => "whatsapp",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|(word, _)| *word == text).map(|(_, channel)| *channel)
    }
}

/// A file that goes along with an e-mail.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// The name that the reader sees.
    pub filename: String,
    /// Its media type, as `application/pdf`.
    pub content_type: String,
    /// The bytes, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Where the hub gets the bytes when it sends, instead of `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For an image within the HTML: `cid:` and this is its address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
}

/// What a caller sends to `POST /v1/notifications`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewNotification {
    /// The id that the caller made, if it did.
    pub id: Option<NotificationId>,
    /// How it travels.
    pub channel: Channel,
    /// An e-mail address, or a phone number with or without its country's prefix.
    pub to: String,
    /// The template's name. A template or its own text, not both.
    pub template: Option<String>,
    /// A version other than the active one.
    pub template_version: Option<i32>,
    /// The locale, as `es-AR`.
    pub locale: Option<String>,
    /// The template's variables.
    pub data: Map<String, Value>,
    /// Its own subject (e-mail).
    pub subject: Option<String>,
    /// Its own HTML (e-mail).
    pub html: Option<String>,
    /// Its own text.
    pub text: Option<String>,
    /// A sender other than the default, as `Shop <shop@example.com>`.
    pub from: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// How to get no more of these (e-mail): an `https://` or `mailto:` address for the header `List-Unsubscribe`.
    pub list_unsubscribe: Option<String>,
    /// Files (e-mail).
    pub attachments: Vec<Attachment>,
    /// Not to be sent before this time.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub send_at: Option<DateTime<Utc>>,
    /// Never to be sent after this time.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// The shop's own notes, returned as they are.
    pub metadata: Map<String, Value>,
}

impl NewNotification {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let notification = Fields::of(body, &mut errors).and_then(|mut fields| {
            let id = fields.optional("id", check::id);
            let channel = fields.required("channel", check::one_of(Channel::CHOICES));
            let to = fields.required("to", |value| match channel {
                Some(Channel::Email) => check::email(value),
                _ => check::line(3, 64)(value),
            });
            let template = fields.optional("template", template_name);
            let template_version =
                fields.optional("template_version", check::integer(1, i64::from(i32::MAX)));
            let locale = fields.optional("locale", locale);
            let data = fields.optional("data", check::object).unwrap_or_default();
            let subject = fields.optional("subject", check::line(1, 998));
            let html = fields.optional("html", check::text(1, 1_000_000));
            let text = fields.optional("text", check::text(1, 200_000));
            let from = fields.optional("from", mailbox);
            let reply_to = fields.optional("reply_to", mailbox);
            let list_unsubscribe = fields.optional("list_unsubscribe", unsubscribe_address);
            let attachments = attachments(&mut fields);
            let send_at = fields.optional("send_at", check::timestamp);
            let expires_at = fields.optional("expires_at", check::timestamp);
            let order_id = fields.optional("order_id", check::reference);
            let metadata = fields.optional("metadata", check::object).unwrap_or_default();
            check_content(&mut fields, channel);
            if let (Some(send_at), Some(expires_at)) = (send_at, expires_at)
                && expires_at <= send_at
            {
                fields.refuse("expires_at", "must be later than `send_at`");
            }
            fields.finish();
            Some(Self {
                id,
                channel: channel?,
                to: to?,
                template,
                template_version: template_version.and_then(|version| i32::try_from(version).ok()),
                locale,
                data,
                subject,
                html,
                text,
                from,
                reply_to,
                list_unsubscribe,
                attachments,
                send_at,
                expires_at,
                order_id,
                metadata,
            })
        });
        errors.finish(notification)
    }
}

/// A template or its own text, whole, and nothing that the channel has no place for.
fn check_content(fields: &mut Fields<'_, '_>, channel: Option<Channel>) {
    let own: Vec<&str> = ["subject", "html", "text"].into_iter().filter(|name| fields.has(name)).collect();
    if fields.has("template") {
        for name in own {
            fields.refuse(name, "cannot go with `template`: send a template or its own text, not both");
        }
    } else {
        if fields.has("template_version") {
            fields.refuse("template_version", "needs `template`");
        }
        match channel {
            Some(Channel::Email) if !fields.has("subject") => {
                fields.refuse("subject", "is required in an e-mail without `template`");
            }
            Some(Channel::Email) if !fields.has("html") && !fields.has("text") => {
                fields.refuse("text", "`text`, `html` or both are required in an e-mail without `template`");
            }
            Some(Channel::Whatsapp) if !fields.has("text") => {
                fields.refuse("text", "is required in a WhatsApp notification without `template`");
            }
            _ => {}
        }
    }
    if channel == Some(Channel::Whatsapp) {
        for name in ["subject", "html", "from", "reply_to", "list_unsubscribe", "attachments"] {
            if fields.has(name) {
                fields.refuse(name, "has no place in a WhatsApp notification");
            }
        }
    }
}

fn attachments(fields: &mut Fields<'_, '_>) -> Vec<Attachment> {
    let mut total = 0usize;
    let attachments = fields.list("attachments", 20, |fields| {
        let filename = fields.required("filename", check::line(1, 255));
        let content_type = fields.required("content_type", check::line(3, 127));
        let url = fields.optional("url", check::web_url);
        let content_id = fields.optional("content_id", content_id);
        let content = fields.optional("content", |value| {
            let text = value.as_str().ok_or("must be a base64 string")?;
            let bytes = STANDARD.decode(text).map_err(|_| "must be base64, padded, without line breaks")?;
            total += bytes.len();
            Ok(text.to_owned())
        });
        match (fields.has("content"), fields.has("url")) {
            (true, true) => fields.refuse("url", "cannot go with `content`: send one of them"),
            (false, false) => fields.refuse("content", "is required, or `url`"),
            _ => {}
        }
        let content = content.unwrap_or_default();
        Some(Attachment { filename: filename?, content_type: content_type?, content, url, content_id })
    });
    if total > ATTACHMENTS_MAX {
        fields.refuse(
            "attachments",
            format!("may have at most {ATTACHMENTS_MAX} bytes together once decoded, not {total}"),
        );
    }
    attachments
}

/// The rule for template names: lower-case letters, digits, `_`, `-` and `.`, at most 64.
pub fn template_name(value: &Value) -> Result<String, String> {
    let name = check::line(1, 64)(value)?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b));
    if plain {
        Ok(name)
    } else {
        Err("must have lower-case letters, digits, `_`, `-` and `.` only".to_owned())
    }
}

/// The rule for locales: `es` or `es-AR`.
pub fn locale(value: &Value) -> Result<String, String> {
    let text = check::line(2, 11)(value)?;
    let (language, region) = text.split_once('-').map_or((text.as_str(), None), |(l, r)| (l, Some(r)));
    let language_ok = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    let region_ok = region.is_none_or(|region| {
        region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase())
            || region.len() == 3 && region.bytes().all(|b| b.is_ascii_digit())
    });
    if language_ok && region_ok { Ok(text) } else { Err("must be a locale as `es` or `es-AR`".to_owned()) }
}

fn content_id(value: &Value) -> Result<String, String> {
    let text = check::line(1, 128)(value)?;
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b));
    if plain { Ok(text) } else { Err("must have letters, digits, `.`, `_`, `@` and `-` only".to_owned()) }
}

fn unsubscribe_address(value: &Value) -> Result<String, String> {
    let text = check::line(8, 1_000)(value)?;
    let lower = text.to_ascii_lowercase();
    let known = lower.starts_with("https://") || lower.starts_with("mailto:");
    if known && text.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b)) {
        Ok(text)
    } else {
        Err("must be an address that begins with `https://` or `mailto:`".to_owned())
    }
}

/// The rule for `from` and `reply_to`: an address, alone or as `Name <address>`.
fn mailbox(value: &Value) -> Result<String, String> {
    let text = check::line(3, 320)(value)?;
    let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text.as_str(),
    };
    check::email(&Value::String(address.to_owned()))
        .map_err(|_| "must be an address, as `ana@example.com` or `Ana <ana@example.com>`".to_owned())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(body: &Value) -> Vec<String> {
        NewNotification::parse(body)
            .map_or_else(|errors| errors.into_iter().map(|e| e.pointer).collect(), |_| Vec::new())
    }

    #[test]
    fn a_templated_mail_and_a_text_of_its_own_are_read() {
        let mail = json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "data": {"order_id": "A-1"}});
        assert_eq!(NewNotification::parse(&mail).unwrap().template.as_deref(), Some("order_confirmation"));
        assert!(
            pointers(&json!({"channel": "whatsapp", "to": "+54 9 11 2345-6789", "text": "Hola"})).is_empty()
        );
    }

    #[test]
    fn a_template_and_a_text_exclude_each_other() {
        let base = json!({"channel": "email", "to": "ana@example.com"});
        assert_eq!(pointers(&base), ["/subject"]);
        let both = json!({"channel": "email", "to": "ana@example.com", "template": "t", "html": "<p>"});
        assert_eq!(pointers(&both), ["/html"]);
        assert_eq!(
            pointers(&json!({"channel": "whatsapp", "to": "1234", "text": "x", "subject": "y"})),
            ["/subject"]
        );
    }

    #[test]
    fn bad_addresses_and_headers_with_line_breaks_are_refused() {
        for to in [
            "ana",
            "ana@",
            "@example.com",
            "ana@example",
            "a b@example.com",
            "ana@example.com\nBcc: x@y.z",
            "a@b@c.d",
        ] {
            assert_eq!(pointers(&json!({"channel": "email", "to": to, "template": "t"})), ["/to"], "{to}");
        }
        let injected = json!({"channel": "email", "to": "a@b.co", "subject": "x\r\nBcc: y@z.co", "text": "t", "from": "A <a@b.co>\n"});
        assert_eq!(pointers(&injected), ["/subject", "/from"]);
        for address in [
            "https://x.example/>\r\nBcc: y@z.co",
            "http://x.example/",
            "https://x.example/ü",
            "mailto:a@b.co>, <x",
        ] {
            let body =
                json!({"channel": "email", "to": "a@b.co", "template": "t", "list_unsubscribe": address});
            assert_eq!(pointers(&body), ["/list_unsubscribe"], "{address}");
        }
    }

    #[test]
    fn attachments_are_decoded_and_counted() {
        let big = STANDARD.encode(vec![0u8; 4 * 1024 * 1024]);
        let file = |content: &str| json!({"filename": "f.pdf", "content_type": "application/pdf", "content": content});
        let body =
            |files: Value| json!({"channel": "email", "to": "a@b.co", "template": "t", "attachments": files});
        assert!(pointers(&body(json!([file(&big)]))).is_empty());
        assert_eq!(pointers(&body(json!([file(&big), file(&big)]))), ["/attachments"]);
        assert_eq!(pointers(&body(json!([file("no base64!")]))), ["/attachments/0/content"]);
        let by_url = |extra: Value| {
            let mut file = json!({"filename": "f.png", "content_type": "image/png", "url": "https://cdn.example.com/f.png", "content_id": "logo"});
            file.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            pointers(&body(json!([file])))
        };
        assert!(by_url(json!({})).is_empty());
        assert_eq!(by_url(json!({"content": "eA=="})), ["/attachments/0/url"]);
        assert_eq!(by_url(json!({"url": null})), ["/attachments/0/content"]);
        assert_eq!(by_url(json!({"url": "file:///etc/passwd"})), ["/attachments/0/url"]);
        assert_eq!(by_url(json!({"content_id": "a> <b"})), ["/attachments/0/content_id"]);
    }
}
