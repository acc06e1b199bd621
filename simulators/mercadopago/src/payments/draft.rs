//! A payment about to be made, whichever door it comes through.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::model::{Payment, Status};
use super::outcome::Outcome;
use crate::money::Money;
use crate::preferences::Preference;
use crate::sites::{Method, Site};
use crate::state::State;

/// What a payment is made from.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) seller: i64,
    pub(crate) site: &'static Site,
    pub(crate) method: &'static Method,
    pub(crate) amount: Money,
    pub(crate) outcome: Outcome,
    pub(crate) payer_email: String,
    pub(crate) external_reference: Option<String>,
    pub(crate) notification_url: Option<String>,
    pub(crate) preference: Option<String>,
    pub(crate) card: Option<Value>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) asked: Map<String, Value>,
}

impl Draft {
    /// A buyer pays a preference by that method.
    pub(crate) fn of_preference(preference: &Preference, method: &'static Method, outcome: Outcome) -> Self {
        let copied = ["metadata", "binary_mode", "statement_descriptor", "additional_info"];
        let mut asked: Map<String, Value> = copied
            .into_iter()
            .filter_map(|name| preference.body.get(name).map(|value| (name.to_owned(), value.clone())))
            .collect();
        asked.insert("description".to_owned(), preference.body["items"][0]["title"].clone());
        asked.insert("installments".to_owned(), json!(1));
        let payer = preference.body.get("payer");
        let email = payer.and_then(|payer| payer.get("email")).and_then(Value::as_str);
        let email = email.unwrap_or("test_user_buyer@testuser.com").to_owned();
        asked.insert("payer".to_owned(), json!({"email": email}));
        Self {
            seller: preference.seller,
            site: preference.site,
            method,
            amount: preference.total,
            outcome: if preference.is_binary() { outcome.made_binary() } else { outcome },
            payer_email: email,
            external_reference: preference.external_reference().map(str::to_owned),
            notification_url: preference.notification_url().map(str::to_owned),
            preference: Some(preference.id.clone()),
            card: method.is_card().then(test_card),
            expires_at: preference.payment_expires_at(),
            asked,
        }
    }

    /// Makes the payment and tells the seller.
    pub(crate) fn make(self, state: &mut State, now: DateTime<Utc>) -> i64 {
        let approved = self.outcome.status == Status::Approved;
        let payment = Payment {
            id: state.ids.payment(),
            seller: self.seller,
            site: self.site,
            method: self.method,
            amount: self.amount,
            refunded: Money::zero(self.site.decimals),
            captured: self.outcome.status != Status::Authorized,
            status: self.outcome.status,
            detail: self.outcome.detail,
            payer_id: state.payer_id(&self.payer_email),
            external_reference: self.external_reference,
            notification_url: self.notification_url,
            preference: self.preference,
            order: None,
            card: self.card,
            refunds: Vec::new(),
            asked: self.asked,
            created_at: now,
            updated_at: now,
            approved_at: approved.then_some(now),
            expires_at: self.method.is_deferred().then(|| {
                let days = if self.method.kind == "bank_transfer" { 1 } else { 3 };
                self.expires_at.unwrap_or(now + TimeDelta::days(days))
            }),
        };
        state.insert_payment(payment)
    }
}

/// The card a buyer pays with on the checkout page, where no number is ever typed.
fn test_card() -> Value {
    json!({
        "id": null,
        "first_six_digits": "450995",
        "last_four_digits": "3704",
        "expiration_month": 11,
        "expiration_year": 2030,
        "cardholder": {"name": "APRO", "identification": {"type": null, "number": null}},
    })
}
