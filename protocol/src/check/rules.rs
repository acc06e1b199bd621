//! The rules that values are read by: each gives the value, or says what would be right.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::ids::Id;

/// What a JSON value is, for messages.
pub fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn as_str(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("must be a string, not {}", name_of(value)))
}

/// A text of so many characters.
pub fn text(min: usize, max: usize) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let text = as_str(value)?;
        let length = text.chars().count();
        if text.contains('\0') {
            return Err("must not contain the NUL character".to_owned());
        }
        if length < min || length > max {
            return Err(format!("must have {min} to {max} characters, not {length}"));
        }
        Ok(text.to_owned())
    }
}

/// A text of so many characters on one line, without control characters.
pub fn line(min: usize, max: usize) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let line = text(min, max)(value)?;
        if line.chars().any(char::is_control) {
            return Err("must be one line without control characters".to_owned());
        }
        Ok(line)
    }
}

/// One of a few words.
pub fn one_of<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let text = as_str(value)?;
        choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let words = choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            format!("must be one of {words}")
        })
    }
}

/// A whole number in a range.
pub fn integer(min: i64, max: i64) -> impl Fn(&Value) -> Result<i64, String> {
    move |value| {
        let range = || format!("must be a whole number from {min} to {max}");
        let number = value.as_i64().ok_or_else(range)?;
        if (min..=max).contains(&number) { Ok(number) } else { Err(range()) }
    }
}

/// `true` or `false`.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", name_of(value)))
}

/// An object, kept as it is.
pub fn object(value: &Value) -> Result<Map<String, Value>, String> {
    object_in_place(value).map(Cow::into_owned)
}

/// An object, left where it is.
pub fn object_in_place(value: &Value) -> Result<Cow<'_, Map<String, Value>>, String> {
    match value {
        Value::Object(_) if mentions_nul(value) => Err("must not contain the NUL character".to_owned()),
        Value::Object(map) => Ok(Cow::Borrowed(map)),
        // PHP writes an empty array for an empty object.
        Value::Array(items) if items.is_empty() => Ok(Cow::Owned(Map::new())),
        other => Err(format!("must be an object, not {}", name_of(other))),
    }
}

// PostgreSQL's jsonb cannot hold it, so it is refused where the caller can still be told.
fn mentions_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(mentions_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || mentions_nul(value)),
        _ => false,
    }
}

/// An RFC 3339 time with an offset.
pub fn timestamp(value: &Value) -> Result<DateTime<Utc>, String> {
    crate::time::parse(as_str(value)?)
}

/// An id of a kind.
pub fn id<I: Id>(value: &Value) -> Result<I, String> {
    I::parse(as_str(value)?).map_err(|error| error.to_string())
}

/// An e-mail address of the shape `local@domain`, at most 254 characters. The hub parses it in full.
pub fn email(value: &Value) -> Result<String, String> {
    let address = as_str(value)?;
    let shaped = address.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && local.len() <= 64
            && domain.split('.').count() >= 2
            && domain.split('.').all(|label| !label.is_empty())
            && !local.contains('@')
    });
    let clean = address.len() <= 254
        && !address.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;".contains(c));
    if shaped && clean {
        Ok(address.to_owned())
    } else {
        Err("must be an e-mail address, as `ana@example.com`".to_owned())
    }
}

/// A printable identifier of the shop's own, such as an order's: 1 to 128 characters.
pub fn reference(value: &Value) -> Result<String, String> {
    let text = as_str(value).map_err(|error| format!("{error}; write numbers as strings"))?;
    let printable = !text.chars().any(char::is_control) && !text.trim().is_empty();
    if printable && text.chars().count() <= 128 {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 128 printable characters".to_owned())
    }
}

/// An absolute `http` or `https` URL of at most 2,048 characters, kept as text.
pub fn web_url(value: &Value) -> Result<String, String> {
    let text = line(1, 2_048)(value)?;
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && !text.contains(' ') {
        Ok(text)
    } else {
        Err("must be an absolute URL that starts with `https://` or `http://`".to_owned())
    }
}
