//! Reading Mercado Pago's refusals, whose bodies vary: `cause` may be a list, null or missing, its codes numbers
//! or words; the gateway in front has a shape of its own; 5xx may be plain text.

use std::time::Duration;

use serde_json::Value;

use crate::payments::provider::CallError;

/// Characters of an explanation that are kept.
const MESSAGE_MAX: usize = 160;

/// Refusals that are none: something behind the provider did not answer, or the same call is under way.
const TRANSIENT: [&str; 5] = ["2004", "2007", "2084", "801", "2001"];

/// What a reply that is not 2xx means.
pub(super) fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> CallError {
    let Refusal { code, message } = Refusal::read(body);
    let code = code.unwrap_or_else(|| format!("http_{status}"));
    match status {
        429 => CallError::Busy { retry_after },
        401 | 403 => CallError::Unauthorized { code },
        404 => CallError::NotFound,
        // Under way, too early, or locked: it may yet have its effect.
        408 | 409 | 423 | 424 | 425 => CallError::Unknown(format!("{code} ({status})")),
        400..=499 if TRANSIENT.contains(&code.as_str()) => CallError::Unknown(format!("{code} ({status})")),
        400..=499 => CallError::Refused { status, code, message },
        _ => CallError::Unknown(format!("{code} ({status})")),
    }
}

struct Refusal {
    code: Option<String>,
    message: String,
}

impl Refusal {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let first = |list: &str| body.get(list).and_then(|list| list.get(0));
        let cause = first("cause").or_else(|| first("errors"));
        let code = cause
            .and_then(|cause| word(cause.get("code")))
            .or_else(|| word(body.get("code")))
            .or_else(|| word(body.get("error")));
        let message = cause
            .and_then(|cause| cause.get("description"))
            .or_else(|| body.get("message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self { code, message: scrub(message) }
    }
}

/// A code, whether it came as a number or as a word; `None` for a sentence.
fn word(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    fits.then_some(text)
}

/// An explanation without what may be personal: addresses and long numbers.
fn scrub(message: &str) -> String {
    let clean = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if word.contains('@') || digits >= 5 { "…".to_owned() } else { word.to_owned() }
    };
    let words: Vec<String> = message.split_whitespace().map(clean).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(status: u16, body: &str) -> (String, String) {
        match read(status, None, body.as_bytes()) {
            CallError::Refused { code, message, .. } => (code, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_shape_gives_its_code() {
        let classic = r#"{"message":"Card Token not found","error":"bad_request","status":400,"cause":[{"code":2006,"description":"Card Token not found","data":"x"}]}"#;
        assert_eq!(refused(400, classic), ("2006".to_owned(), "Card Token not found".to_owned()));
        let word = classic.replace("2006", "\"E301\"");
        assert_eq!(refused(400, &word).0, "E301");
        let preference = r#"{"message":"auto_return invalid. back_url.success must be defined","error":"invalid_auto_return","status":400,"cause":null}"#;
        assert_eq!(refused(400, preference).0, "invalid_auto_return");
        let orders = r#"{"errors":[{"code":"unsupported_properties","message":"x","details":[]}]}"#;
        assert_eq!(refused(400, orders).0, "unsupported_properties");
        assert_eq!(refused(422, r#"{"cause":[],"error":null}"#).0, "http_422");
        assert_eq!(refused(400, "not JSON").0, "http_400");
        let gateway = r#"{"message":"At least one policy returned UNAUTHORIZED.","code":"PA_UNAUTHORIZED_RESULT_FROM_POLICIES","status":403,"blocked_by":"PolicyAgent"}"#;
        let expected = CallError::Unauthorized { code: "PA_UNAUTHORIZED_RESULT_FROM_POLICIES".to_owned() };
        assert_eq!(read(403, None, gateway.as_bytes()), expected);
    }

    #[test]
    fn what_may_have_had_an_effect_is_unknown() {
        for (status, body) in [
            (500, "Internal Server Error"),
            (502, "<html>"),
            (409, "{}"),
            (423, "{}"),
            (400, r#"{"cause":[{"code":2007}]}"#),
            (302, ""),
        ] {
            assert!(matches!(read(status, None, body.as_bytes()), CallError::Unknown(_)), "{status}");
        }
        let after = Some(Duration::from_secs(7));
        assert_eq!(read(429, after, b"local_rate_limited"), CallError::Busy { retry_after: after });
        assert_eq!(read(404, None, b""), CallError::NotFound);
    }

    #[test]
    fn nothing_personal_is_kept() {
        let body = r#"{"error":"bad_request","message":"payer ana@example.com with DNI 12345678 refused"}"#;
        assert_eq!(refused(400, body).1, "payer … with DNI … refused");
    }

    /// Bodies as they come and as nobody would send them: the known names with any values, at any depth.
    fn bodies() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z_]{0,12}".prop_map(Value::from),
            "([a-zA-Z]{1,9}@[a-z]{1,9}\\.com|[0-9]{5,20}| |.){0,9}".prop_map(Value::from),
        ];
        let name = "cause|error|errors|code|message|description|status|blocked_by|[a-z]{1,5}";
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = proptest::collection::btree_map(name, inner, 0..6);
            prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    /// What holds of any refusal, whatever its body says.
    fn is_sound(status: u16, body: &[u8]) -> std::result::Result<(), TestCaseError> {
        let after = Some(Duration::from_secs(7));
        let error = read(status, after, body);
        match status {
            429 => prop_assert_eq!(&error, &CallError::Busy { retry_after: after }),
            404 => prop_assert_eq!(&error, &CallError::NotFound),
            401 | 403 => prop_assert!(matches!(&error, CallError::Unauthorized { .. }), "{:?}", error),
            // It may have had its effect: no body may say otherwise.
            300..=399 | 408 | 409 | 423..=425 | 500.. => {
                prop_assert!(matches!(&error, CallError::Unknown(_)));
            }
            _ => {
                prop_assert!(
                    matches!(&error, CallError::Refused { .. } | CallError::Unknown(_)),
                    "{:?}",
                    error
                );
            }
        }
        let told = error.to_string();
        prop_assert!(told.chars().count() <= 300, "{}", told);
        prop_assert!(!told.contains('@') && !told.chars().any(char::is_control), "{}", told);
        if let CallError::Refused { code, message, .. } = &error {
            prop_assert!(!code.is_empty() && code.len() <= 64 && !code.contains(' '), "{}", code);
            let has_number =
                message.split(' ').any(|word| word.bytes().filter(u8::is_ascii_digit).count() > 4);
            prop_assert!(!has_number, "{}", message);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(status in 300u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            is_sound(status, &body)?;
        }

        #[test]
        fn no_json_breaks_it(status in 300u16..600, body in bodies()) {
            is_sound(status, body.to_string().as_bytes())?;
        }
    }
}
