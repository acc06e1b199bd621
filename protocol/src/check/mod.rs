//! Reading bodies: every error of a body is collected, none hides another.
//!
//! A body's parser walks a JSON object through [`Fields`], which records what is missing, what has
//! the wrong shape and what is unknown, each by its JSON pointer.

mod rules;

use serde_json::{Map, Value};

pub use rules::*;

use crate::problem::FieldError;

/// The errors found so far.
#[derive(Debug, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// Records a field whose value is refused.
    pub fn push(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(pointer, message));
    }

    /// All errors, in the order in which they were found.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// `Ok` with what `complete` made of the parts, unless an error was recorded or a required part is missing.
    pub fn finish<T>(self, complete: Option<T>) -> Result<T, Vec<FieldError>> {
        match complete {
            Some(value) if self.0.is_empty() => Ok(value),
            _ if self.0.is_empty() => Err(vec![FieldError::new("", "is incomplete")]),
            _ => Err(self.0),
        }
    }
}

/// One JSON object being read.
pub struct Fields<'v, 'e> {
    map: &'v Map<String, Value>,
    pointer: String,
    known: Vec<&'static str>,
    errors: &'e mut Errors,
}

impl<'v, 'e> Fields<'v, 'e> {
    /// Starts reading a body. A body that is not an object is recorded and gives `None`.
    pub fn of(value: &'v Value, errors: &'e mut Errors) -> Option<Self> {
        Self::at(value, String::new(), errors)
    }

    fn at(value: &'v Value, pointer: String, errors: &'e mut Errors) -> Option<Self> {
        if let Value::Object(map) = value {
            Some(Self { map, pointer, known: Vec::new(), errors })
        } else {
            errors.push(pointer, format!("must be an object, not {}", name_of(value)));
            None
        }
    }

    /// A field that must be there. `rule` reads its value or says what would be right.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<T> {
        let map = self.map;
        self.known.push(name);
        match map.get(name) {
            None | Some(Value::Null) => {
                self.refuse(name, "is required");
                None
            }
            Some(value) => self.apply(name, value, rule),
        }
    }

    /// A field that may be absent or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<T> {
        let map = self.map;
        self.known.push(name);
        match map.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.apply(name, value, rule),
        }
    }

    /// A field that may be absent, and in which null is a value of its own (`Some(None)`).
    pub fn nullable<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let map = self.map;
        self.known.push(name);
        match map.get(name) {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => self.apply(name, value, rule).map(Some),
        }
    }

    /// An object inside this one, read by `read`; its errors carry the whole pointer.
    pub fn nested<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Fields<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        let map = self.map;
        self.known.push(name);
        let value = map.get(name).filter(|value| !value.is_null())?;
        let mut fields = Fields::at(value, format!("{}/{name}", self.pointer), self.errors)?;
        let result = read(&mut fields);
        fields.finish();
        result
    }

    /// An array of objects inside this one, at most `max` long.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Fields<'v, '_>) -> Option<T>,
    ) -> Vec<T> {
        let map = self.map;
        self.known.push(name);
        let items = match map.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= max => items,
            Some(Value::Array(_)) => {
                self.refuse(name, format!("may have at most {max} items"));
                return Vec::new();
            }
            Some(other) => {
                self.refuse(name, format!("must be an array, not {}", name_of(other)));
                return Vec::new();
            }
        };
        let mut read_items = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if let Some(mut fields) =
                Fields::at(item, format!("{}/{name}/{index}", self.pointer), self.errors)
            {
                read_items.extend(read(&mut fields));
                fields.finish();
            }
        }
        read_items
    }

    /// Whether the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Records an error of a field of this object (or a path below it, as `data/order_id`).
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let pointer = format!("{}/{name}", self.pointer);
        self.errors.push(pointer, message);
    }

    /// Ends the reading: what was never asked for is unknown.
    pub fn finish(self) {
        let mut unknown: Vec<&String> =
            self.map.keys().filter(|key| !self.known.contains(&key.as_str())).collect();
        unknown.sort();
        for key in unknown {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            let known = self.known.join("`, `");
            self.errors.0.push(FieldError {
                pointer: format!("{}/{escaped}", self.pointer),
                message: format!("is not a known field; known here: `{known}`"),
                is_unknown_field: true,
            });
        }
    }

    fn apply<T>(
        &mut self,
        name: &str,
        value: &'v Value,
        rule: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<T> {
        rule(value).map_err(|message| self.refuse(name, message)).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_errors_are_reported_at_once() {
        let body = json!({"name": 7, "inner": {"size": "x", "~odd/": 1}, "extra": true});
        let mut errors = Errors::default();
        let mut fields = Fields::of(&body, &mut errors).unwrap();
        let name = fields.required("name", text(1, 10));
        let missing = fields.required("domain", text(1, 10));
        let inner = fields.nested("inner", |fields| fields.required("size", integer(1, 5)));
        fields.finish();
        assert_eq!((name, missing, inner), (None, None, None));
        let found: Vec<_> = errors.into_vec().into_iter().map(|e| (e.pointer, e.is_unknown_field)).collect();
        let expected = [
            ("/name", false),
            ("/domain", false),
            ("/inner/size", false),
            ("/inner/~0odd~1", true),
            ("/extra", true),
        ];
        assert_eq!(found, expected.map(|(pointer, unknown)| (pointer.to_owned(), unknown)));
    }

    #[test]
    fn a_body_that_is_no_object_is_one_error() {
        let mut errors = Errors::default();
        assert!(Fields::of(&json!([1]), &mut errors).is_none());
        assert_eq!(errors.into_vec()[0].message, "must be an object, not an array");
    }
}
