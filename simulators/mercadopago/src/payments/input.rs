//! The body of `POST /v1/payments`, looked through field by field with the documented codes.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use url::Url;

use crate::clock::read;
use crate::error::{ApiError, ApiResult};
use crate::money::Money;
use crate::sellers::Caller;
use crate::sites::Method;

/// A body that is well formed; whether the method takes it is checked once the method is known.
pub(super) struct Input {
    pub(super) amount: Money,
    pub(super) method: Option<&'static Method>,
    pub(super) token: Option<String>,
    pub(super) payer_email: String,
    pub(super) external_reference: Option<String>,
    pub(super) notification_url: Option<String>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) binary: bool,
    pub(super) capture: bool,
    pub(super) asked: Map<String, Value>,
}

/// Every field the API knows; another is refused by name.
const KNOWN: &[&str] = &[
    "additional_info",
    "application_fee",
    "binary_mode",
    "callback_url",
    "campaign_id",
    "capture",
    "coupon_amount",
    "coupon_code",
    "date_of_expiration",
    "description",
    "differential_pricing_id",
    "external_reference",
    "installments",
    "issuer_id",
    "merchant_account_id",
    "metadata",
    "net_amount",
    "notification_url",
    "order",
    "payer",
    "payment_method",
    "payment_method_id",
    "payment_method_option_id",
    "point_of_interaction",
    "processing_mode",
    "sponsor_id",
    "statement_descriptor",
    "taxes",
    "three_d_secure_mode",
    "token",
    "transaction_amount",
    "transaction_details",
];

impl Input {
    pub(super) fn read(body: &[u8], caller: &Caller, now: DateTime<Utc>) -> ApiResult<Self> {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Err(refuse(1, "Params Error"));
        };
        let body: Map<String, Value> = body.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if let Some(name) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(refuse(8, format!("The name of the following parameters is wrong : [{name}]")));
        }
        let amount = amount(&body, caller.site.decimals)?;
        let method = match text(&body, "payment_method_id") {
            None if body.contains_key("payment_method_id") => return Err(invalid_method()),
            None => None,
            Some("account_money") => return Err(invalid_method()),
            Some(id) => Some(caller.site.method(id).ok_or_else(invalid_method)?),
        };
        let payer_email = payer(&body, caller)?;
        check_texts(&body)?;
        let expires_at = match body.get("date_of_expiration") {
            None => None,
            Some(value) => Some(
                value
                    .as_str()
                    .and_then(read)
                    .ok_or_else(|| refuse(23, "date_of_expiration must be a valid date and format"))?,
            ),
        };
        if expires_at.is_some_and(|at| at <= now || at > now + TimeDelta::days(30)) {
            return Err(expiry_out_of_range());
        }
        Ok(Self {
            amount,
            method,
            token: text(&body, "token").filter(|token| !token.is_empty()).map(str::to_owned),
            payer_email,
            external_reference: text(&body, "external_reference").map(str::to_owned),
            notification_url: text(&body, "notification_url").map(str::to_owned),
            expires_at,
            binary: flag(&body, "binary_mode").unwrap_or(false),
            capture: flag(&body, "capture").unwrap_or(true),
            asked: body,
        })
    }

    /// What only some means of payment want or refuse.
    pub(super) fn check_against(&self, method: &Method, now: DateTime<Utc>) -> ApiResult<()> {
        if !method.takes(self.amount) {
            return Err(refuse(4037, "Invalid transaction_amount"));
        }
        if method.is_card() {
            match self.asked.get("installments") {
                None => return Err(refuse(4033, "Invalid installments")),
                Some(value) if !value.is_number() => {
                    return Err(refuse(4005, "installments attribute must be numeric"));
                }
                Some(value) if !value.as_i64().is_some_and(|count| (1..=36).contains(&count)) => {
                    return Err(refuse(4033, "Invalid installments"));
                }
                Some(_) => {}
            }
        }
        if !self.capture && method.kind != "credit_card" {
            return Err(refuse(2077, "Deferred capture not supported"));
        }
        let soon = now + TimeDelta::minutes(30);
        if method.kind == "bank_transfer" && self.expires_at.is_some_and(|at| at < soon) {
            return Err(expiry_out_of_range());
        }
        Ok(())
    }
}

fn amount(body: &Map<String, Value>, decimals: u32) -> ApiResult<Money> {
    let value = body
        .get("transaction_amount")
        .ok_or_else(|| refuse(4002, "transaction_amount attribute can't be null"))?;
    if !value.is_number() {
        return Err(refuse(4003, "transaction_amount attribute must be numeric"));
    }
    Money::read(value, decimals)
        .filter(|amount| amount.minor > 0)
        .ok_or_else(|| refuse(4037, "Invalid transaction_amount"))
}

fn payer(body: &Map<String, Value>, caller: &Caller) -> ApiResult<String> {
    let Some(Value::Object(payer)) = body.get("payer") else {
        return Err(refuse(4006, "payer attribute is malformed"));
    };
    let email = text(payer, "email").unwrap_or_default();
    if email.len() > 254 {
        return Err(refuse(4051, "payer.email must be shorter than 254 characters"));
    }
    let parts = email.split_once('@');
    if parts.is_none_or(|(name, host)| name.is_empty() || !host.contains('.') || email.contains(' ')) {
        return Err(refuse(4050, "payer.email must be a valid email"));
    }
    if email == caller.seller.email {
        return Err(refuse(2060, "The customer can't be equal to the collector."));
    }
    if let Some(number) = payer.get("identification").and_then(|document| document.get("number")) {
        let plain = number.as_str().is_some_and(|number| {
            !number.is_empty() && number.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        });
        if !plain {
            return Err(refuse(2067, "Invalid user identification number"));
        }
    }
    Ok(email.to_owned())
}

fn check_texts(body: &Map<String, Value>) -> ApiResult<()> {
    if let Some(url) = body.get("notification_url") {
        let url = url.as_str().unwrap_or_default();
        if url.len() > 500 {
            return Err(refuse(4021, "notification_url attribute must be shorter than 500 characters"));
        }
        if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(refuse(4020, "notification_url attribute must be url valid"));
        }
    }
    if body.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        return Err(refuse(4022, "metadata attribute must be valid JSON"));
    }
    let reference = body.get("external_reference");
    if reference.is_some_and(|reference| reference.as_str().is_none_or(|text| text.len() > 256)) {
        return Err(refuse(1, "external_reference must be a string of at most 256 characters"));
    }
    Ok(())
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn flag(body: &Map<String, Value>, name: &str) -> Option<bool> {
    body.get(name).and_then(Value::as_bool)
}

fn refuse(code: u32, message: impl Into<String>) -> ApiError {
    ApiError::bad_request(code, message)
}

fn invalid_method() -> ApiError {
    refuse(3028, "Invalid payment_method_id")
}

fn expiry_out_of_range() -> ApiError {
    refuse(7523, "date_of_expiration is out of range")
}
