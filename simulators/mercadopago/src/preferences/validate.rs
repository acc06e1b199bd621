//! What a preference must be, and what of it is dropped without a word.

use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::FIELDS;
use crate::clock::read;
use crate::error::{ApiError, ApiResult};
use crate::money::Money;
use crate::sites::Site;

/// A preference that may be kept, and what it comes to.
pub(super) struct Valid {
    pub(super) body: Map<String, Value>,
    pub(super) total: Money,
}

/// Looks through a body. `http_back_urls` keeps return addresses that the real one drops.
pub(super) fn validate(given: &Value, site: &Site, http_back_urls: bool) -> ApiResult<Valid> {
    let Value::Object(given) = given else {
        return Err(ApiError::preference("bad_request", "invalid body"));
    };
    let mut body: Map<String, Value> = given
        .iter()
        .filter(|(name, value)| FIELDS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();

    let total = items(&mut body, site)?;
    texts(&body)?;
    back_urls(&mut body, http_back_urls);
    auto_return(&body)?;
    dates(&body)?;
    payment_methods(&body)?;
    if body.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        return Err(ApiError::preference("invalid_metadata", "metadata must be an object"));
    }
    Ok(Valid { body, total })
}

fn items(body: &mut Map<String, Value>, site: &Site) -> ApiResult<Money> {
    let invalid = |message: String| ApiError::preference("invalid_items", message);
    let items = body.get_mut("items").and_then(Value::as_array_mut).filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| invalid("items needed".to_owned()))?;
    let mut total = Money::zero(site.decimals);
    let too_much = || invalid("unit_price invalid".to_owned());
    for item in items {
        let Value::Object(item) = item else { return Err(invalid("items invalid".to_owned())) };
        if item.get("title").and_then(Value::as_str).is_none_or(|title| title.trim().is_empty()) {
            return Err(invalid("title needed".to_owned()));
        }
        let quantity = item.get("quantity").and_then(Value::as_i64).filter(|quantity| *quantity > 0);
        let quantity = quantity.ok_or_else(|| invalid("quantity invalid".to_owned()))?;
        let price = item.get("unit_price").and_then(|price| Money::read(price, site.decimals));
        let price = price.filter(|price| price.minor > 0).ok_or_else(too_much)?;
        let currency = item.entry("currency_id").or_insert_with(|| json!(site.currency));
        if currency.is_null() {
            *currency = json!(site.currency);
        }
        if currency != site.currency {
            return Err(invalid(format!("currency_id invalid, {} expected", site.currency)));
        }
        for name in ["id", "description", "picture_url", "category_id"] {
            item.entry(name).or_insert(Value::Null);
        }
        total = price.times(quantity).and_then(|sum| total.plus(sum)).ok_or_else(too_much)?;
    }
    if let Some(cost) = body.get("shipments").and_then(|shipments| shipments.get("cost")) {
        let cost = Money::read(cost, site.decimals)
            .ok_or_else(|| ApiError::preference("invalid_shipments", "shipments.cost invalid"))?;
        total = total.plus(cost).ok_or_else(too_much)?;
    }
    Ok(total)
}

fn texts(body: &Map<String, Value>) -> ApiResult<()> {
    let refuse = |name: &str, message: &str| {
        Err(ApiError::preference(&format!("invalid_{name}"), format!("{name} {message}")))
    };
    for name in [
        "external_reference",
        "notification_url",
        "auto_return",
        "statement_descriptor",
        "purpose",
        "marketplace",
    ] {
        if body.get(name).is_some_and(|value| !value.is_string()) {
            return refuse(name, "must be a string");
        }
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if let Some(reference) = text("external_reference") {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if reference.len() > 64 || !reference.chars().all(allowed) {
            return refuse("external_reference", "takes at most 64 letters, digits, - and _");
        }
    }
    if let Some(url) = text("notification_url") {
        let web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !web || url.len() > 248 {
            return refuse("notification_url", "must be url valid");
        }
    }
    Ok(())
}

/// Return addresses that are not public `https` vanish, as if they had never been sent.
fn back_urls(body: &mut Map<String, Value>, http_back_urls: bool) {
    let Some(Value::Object(urls)) = body.get_mut("back_urls") else {
        body.remove("back_urls");
        return;
    };
    for name in ["success", "pending", "failure"] {
        let kept = urls.get(name).and_then(Value::as_str).filter(|url| is_kept(url, http_back_urls));
        let kept = kept.unwrap_or_default().to_owned();
        urls.insert(name.to_owned(), json!(kept));
    }
}

fn is_kept(url: &str, http_back_urls: bool) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    if http_back_urls {
        return matches!(url.scheme(), "http" | "https");
    }
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    };
    url.scheme() == "https" && !local
}

fn auto_return(body: &Map<String, Value>) -> ApiResult<()> {
    let Some(auto_return) = body.get("auto_return").and_then(Value::as_str).filter(|text| !text.is_empty())
    else {
        return Ok(());
    };
    if !matches!(auto_return, "approved" | "all") {
        return Err(ApiError::preference("invalid_auto_return", "auto_return invalid"));
    }
    let success = body.get("back_urls").and_then(|urls| urls.get("success")).and_then(Value::as_str);
    if success.is_none_or(str::is_empty) {
        let message = "auto_return invalid. back_url.success must be defined";
        return Err(ApiError::preference("invalid_auto_return", message));
    }
    Ok(())
}

fn dates(body: &Map<String, Value>) -> ApiResult<()> {
    for name in ["expiration_date_from", "expiration_date_to", "date_of_expiration"] {
        let bad = body.get(name).is_some_and(|value| value.as_str().and_then(read).is_none());
        if bad {
            return Err(ApiError::preference(&format!("invalid_{name}"), format!("{name} invalid")));
        }
    }
    if body.get("expires").is_some_and(|expires| !expires.is_boolean()) {
        return Err(ApiError::preference("invalid_expires", "expires must be a boolean"));
    }
    Ok(())
}

fn payment_methods(body: &Map<String, Value>) -> ApiResult<()> {
    let refuse = |message: &str| Err(ApiError::preference("invalid_payment_methods", message));
    let Some(methods) = body.get("payment_methods") else { return Ok(()) };
    let installments = methods.get("installments").filter(|installments| !installments.is_null());
    if installments.is_some_and(|value| !value.as_i64().is_some_and(|count| (1..=36).contains(&count))) {
        return refuse("installments invalid");
    }
    let excluded = |list: &str| methods.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut all = excluded("excluded_payment_methods").iter().chain(excluded("excluded_payment_types"));
    if all.any(|entry| entry.get("id") == Some(&json!("account_money"))) {
        return refuse("account_money cannot be excluded");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites;

    fn check(body: Value) -> Result<Valid, String> {
        validate(&body, sites::find("MLA").unwrap(), false).map_err(|error| format!("{error:?}"))
    }

    fn items() -> Value {
        json!([{"title": "Mate", "quantity": 3, "unit_price": 0.1}])
    }

    #[test]
    fn adds_up_without_losing_a_cent() {
        let valid = check(json!({"items": items(), "shipments": {"cost": 10.05}})).unwrap();
        assert_eq!(valid.total.minor, 30 + 1_005);
    }

    #[test]
    fn an_http_return_address_is_dropped_and_then_missed() {
        let http = json!({"items": items(), "back_urls": {"success": "http://shop.test/ok"}});
        assert_eq!(check(http.clone()).unwrap().body["back_urls"]["success"], "");
        let mut wanting = http;
        wanting["auto_return"] = json!("approved");
        assert!(check(wanting).err().unwrap().contains("invalid_auto_return"));
    }

    #[test]
    fn a_laptop_is_no_return_address_unless_allowed() {
        assert!(!is_kept("https://localhost:8000/ok", false));
        assert!(!is_kept("https://127.0.0.1/ok", false));
        assert!(is_kept("http://localhost:8000/ok", true));
        assert!(!is_kept("javascript:alert(1)", true));
    }

    #[test]
    fn refuses_items_that_cannot_be_paid() {
        for bad in [
            json!({}),
            json!({"items": []}),
            json!({"items": [{"quantity": 1, "unit_price": 1}]}),
            json!({"items": [{"title": "x", "quantity": 0, "unit_price": 1}]}),
            json!({"items": [{"title": "x", "quantity": 1, "unit_price": "1"}]}),
            json!({"items": [{"title": "x", "quantity": 1, "unit_price": 1.001}]}),
            json!({"items": [{"title": "x", "quantity": 1, "unit_price": 1, "currency_id": "BRL"}]}),
        ] {
            assert!(check(bad.clone()).err().unwrap().contains("invalid_items"), "{bad}");
        }
    }
}
