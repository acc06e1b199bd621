//! Personal fields, masked.
//!
//! What shops send is theirs to shape, so nobody can list the fields that are personal: everything is masked but what is
//! known to be harmless, by the field's name and by the look of its value.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Names of fields whose values say nothing about a person, whatever they are in.
const HARMLESS: &[&str] = &[
    "amount",
    "amount_refunded",
    "attempt",
    "at",
    "channel",
    "code",
    "currency",
    "detail",
    "dispute",
    "duration_ms",
    "error_class",
    "event",
    "expires_at",
    "id",
    "is_doubtful",
    "locale",
    "method",
    "occurred_at",
    "order_amount",
    "order_id",
    "order_number",
    "paid_at",
    "payment_id",
    "plan",
    "pointer",
    "price",
    "product_id",
    "provider",
    "quantity",
    "request_id",
    "response_code",
    "server",
    "shipping_cost",
    "sku",
    "status",
    "stock",
    "subtotal",
    "tax",
    "timestamp",
    "title",
    "total",
    "type",
    "unit_price",
    "version",
    "created_at",
    "updated_at",
];

/// Where the API lists attempts: what receivers and servers answered is to be read, addresses and numbers in it are not.
const ATTEMPTS: &str = "/attempts";

fn mask_answers(attempts: &mut Value) {
    for attempt in attempts.as_array_mut().into_iter().flatten() {
        for name in ["response", "error"] {
            if let Some(Value::String(text)) = attempt.get_mut(name) {
                *text = mask_text(text);
            }
        }
    }
}

/// Masks a whole value.
fn mask(value: &mut Value) {
    mask_named("", value);
}

/// Masks what stands at these places.
pub(crate) fn mask_at(value: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        match value.pointer_mut(pointer) {
            Some(found) if *pointer == ATTEMPTS => mask_answers(found),
            Some(found) => mask(found),
            None => {}
        }
    }
}

fn mask_named(name: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                mask_named(name, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                mask_named(name, item);
            }
        }
        // A telephone or a document may come as a number.
        Value::Number(number) if !is_harmless(name) && number.to_string().len() > 6 => {
            *value = Value::from("•••");
        }
        Value::String(text) => {
            let masked = if is_harmless(name) { mask_addresses(text) } else { mask_whole(text) };
            *text = masked;
        }
        _ => {}
    }
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}

/// A text of which only its shape stays. Short words of code, amounts and times stay as they are.
fn mask_whole(text: &str) -> String {
    static PLAIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(-?\d{1,6}(\.\d{1,4})?|\d{1,9}\.\d{2}|[A-Z]{3}|true|false|\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-][0-9:]+))?|[a-z]{3}_[0-9a-f]{32})?$").ok()
    });
    if PLAIN.as_ref().is_some_and(|plain| plain.is_match(text)) {
        return text.to_owned();
    }
    if let Some((_, domain)) = text.rsplit_once('@')
        && !domain.contains(char::is_whitespace)
    {
        return format!("{}•••@{domain}", first(text));
    }
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= 6 && text.chars().all(|c| c.is_ascii_digit() || "+ -().".contains(c)) {
        let end: String = digits[digits.len() - 2..].iter().collect();
        return format!("•••{end}");
    }
    format!("{}•••", first(text))
}

fn first(text: &str) -> String {
    text.chars().take(1).collect()
}

/// A text from elsewhere that may hold an address or a number.
fn mask_text(text: &str) -> String {
    // Seven digits or more, whatever stands between them but a dot: codes of mail servers have those.
    static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\+?\d(?:[ ()-]{0,2}\d){6,}").ok());
    match DIGITS.as_ref() {
        Some(digits) => digits.replace_all(&mask_addresses(text), "•••").into_owned(),
        None => "•••".to_owned(),
    }
}

fn mask_addresses(text: &str) -> String {
    static ADDRESS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"[^\s<>()\[\]:;,\x22']+@([^\s<>()\[\]:;,\x22']+)").ok());
    match ADDRESS.as_ref() {
        Some(address) => address.replace_all(text, "•••@$1").into_owned(),
        None => "•••".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_to_be_harmless_is_masked() {
        let mut data = json!({
            "order_id": "A-1001", "total": "18500.00", "currency": "ARS", "is_gift": true, "note": null,
            "customer": {"name": "Ana Pérez", "email": "ana.perez@example.com", "phone": "+54 9 11 5555-1234", "dni": 30_111_222},
            "comentario": "dejar con Marta, calle Falsa 123", "telefonos": ["1155551234"],
            "items": [{"sku": "M-1", "quantity": 2, "price": "9250.00", "title": "Mate"}],
        });
        mask(&mut data);
        assert_eq!(
            data,
            json!({
                "order_id": "A-1001", "total": "18500.00", "currency": "ARS", "is_gift": true, "note": null,
                "customer": {"name": "A•••", "email": "a•••@example.com", "phone": "•••34", "dni": "•••"},
                "comentario": "d•••", "telefonos": ["•••34"],
                "items": [{"sku": "M-1", "quantity": 2, "price": "9250.00", "title": "Mate"}],
            })
        );
    }

    #[test]
    fn an_address_in_an_answer_or_in_a_harmless_field_is_masked() {
        let answer = mask_text("550 5.1.1 <ana.perez@example.com>: no such user, call +54 11 5555 1234");
        assert_eq!(answer, "550 5.1.1 <•••@example.com>: no such user, call •••");
        let mut data = json!({"title": "para ana@example.com", "created_at": "2026-11-24T10:00:00.000Z", "order_id": "1000012345"});
        mask(&mut data);
        assert_eq!(
            data,
            json!({"title": "para •••@example.com", "created_at": "2026-11-24T10:00:00.000Z", "order_id": "1000012345"})
        );
        let mut tried = json!({"attempts": [{"attempt": 1, "response": "thanks, ana@example.com", "server": "smtp.example.com", "error": null}]});
        mask_at(&mut tried, &["/attempts"]);
        assert_eq!(
            tried,
            json!({"attempts": [{"attempt": 1, "response": "thanks, •••@example.com", "server": "smtp.example.com", "error": null}]})
        );
    }
}
