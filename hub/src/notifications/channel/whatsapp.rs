//! WhatsApp by wa.me: a link that a person taps. The hub never sends anything itself and never says that it did.

use chrono::TimeDelta;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use phonenumber::country::Id;
use sha2::{Digest as _, Sha256};
use trastienda_protocol::ids::{NotificationId, ProjectId};
use trastienda_protocol::mac::hmac_sha256;
use trastienda_protocol::notification::NewNotification;
use trastienda_protocol::problem::FieldError;

use super::{Channel, Checking};
use crate::app::App;
use crate::http::Result;
use crate::notifications::model::{WhatsappLink, WhatsappPayload};
use crate::notifications::phone::{self, Phone};
use crate::notifications::render::Rendered;
use crate::notifications::store::NewRow;

/// Characters of a message; longer ones are cut by some of WhatsApp's clients.
const TEXT_MAX: usize = 1_000;
/// How long a link waits for somebody to tap it.
const EXPIRES: TimeDelta = TimeDelta::days(7);
/// What needs no escaping in a URL's query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A wa.me link.
pub(crate) struct Whatsapp;

impl Channel for Whatsapp {
    type To = Phone;

    async fn check(checking: Checking<'_>, errors: &mut Vec<FieldError>) -> Result<Option<Phone>> {
        let read = recipient(&checking.new.to, checking.settings.country()).await;
        Ok(read.map_err(|message| errors.push(FieldError::new("/to", message))).ok())
    }

    fn check_texts(new: &NewNotification, rendered: &Rendered) -> Option<FieldError> {
        let length = rendered.text.as_deref().unwrap_or_default().chars().count();
        let is_fit = (1..=TEXT_MAX).contains(&length);
        let pointer = if new.template.is_some() { "/data" } else { "/text" };
        let message = || format!("makes a message of {length} characters; WhatsApp takes 1 to {TEXT_MAX}");
        (!is_fit).then(|| FieldError::new(pointer, message()))
    }

    fn fill(
        app: &App,
        row: &mut NewRow,
        new: &NewNotification,
        to: Phone,
        rendered: Rendered,
    ) -> anyhow::Result<()> {
        row.payload = serde_json::to_value(payload(&to, &rendered.text.unwrap_or_default()))?;
        row.recipient = to.e164();
        row.open_token_hash = Some(token_hash(&open_token(app, row.project, row.id)).to_vec());
        row.expires_at = Some(new.expires_at.unwrap_or(row.run_at + EXPIRES));
        Ok(())
    }
}

/// Reads the recipient; a number without its country is of this one. The first time, the numbering plans of the world are loaded: work for a blocking thread.
///
/// # Errors
/// What would be right.
pub(crate) async fn recipient(to: &str, country: Id) -> std::result::Result<Phone, String> {
    let to = to.to_owned();
    let read = tokio::task::spawn_blocking(move || phone::parse(&to, country)).await;
    read.unwrap_or_else(|_| Err("could not be read as a phone number".to_owned()))
}

/// What is stored.
fn payload(phone: &Phone, text: &str) -> WhatsappPayload {
    let link = format!("https://wa.me/{}?text={}", phone.digits(), utf8_percent_encode(text, QUERY));
    WhatsappPayload { text: text.to_owned(), link }
}

/// The secret part of a notification's `open_url`: 128 bits that only this hub can make. They are derived from a key
/// of 32 random bytes, not stored, so that a repeated call and the shop's list can show the address again.
fn open_token(app: &App, project: ProjectId, id: NotificationId) -> String {
    let digest = hmac_sha256(
        &app.fingerprint_key,
        &[b"open_url/", project.to_string().as_bytes(), id.to_string().as_bytes()],
    );
    hex::encode(&digest[..16])
}

/// What the database knows of the token.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The addresses as callers get them.
pub(crate) fn link(app: &App, project: ProjectId, id: NotificationId, link: String) -> WhatsappLink {
    let base = app.config.public_url.as_str().trim_end_matches('/');
    WhatsappLink { link, open_url: format!("{base}/w/{}", open_token(app, project, id)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_carries_the_text_whole() {
        let phone = phone::parse("11 2345-6789", Id::AR).unwrap();
        let link = payload(&phone, "¡Hola! 50% & más\n+1 #2").link;
        assert_eq!(
            link,
            "https://wa.me/5491123456789?text=%C2%A1Hola%21%2050%25%20%26%20m%C3%A1s%0A%2B1%20%232"
        );
    }
}
