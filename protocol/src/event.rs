//! Events: something that happened to an order (or to anything else of the shop's).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::check::{self, Errors, Fields};
use crate::ids::EventId;
use crate::problem::FieldError;

/// Characters in an event type.
pub const TYPE_MAX: usize = 128;

/// What a caller sends to `POST /v1/events`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEvent {
    /// The id that the caller made, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<EventId>,
    /// Dotted lower case, as `order.created`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What the event says. `order.*` needs `order_id` in it.
    pub data: Map<String, Value>,
    /// When it happened, by the caller's clock.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::time::serialize_option")]
    pub occurred_at: Option<DateTime<Utc>>,
}

impl NewEvent {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let EventBody { id, event_type, data, occurred_at } = EventBody::check(body)?;
        Ok(Self { id, event_type, data: data.into_owned(), occurred_at })
    }

    /// The order that the event is about, when it names one.
    pub fn order_id(&self) -> Option<&str> {
        order_id(&self.data)
    }
}

/// The same, for whoever keeps the body as it came: what the event says stays in it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventBody<'v> {
    /// The id that the caller made, if it did.
    pub id: Option<EventId>,
    /// Dotted lower case, as `order.created`.
    pub event_type: String,
    /// What the event says.
    pub data: Cow<'v, Map<String, Value>>,
    /// When it happened, by the caller's clock.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl<'v> EventBody<'v> {
    /// Checks a body.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn check(body: &'v Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let event = Fields::of(body, &mut errors).and_then(|mut fields| {
            let id = fields.optional("id", check::id);
            let event_type = fields.required("type", event_type);
            let data = fields.required("data", check::object_in_place);
            let occurred_at = fields.optional("occurred_at", check::timestamp);
            if let (Some(event_type), Some(data)) = (&event_type, &data)
                && event_type.starts_with("order.")
            {
                match data.get("order_id") {
                    None | Some(Value::Null) => {
                        fields.refuse("data/order_id", "is required in events of type `order.*`");
                    }
                    Some(value) => {
                        if let Err(message) = check::reference(value) {
                            fields.refuse("data/order_id", message);
                        }
                    }
                }
            }
            fields.finish();
            Some(Self { id, event_type: event_type?, data: data?, occurred_at })
        });
        errors.finish(event)
    }

    /// The order that the event is about, when it names one.
    pub fn order_id(&self) -> Option<&str> {
        order_id(&self.data)
    }
}

fn order_id(data: &Map<String, Value>) -> Option<&str> {
    data.get("order_id").and_then(Value::as_str)
}

/// The rule for event types: two or more parts of lower-case letters, digits, `_` and `-`, joined by dots.
pub fn event_type(value: &Value) -> Result<String, String> {
    let text = check::text(1, TYPE_MAX)(value)?;
    if is_dotted(&text) { Ok(text) } else { Err("must be dotted lower case, as `order.created`".to_owned()) }
}

fn is_dotted(text: &str) -> bool {
    text.split('.').count() >= 2 && text.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// What an endpoint subscribes to: `*`, `order.*` or an exact type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

impl EventPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix(".*");
        let valid = text == "*" || is_dotted(text) || body.is_some_and(|body| body.split('.').all(is_part));
        if valid && text.len() <= TYPE_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be `*`, a prefix as `order.*`, or an event type as `order.created`".to_owned())
        }
    }

    /// Whether events of this type are wanted.
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => event_type == self.0,
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_right_event_is_read() {
        let event = NewEvent::parse(&json!({"type": "order.created", "data": {"order_id": "A-1"}})).unwrap();
        assert_eq!((event.event_type.as_str(), event.order_id()), ("order.created", Some("A-1")));
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let errors =
            NewEvent::parse(&json!({"type": "Order Created", "data": [1], "occurred_at": "now", "x": 1}))
                .unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(pointers, ["/type", "/data", "/occurred_at", "/x"]);
        let order = NewEvent::parse(&json!({"type": "order.paid", "data": {"order_id": 7}})).unwrap_err();
        assert_eq!(order[0].pointer, "/data/order_id");
    }

    #[test]
    fn patterns_match_everything_a_prefix_or_one_type() {
        let matches = |pattern: &str, event: &str| EventPattern::parse(pattern).unwrap().matches(event);
        assert!(matches("*", "stock.low"));
        assert!(matches("order.*", "order.created") && matches("order.*", "order.item.added"));
        assert!(!matches("order.*", "orders.created") && !matches("order.*", "order"));
        assert!(matches("order.paid", "order.paid") && !matches("order.paid", "order.paid.twice"));
        for wrong in ["", "order", "Order.*", "*.paid", "order.**", "order..paid", ".*"] {
            assert!(EventPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// The rule in words: everything; a type itself; or what has all of the pattern's parts and at least one more.
    fn is_wanted(pattern: &str, event: &str) -> bool {
        let (pattern, event): (Vec<&str>, Vec<&str>) =
            (pattern.split('.').collect(), event.split('.').collect());
        match pattern.split_last() {
            Some((&"*", first)) => event.len() > first.len() && event[..first.len()] == *first,
            _ => pattern == event,
        }
    }

    fn dotted() -> impl Strategy<Value = String> {
        // Few letters: so that patterns and types often have something in common.
        prop::collection::vec("[ab]{1,2}|[a-z0-9_-]{1,8}", 2..5).prop_map(|parts| parts.join("."))
    }

    proptest! {
        #[test]
        fn patterns_match_as_the_rule_says(event in dotted(), other in dotted(), keep in 1_usize..5, star: bool) {
            let parts: Vec<&str> = event.split('.').collect();
            let prefix = parts[..keep.min(parts.len())].join(".");
            for pattern in ["*".to_owned(), event.clone(), other.clone(), format!("{other}.*"), format!("{prefix}.*"),
                format!("{prefix}{}.*", if star { "a" } else { "" }), format!("{prefix}a.{other}")] {
                if let Ok(parsed) = EventPattern::parse(&pattern) {
                    prop_assert_eq!(parsed.matches(&event), is_wanted(&pattern, &event), "{} {}", pattern, event);
                }
            }
        }

        #[test]
        fn no_text_is_read_as_a_pattern_that_it_is_not(text in "[a-zA-Z*. _-]{0,12}") {
            if let Ok(pattern) = EventPattern::parse(&text) {
                prop_assert_eq!(pattern.as_str(), text.as_str());
                let body = text.strip_suffix(".*").unwrap_or(&text);
                prop_assert!(text == "*" || body.split('.').all(is_part), "{}", text);
            }
        }
    }
}
