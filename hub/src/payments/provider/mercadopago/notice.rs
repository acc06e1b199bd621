//! What arrives at the notification address, and its answer: the signed notice (`data.id`, `type`) and the old unsigned
//! hint (`id`, `topic`). The query is read raw, since frameworks rename `data.id`.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::MercadoPago;
use super::signature::{self, Distrust, Signed};
use crate::app::App;
use crate::http::Result;
use crate::payments::inbound;
use crate::payments::provider::{Arrival, Notice, Notices, Trust};

/// What the panel's test names.
const PING: &str = "123456";
/// The topic that is followed: each change of the others has a notice of this one too.
const TOPIC: &str = "payment";

/// Its notices.
pub(super) struct Inbox;

/// Takes a notice from Mercado Pago: verified by `x-signature`, stored before it is answered, handled after.
#[utoipa::path(
    post, path = "/webhooks/mercadopago/{project_id}", tag = "payments",
    responses((status = 200), (status = 401, body = trastienda_protocol::problem::Problem)),
)]
async fn mercadopago(
    State(app): State<App>,
    Path(project): Path<String>,
    request: Request,
) -> Result<StatusCode> {
    inbound::take(&app, &MercadoPago, &Inbox, &project, request).await?;
    Ok(StatusCode::OK)
}

impl Notices for Inbox {
    fn door(&self) -> OpenApiRouter<App> {
        OpenApiRouter::new().routes(routes!(mercadopago))
    }

    fn read(&self, arrival: &Arrival<'_>, secrets: &[&[u8]], now: DateTime<Utc>) -> Option<Notice> {
        let named = Named::read(arrival.query, arrival.body)?;
        let trust = match named.is_signed(arrival, secrets, now) {
            Ok(true) => Trust::Signed,
            Ok(false) => Trust::Hint,
            Err(distrust) => Trust::Refused(distrust.as_str()),
        };
        let is_test = named.resource_id == PING;
        Some(Notice { topic: named.topic, resource_id: named.resource_id, is_test, trust })
    }

    fn is_followed(&self, topic: &str) -> bool {
        topic == TOPIC
    }
}

/// What a notice names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    topic: String,
    resource_id: String,
    /// `data.id` of the query, which is what is signed.
    signed_id: Option<String>,
    /// Of the old kind: whatever signature it carries cannot be checked.
    is_hint: bool,
}

impl Named {
    /// Reads query and body; `None` if they name nothing.
    fn read(query: Option<&str>, body: &[u8]) -> Option<Self> {
        let query = query.unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let signed_id = parameter(query, "data.id");
        let data_id = signed_id.clone().or_else(|| text(body.get("data").and_then(|data| data.get("id"))));
        let topic = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| parameter(query, name).or_else(|| text(body.get(name))))
                .and_then(word)
        };
        if let Some(id) = data_id.and_then(word) {
            let topic = topic(["type", "topic"]).unwrap_or_else(|| TOPIC.to_owned());
            return Some(Self { topic, resource_id: id, signed_id, is_hint: false });
        }
        let id = parameter(query, "id").or_else(|| {
            let resource = text(body.get("resource"))?;
            resource.trim_end_matches('/').rsplit('/').next().map(str::to_owned)
        })?;
        Some(Self {
            topic: topic(["topic", "type"])?,
            resource_id: word(id)?,
            signed_id: None,
            is_hint: true,
        })
    }

    /// Whether it is vouched for. One that claims to be and is not is not believed; one that does not claim it is a hint.
    fn is_signed(
        &self,
        arrival: &Arrival<'_>,
        secrets: &[&[u8]],
        now: DateTime<Utc>,
    ) -> Result<bool, Distrust> {
        let header = |name: &str| arrival.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(signature) = header("x-signature").filter(|_| !self.is_hint) else { return Ok(false) };
        let data_id = self.signed_id.as_deref();
        signature::verify(Signed { data_id, request_id: header("x-request-id"), signature }, secrets, now)?;
        // Signed over nothing but the time, it vouches for no payment.
        Ok(data_id.is_some())
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        (decoded(key) == name).then(|| decoded(value)).filter(|value| !value.is_empty())
    })
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Ids and topics are short words; anything else names nothing that could be asked for.
fn word(text: String) -> Option<String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, body: &str) -> Option<(String, String, bool)> {
        let notice = Named::read(Some(query), body.as_bytes())?;
        Some((notice.topic, notice.resource_id, notice.is_hint))
    }

    fn of(topic: &str, id: &str, is_hint: bool) -> (String, String, bool) {
        (topic.to_owned(), id.to_owned(), is_hint)
    }

    #[test]
    fn both_kinds_are_read_from_query_or_body() {
        assert_eq!(
            read("source_news=webhooks&data.id=139&type=payment", "{}"),
            Some(of("payment", "139", false))
        );
        assert_eq!(read("data%2Eid=139&type=payment", "{}"), Some(of("payment", "139", false)));
        assert_eq!(read("", r#"{"type":"payment","data":{"id":139}}"#), Some(of("payment", "139", false)));
        assert_eq!(read("id=139&topic=payment", ""), Some(of("payment", "139", true)));
        let order =
            r#"{"resource":"https://api.mercadolibre.com/merchant_orders/77","topic":"merchant_order"}"#;
        assert_eq!(read("", order), Some(of("merchant_order", "77", true)));
    }

    #[test]
    fn only_the_id_of_the_query_is_the_signed_one() {
        let notice = Named::read(None, br#"{"type":"payment","data":{"id":"139"}}"#).unwrap();
        assert_eq!(notice.signed_id, None);
    }

    #[test]
    fn what_names_nothing_is_nothing() {
        for (query, body) in
            [("", ""), ("id=1", "{}"), ("data.id=../x&type=payment", "{}"), ("topic=payment", "[]")]
        {
            assert_eq!(read(query, body), None, "{query} {body}");
        }
    }
}
