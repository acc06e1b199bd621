//! The bodies of Mercado Pago's API, as far as the hub reads and writes them. Everything that may be null or
//! missing is optional; everything else that they carry is ignored.

use serde::{Deserialize, Deserializer, Serialize};

use super::amount::{Amount, Decimal};

/// `GET /users/me`.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    pub(super) site_id: String,
    #[serde(default)]
    pub(super) tags: Option<Vec<String>>,
}

/// `POST /checkout/preferences`.
#[derive(Debug, Serialize)]
pub(super) struct NewPreference<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) payer: Payer<'a>,
    pub(super) external_reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) back_urls: Option<BackUrls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auto_return: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notification_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_date_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date_of_expiration: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Item<'a> {
    pub(super) title: &'a str,
    pub(super) quantity: i64,
    pub(super) currency_id: &'static str,
    pub(super) unit_price: Amount,
}

#[derive(Debug, Serialize)]
pub(super) struct BackUrls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) success: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<&'a str>,
}

/// A buyer; preferences and payments name their parts differently.
#[derive(Debug, Default, Serialize)]
pub(super) struct Payer<'a> {
    pub(super) email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) surname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identification: Option<Identification<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Identification<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) number: &'a str,
}

/// `POST /v1/payments`.
#[derive(Debug, Serialize)]
pub(super) struct NewPayment<'a> {
    pub(super) transaction_amount: Amount,
    pub(super) description: &'a str,
    pub(super) payment_method_id: &'a str,
    pub(super) payer: Payer<'a>,
    pub(super) external_reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) installments: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notification_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date_of_expiration: Option<String>,
}

/// `PUT /checkout/preferences/{id}` that ends its life.
#[derive(Debug, Serialize)]
pub(super) struct ClosePreference {
    pub(super) expires: bool,
    pub(super) expiration_date_to: String,
}

/// `POST /v1/payments/{id}/refunds`; without an amount, everything.
#[derive(Debug, Serialize)]
pub(super) struct NewRefund {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) amount: Option<Amount>,
}

/// A preference.
#[derive(Debug, Deserialize)]
pub(super) struct Preference {
    pub(super) id: String,
    #[serde(default)]
    pub(super) init_point: Option<String>,
}

/// `GET /checkout/preferences/search`, which leaves out the links.
#[derive(Debug, Deserialize)]
pub(super) struct PreferenceSearch {
    #[serde(default)]
    pub(super) elements: Option<Vec<FoundPreference>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundPreference {
    pub(super) id: String,
    #[serde(default)]
    pub(super) external_reference: Option<String>,
}

/// A payment.
#[derive(Debug, Deserialize)]
pub(super) struct Payment {
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) status_detail: Option<String>,
    #[serde(default)]
    pub(super) external_reference: Option<String>,
    #[serde(default)]
    pub(super) currency_id: Option<String>,
    #[serde(default)]
    pub(super) transaction_amount: Option<Decimal>,
    #[serde(default)]
    pub(super) transaction_amount_refunded: Option<Decimal>,
    #[serde(default, deserialize_with = "id_or_none")]
    pub(super) collector_id: Option<String>,
    #[serde(default)]
    pub(super) date_created: Option<String>,
    #[serde(default)]
    pub(super) date_last_updated: Option<String>,
    #[serde(default)]
    pub(super) date_of_expiration: Option<String>,
    #[serde(default)]
    pub(super) transaction_details: Option<TransactionDetails>,
    #[serde(default)]
    pub(super) point_of_interaction: Option<PointOfInteraction>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransactionDetails {
    #[serde(default)]
    pub(super) external_resource_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PointOfInteraction {
    #[serde(default)]
    pub(super) transaction_data: Option<TransactionData>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransactionData {
    #[serde(default)]
    pub(super) qr_code: Option<String>,
    #[serde(default)]
    pub(super) qr_code_base64: Option<String>,
    #[serde(default)]
    pub(super) ticket_url: Option<String>,
}

/// `GET /v1/payments/search`.
#[derive(Debug, Deserialize)]
pub(super) struct PaymentSearch {
    #[serde(default)]
    pub(super) paging: Option<Paging>,
    pub(super) results: Vec<Payment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Paging {
    #[serde(default)]
    pub(super) total: Option<usize>,
}

/// A refund.
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: Option<String>,
}

/// Ids are numbers in some places and strings in others; inside the hub they are strings.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    id_or_none(deserializer)?.ok_or_else(|| serde::de::Error::custom("an id is missing"))
}

fn id_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    Ok(Option::<Id>::deserialize(deserializer)?.map(|id| match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    }))
}
