//! WhatsApp by wa.me: a link that a person taps. The hub never sends anything itself and never says that it did.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use phonenumber::country::Id;
use sha2::{Digest as _, Sha256};
use trastienda_protocol::ids::{NotificationId, ProjectId};
use trastienda_protocol::mac::hmac_sha256;

use crate::app::App;
use crate::notifications::model::{WhatsappLink, WhatsappPayload};
use crate::notifications::phone::{self, Phone};

/// Characters of a message; longer ones are cut by some of WhatsApp's clients.
pub(crate) const TEXT_MAX: usize = 1_000;
/// What needs no escaping in a URL's query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Reads the recipient; a number without its country is of this one. The first time, the numbering plans of the world are loaded: work for a blocking thread.
///
/// # Errors
/// What would be right.
pub(crate) async fn recipient(to: &str, country: Id) -> Result<Phone, String> {
    let to = to.to_owned();
    let read = tokio::task::spawn_blocking(move || phone::parse(&to, country)).await;
    read.unwrap_or_else(|_| Err("could not be read as a phone number".to_owned()))
}

/// What is stored.
pub(crate) fn payload(phone: &Phone, text: &str) -> WhatsappPayload {
    let link = format!("https://wa.me/{}?text={}", phone.digits(), utf8_percent_encode(text, QUERY));
    WhatsappPayload { text: text.to_owned(), link }
}

/// The secret part of a notification's `open_url`: 128 bits that only this hub can make. They are derived from a key
/// of 32 random bytes, not stored, so that a repeated call and the shop's list can show the address again.
pub(crate) fn open_token(app: &App, project: ProjectId, id: NotificationId) -> String {
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
