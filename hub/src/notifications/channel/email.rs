//! E-mail: from a request to a stored payload, and from that to a message for the SMTP server.
//!
//! Every header is written by lettre from typed parts, and every part was one line when it was accepted: no value
//! can begin another header.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment as FilePart, Mailbox, Message, MultiPart, SinglePart};
use sqlx::PgConnection;
use trastienda_protocol::ids::Id as _;
use trastienda_protocol::notification::{Attachment, NewNotification};
use trastienda_protocol::problem::FieldError;
use url::Url;

use super::{Channel, Checking};
use crate::app::App;
use crate::http::Result;
use crate::notifications::model::EmailPayload;
use crate::notifications::render::{Rendered, text_of_html};
use crate::notifications::smtp::senders;
use crate::notifications::store::{self, NewRow};
use crate::projects::model::ProjectContext;

/// Mail.
pub(crate) struct Email;

impl Channel for Email {
    type To = String;

    async fn check(checking: Checking<'_>, errors: &mut Vec<FieldError>) -> Result<Option<String>> {
        let Checking { app, conn, context, new, .. } = checking;
        errors.extend(check(new));
        if let Some(from) = &new.from
            && !may_write_as(app, conn, context, from).await?
        {
            let message = "may not be used through this hub's SMTP server: use the project's own domain, add an SMTP account, or ask the operator";
            errors.push(FieldError::new("/from", message));
        }
        for (index, file) in new.attachments.iter().enumerate() {
            let url = file.url.as_deref().and_then(|url| url.parse().ok());
            if let Some(url) = url
                && let Err(refused) = app.outbound.check_url(&url).await
            {
                errors.push(FieldError::new(format!("/attachments/{index}/url"), refused.to_string()));
            }
        }
        Ok(Some(new.to.clone()))
    }

    fn check_texts(_: &NewNotification, rendered: &Rendered) -> Option<FieldError> {
        let is_empty = rendered.subject.as_deref().unwrap_or_default().is_empty();
        is_empty.then(|| FieldError::new("/data", "makes an empty subject"))
    }

    fn fill(
        _: &App,
        row: &mut NewRow,
        new: &NewNotification,
        to: String,
        rendered: Rendered,
    ) -> anyhow::Result<()> {
        row.recipient = to;
        row.payload = serde_json::to_value(payload(new, rendered))?;
        Ok(())
    }
}

/// Through its own accounts a project writes as it likes. What is no address is told elsewhere.
async fn may_write_as(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    from: &str,
) -> Result<bool> {
    let Some(from) = parse_mailbox(from) else { return Ok(true) };
    if store::has_enabled_account(conn, context.project.id).await? {
        return Ok(true);
    }
    let project = (context.project.id.uuid(), context.project.domain.as_str());
    Ok(senders::is_allowed(conn, project, &app.config.mail_from, &from).await?)
}

/// What is wrong with a request's addresses and files beyond their shape.
fn check(new: &NewNotification) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut mailbox = |pointer: &str, text: &str| {
        if parse_mailbox(text).is_none() {
            errors.push(FieldError::new(pointer, "must be an e-mail address that a mail server would take"));
        }
    };
    mailbox("/to", &new.to);
    for (pointer, text) in [("/from", &new.from), ("/reply_to", &new.reply_to)] {
        if let Some(text) = text {
            mailbox(pointer, text);
        }
    }
    for (index, file) in new.attachments.iter().enumerate() {
        // A part of its own kind could claim to be more parts.
        let known = ContentType::parse(&file.content_type).is_ok()
            && !file.content_type.trim_start().to_ascii_lowercase().starts_with("multipart/");
        if !known {
            let pointer = format!("/attachments/{index}/content_type");
            errors.push(FieldError::new(pointer, "must be a media type, as `application/pdf`"));
        }
    }
    errors
}

/// What is stored of a request whose texts are rendered.
fn payload(new: &NewNotification, rendered: Rendered) -> EmailPayload {
    let text = rendered.text.or_else(|| rendered.html.as_deref().map(text_of_html));
    EmailPayload {
        subject: rendered.subject.unwrap_or_default(),
        html: rendered.html,
        text,
        from: new.from.clone(),
        reply_to: new.reply_to.clone(),
        list_unsubscribe: new.list_unsubscribe.clone(),
        attachments: new.attachments.clone(),
    }
}

/// What a message needs besides its payload.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) to: &'a str,
    /// Who writes, if the payload does not say.
    pub(crate) sender: Mailbox,
    pub(crate) message_id: String,
    pub(crate) date: SystemTime,
}

/// Why no message can be made of a payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("`{0}` is not an address that can be written to")]
    Address(&'static str),
    #[error("the attachment {0} cannot be read")]
    Attachment(usize),
    #[error(transparent)]
    Message(#[from] lettre::error::Error),
}

/// The message as it goes to the server.
pub(crate) fn message(
    payload: EmailPayload,
    envelope: Envelope<'_>,
) -> std::result::Result<Message, BuildError> {
    let mailbox = |name, text: &str| parse_mailbox(text).ok_or(BuildError::Address(name));
    let from = match &payload.from {
        Some(from) => mailbox("from", from)?,
        None => Mailbox::new(envelope.sender.name.as_deref().map(one_line), envelope.sender.email),
    };
    let mut builder = Message::builder()
        .from(from)
        .to(mailbox("to", envelope.to)?)
        .subject(one_line(&payload.subject))
        .message_id(Some(envelope.message_id))
        .date(envelope.date)
        .header(AutoSubmitted);
    if let Some(reply_to) = &payload.reply_to {
        builder = builder.reply_to(mailbox("reply_to", reply_to)?);
    }
    if let Some(address) = &payload.list_unsubscribe {
        builder = builder.header(ListUnsubscribe(format!("<{}>", one_line(address))));
    }
    let plain = SinglePart::plain(payload.text.unwrap_or_default());
    let has_html = payload.html.is_some();
    let (inline, files): (Vec<_>, Vec<_>) =
        payload.attachments.iter().enumerate().partition(|(_, file)| has_html && file.content_id.is_some());
    let body = match payload.html {
        Some(html) => {
            let html = SinglePart::html(html);
            let alternative = MultiPart::alternative().singlepart(plain);
            if inline.is_empty() {
                alternative.singlepart(html)
            } else {
                let related = MultiPart::related().singlepart(html);
                alternative.multipart(with_files(related, &inline)?)
            }
        }
        None if files.is_empty() => return Ok(builder.singlepart(plain)?),
        None => MultiPart::mixed().singlepart(plain),
    };
    let whole = if files.is_empty() {
        body
    } else {
        let whole = if has_html { MultiPart::mixed().multipart(body) } else { body };
        with_files(whole, &files)?
    };
    Ok(builder.multipart(whole)?)
}

fn with_files(
    whole: MultiPart,
    files: &[(usize, &Attachment)],
) -> std::result::Result<MultiPart, BuildError> {
    files.iter().try_fold(whole, |whole, (index, file)| {
        let bytes = STANDARD.decode(&file.content).map_err(|_| BuildError::Attachment(*index))?;
        let kind = ContentType::parse(&file.content_type).map_err(|_| BuildError::Attachment(*index))?;
        let name = one_line(&file.filename);
        let part = match &file.content_id {
            Some(id) => FilePart::new_inline_with_name(one_line(id), name),
            None => FilePart::new(name),
        };
        Ok(whole.singlepart(part.body(bytes, kind)))
    })
}

/// What stands in a header stands on one line, whatever a template's variables brought along.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same for every attempt, so that a repeat can be told from a second mail.
pub(crate) fn message_id(id: &str, public_url: &Url) -> String {
    match public_url.domain() {
        Some(domain) => format!("<{id}@trastienda.{domain}>"),
        None => format!("<{id}@trastienda.invalid>"),
    }
}

/// `ana@example.com` or `Ana <ana@example.com>`.
pub(crate) fn parse_mailbox(text: &str) -> Option<Mailbox> {
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
        None => ("", text),
    };
    let name = Some(name).filter(|name| !name.is_empty()).map(str::to_owned);
    Some(Mailbox::new(name, address.parse().ok()?))
}

/// RFC 3834: nobody's out-of-office note should answer.
#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// RFC 2369: how to get no more of these.
#[derive(Debug, Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn formatted(payload: EmailPayload, shop: &str) -> String {
        let envelope = Envelope {
            to: "ana@example.com",
            sender: Mailbox::new(Some(shop.to_owned()), "hub@example.com".parse().unwrap()),
            message_id: message_id("ntf_1", &"https://hub.example.com".parse().unwrap()),
            date: SystemTime::UNIX_EPOCH,
        };
        String::from_utf8(message(payload, envelope).unwrap().formatted()).unwrap()
    }

    fn header_names(message: &str) -> Vec<&str> {
        let head = message.split("\r\n\r\n").next().unwrap();
        head.lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect()
    }

    #[test]
    fn a_message_has_both_parts_its_files_and_a_stable_id() {
        let file = Attachment {
            filename: "factura ñ.pdf".to_owned(),
            content_type: "application/pdf".to_owned(),
            content: STANDARD.encode("%PDF"),
            url: None,
            content_id: None,
        };
        let logo = Attachment {
            filename: "logo.png".to_owned(),
            content_type: "image/png".to_owned(),
            content: STANDARD.encode("PNG"),
            url: None,
            content_id: Some("logo".to_owned()),
        };
        let payload = EmailPayload {
            subject: "¡Gracias!".to_owned(),
            html: Some("<p>Hola</p>".to_owned()),
            text: Some("Hola".to_owned()),
            reply_to: Some("Mates & Cía. <ventas@example.com>".to_owned()),
            list_unsubscribe: Some("https://mates.example.com/baja?a=1".to_owned()),
            attachments: vec![file, logo],
            ..EmailPayload::default()
        };
        let text = formatted(payload, "Mates \"del\" Sur, S.A.");
        assert!(text.contains("Message-ID: <ntf_1@trastienda.hub.example.com>"), "{text}");
        assert!(text.contains("multipart/mixed") && text.contains("multipart/alternative"));
        assert!(text.contains("application/pdf") && text.contains("Auto-Submitted: auto-generated"));
        assert!(text.contains("hub@example.com>"));
        assert!(text.contains("multipart/related") && text.contains("Content-ID: <logo>"), "{text}");
        assert!(text.contains("List-Unsubscribe: <https://mates.example.com/baja?a=1>"), "{text}");
    }

    #[test]
    fn no_field_can_begin_another_header() {
        let nasty = "x\r\nBcc: victim@example.com\r\n\r\nbody";
        let payload = EmailPayload {
            subject: nasty.to_owned(),
            text: Some("Hola".to_owned()),
            attachments: vec![Attachment {
                filename: nasty.to_owned(),
                content_type: "text/plain".to_owned(),
                content: String::new(),
                url: None,
                content_id: Some(nasty.to_owned()),
            }],
            html: Some("<p>Hola</p>".to_owned()),
            list_unsubscribe: Some(nasty.to_owned()),
            ..EmailPayload::default()
        };
        let text = formatted(payload, nasty);
        assert!(!header_names(&text).contains(&"Bcc"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_a_field_the_headers_are_ours(
            subject in "\\PC{0,80}|[\r\n\t :a-zB<>@]{0,60}", shop in "\\PC{0,40}|[\r\n :a-z<>@\",]{0,40}",
            name in "\\PC{0,40}|[\r\n :a-z\";=/]{0,40}", address in "[\r\n a-z:/<>.@]{0,60}", text in "\\PC{0,50}|[\r\n.:a-z]{0,50}",
        ) {
            let file = Attachment {
                filename: name.clone(),
                content_type: "text/plain".to_owned(),
                content: String::new(),
                url: None,
                content_id: Some(name),
            };
            let payload = EmailPayload {
                subject,
                html: Some(text.clone()),
                text: Some(text),
                list_unsubscribe: Some(address),
                attachments: vec![file],
                ..EmailPayload::default()
            };
            let whole = formatted(payload, &shop);
            let ours = [
                "From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "List-Unsubscribe", "MIME-Version",
                "Content-Type",
            ];
            for header in header_names(&whole) {
                proptest::prop_assert!(ours.contains(&header), "{header:?} in {whole}");
            }
        }
    }

    #[test]
    fn addresses_and_media_types_are_checked_in_full() {
        let body = json!({
            "channel": "email", "to": "ana..b@example.com", "subject": "s", "text": "t", "from": "X <x..y@example.com>",
            "attachments": [{"filename": "f", "content_type": "multipart/mixed", "content": ""}, {"filename": "f", "content_type": "pdf", "content": ""}],
        });
        let errors = check(&NewNotification::parse(&body).unwrap());
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/to", "/from", "/attachments/0/content_type", "/attachments/1/content_type"]);
    }
}
