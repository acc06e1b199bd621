//! Checkout Pro preferences: what a buyer is to pay, and the page where they do.
//!
//! A preference never changes because it was paid: several payments may come from one, and they are found
//! by their reference. There is no deleting; to withdraw one, its life is ended.

mod handlers;
mod validate;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

pub(crate) use self::handlers::{create, get, search, update};
use crate::clock::{read, written, written_or_null};
use crate::money::Money;
use crate::sites::Site;

/// A preference as it was asked for, less what was silently dropped.
#[derive(Clone, Debug)]
pub(crate) struct Preference {
    pub(crate) id: String,
    pub(crate) seller: i64,
    pub(crate) site: &'static Site,
    pub(crate) body: Map<String, Value>,
    pub(crate) total: Money,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: Option<DateTime<Utc>>,
}

/// What a preference can hold; anything else is ignored. All of it is in an answer, null when absent.
const FIELDS: &[&str] = &[
    "additional_info",
    "auto_return",
    "back_urls",
    "binary_mode",
    "coupon_code",
    "date_of_expiration",
    "differential_pricing",
    "expiration_date_from",
    "expiration_date_to",
    "expires",
    "external_reference",
    "items",
    "marketplace",
    "marketplace_fee",
    "metadata",
    "notification_url",
    "payer",
    "payment_methods",
    "processing_modes",
    "purpose",
    "redirect_urls",
    "shipments",
    "statement_descriptor",
    "taxes",
    "tracks",
];

impl Preference {
    pub(crate) fn external_reference(&self) -> Option<&str> {
        self.text("external_reference")
    }

    pub(crate) fn notification_url(&self) -> Option<&str> {
        self.text("notification_url")
    }

    /// Where a buyer goes back to, by how it went: `success`, `pending` or `failure`.
    pub(crate) fn back_url(&self, outcome: &str) -> Option<&str> {
        self.body.get("back_urls")?.get(outcome)?.as_str().filter(|url| !url.is_empty())
    }

    /// Whether the buyer is sent back without being asked.
    pub(crate) fn returns_by_itself(&self, outcome: &str) -> bool {
        match self.text("auto_return") {
            Some("all") => true,
            Some("approved") => outcome == "success",
            _ => false,
        }
    }

    /// Whether its life has not begun or is over.
    pub(crate) fn is_closed(&self, now: DateTime<Utc>) -> bool {
        let bound = |name| self.text(name).and_then(read);
        let expires = self.body.get("expires").and_then(Value::as_bool).unwrap_or(false);
        expires
            && (bound("expiration_date_to").is_some_and(|to| to <= now)
                || bound("expiration_date_from").is_some_and(|from| from > now))
    }

    /// How long a cash or Pix payment made from it lives, when it says so.
    pub(crate) fn payment_expires_at(&self) -> Option<DateTime<Utc>> {
        self.text("date_of_expiration").and_then(read)
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.body.get("binary_mode").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// Whether the seller left that means of payment out.
    pub(crate) fn excludes(&self, method: &crate::sites::Method) -> bool {
        let listed = |list: &str, id: &str| {
            self.body
                .get("payment_methods")
                .and_then(|methods| methods.get(list))
                .and_then(Value::as_array)
                .is_some_and(|entries| entries.iter().any(|entry| entry.get("id") == Some(&json!(id))))
        };
        listed("excluded_payment_methods", method.id) || listed("excluded_payment_types", method.kind)
    }

    /// The page where it is paid.
    pub(crate) fn init_point(&self, public_url: &str) -> String {
        format!("{public_url}/checkout/v1/redirect?pref_id={}", self.id)
    }

    pub(crate) fn json(&self, public_url: &str) -> Value {
        let mut body: Map<String, Value> = FIELDS
            .iter()
            .map(|name| ((*name).to_owned(), self.body.get(*name).cloned().unwrap_or_default()))
            .collect();
        for (name, empty) in [
            ("back_urls", json!({"success": "", "pending": "", "failure": ""})),
            ("binary_mode", json!(false)),
            ("expires", json!(false)),
            ("marketplace", json!("NONE")),
            ("marketplace_fee", json!(0)),
            ("metadata", json!({})),
            ("redirect_urls", json!({"success": "", "pending": "", "failure": ""})),
            ("auto_return", json!("")),
        ] {
            if body.get(name).is_none_or(Value::is_null) {
                body.insert(name.to_owned(), empty);
            }
        }
        let init_point = self.init_point(public_url);
        for (name, value) in [
            ("id", json!(self.id)),
            ("init_point", json!(init_point)),
            ("sandbox_init_point", json!(init_point)),
            ("client_id", json!(CLIENT_ID)),
            ("collector_id", json!(self.seller)),
            ("site_id", json!(self.site.id)),
            ("operation_type", json!("regular_payment")),
            ("date_created", json!(written(self.created_at))),
            ("last_updated", written_or_null(self.updated_at)),
            ("total_amount", Value::Null),
            ("product_id", Value::Null),
            ("internal_metadata", Value::Null),
        ] {
            body.insert(name.to_owned(), value);
        }
        Value::Object(body)
    }

    /// The shorter form that a search lists: no links, and titles in place of items.
    fn element(&self) -> Value {
        let titles: Vec<&Value> = self
            .body
            .get("items")
            .and_then(Value::as_array)
            .map(|items| items.iter().filter_map(|item| item.get("title")).collect())
            .unwrap_or_default();
        json!({
            "id": self.id,
            "client_id": CLIENT_ID,
            "collector_id": self.seller,
            "date_created": written(self.created_at),
            "last_updated": written_or_null(self.updated_at),
            "expires": self.body.get("expires").cloned().unwrap_or(json!(false)),
            "expiration_date_from": self.body.get("expiration_date_from"),
            "expiration_date_to": self.body.get("expiration_date_to"),
            "external_reference": self.external_reference(),
            "items": titles,
            "live_mode": true,
            "marketplace": "NONE",
            "operation_type": "regular_payment",
            "payer_email": self.body.get("payer").and_then(|payer| payer.get("email")),
            "processing_modes": ["aggregator"],
            "purpose": self.body.get("purpose"),
            "site_id": self.site.id,
        })
    }
}

/// The application all sellers of the simulator belong to.
const CLIENT_ID: &str = "1000000000000001";
