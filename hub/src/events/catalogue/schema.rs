//! The keywords of JSON Schema that the catalogue uses: `type`, `required`, `properties`, `enum`, `const`, `minLength`,
//! `maxLength`, `pattern`, `minimum`. Others that say something about a value are refused when a schema is compiled,
//! so that none is silently left unchecked.

use regex::Regex;
use serde_json::{Map, Value};
use trastienda_protocol::check::name_of;
use trastienda_protocol::problem::FieldError;

/// Keywords that describe and do not restrict.
const ANNOTATIONS: [&str; 6] = ["$schema", "$id", "title", "description", "format", "examples"];

/// A compiled schema.
#[derive(Debug, Default)]
pub(super) struct Rule {
    types: Vec<Type>,
    choices: Option<Vec<Value>>,
    min_length: usize,
    max_length: Option<usize>,
    pattern: Option<Regex>,
    minimum: Option<f64>,
    required: Vec<String>,
    properties: Vec<(String, Rule)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    const ALL: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            // 1.0 is an integer to JSON Schema.
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

impl Rule {
    /// Compiles a schema.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        let map = schema.as_object().ok_or("a schema must be an object")?;
        let mut rule = Self::default();
        for (keyword, value) in map {
            match keyword.as_str() {
                "type" => rule.types = types(value)?,
                "enum" => rule.choices = Some(value.as_array().ok_or("`enum` must be a list")?.clone()),
                "const" => rule.choices = Some(vec![value.clone()]),
                "minLength" => rule.min_length = length(value)?,
                "maxLength" => rule.max_length = Some(length(value)?),
                "pattern" => {
                    let pattern = value.as_str().ok_or("`pattern` must be a string")?;
                    rule.pattern = Some(Regex::new(pattern).map_err(|error| error.to_string())?);
                }
                "minimum" => rule.minimum = Some(value.as_f64().ok_or("`minimum` must be a number")?),
                "required" => rule.required = names(value)?,
                "properties" => {
                    let properties = value.as_object().ok_or("`properties` must be an object")?;
                    let compile =
                        |(name, schema): (&String, &Value)| Ok((name.clone(), Self::compile(schema)?));
                    rule.properties = properties.iter().map(compile).collect::<Result<_, String>>()?;
                }
                other if ANNOTATIONS.contains(&other) => {}
                other => return Err(format!("the keyword `{other}` is not checked here")),
            }
        }
        Ok(rule)
    }

    /// What is wrong with an object at `pointer`.
    pub(super) fn check_object(&self, map: &Map<String, Value>, pointer: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.members(map, pointer, &mut errors);
        errors
    }

    fn check(&self, value: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
        if !self.types.is_empty() && !self.types.iter().any(|kind| kind.admits(value)) {
            let wanted = self.types.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" or ");
            errors.push(FieldError::new(pointer, format!("must be {wanted}, not {}", name_of(value))));
            return;
        }
        if let Some(choices) = &self.choices
            && !choices.contains(value)
        {
            let choices = choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            errors.push(FieldError::new(pointer, format!("must be one of {choices}")));
        }
        match value {
            Value::String(text) => self.text(text, pointer, errors),
            Value::Object(map) => self.members(map, pointer, errors),
            Value::Number(number) => {
                if let (Some(minimum), Some(number)) = (self.minimum, number.as_f64())
                    && number < minimum
                {
                    errors.push(FieldError::new(pointer, format!("must be at least {minimum}")));
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &str, pointer: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count();
        if length < self.min_length {
            errors
                .push(FieldError::new(pointer, format!("must have at least {} characters", self.min_length)));
        }
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            errors.push(FieldError::new(pointer, format!("must have at most {max} characters")));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            errors.push(FieldError::new(pointer, format!("must match `{pattern}`")));
        }
    }

    fn members(&self, map: &Map<String, Value>, pointer: &str, errors: &mut Vec<FieldError>) {
        for name in self.required.iter().filter(|name| !map.contains_key(*name)) {
            errors.push(FieldError::new(child(pointer, name), "is required in events of this type"));
        }
        for (name, rule) in &self.properties {
            if let Some(value) = map.get(name) {
                rule.check(value, &child(pointer, name), errors);
            }
        }
    }
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn types(value: &Value) -> Result<Vec<Type>, String> {
    let words =
        if value.is_string() { vec![value.clone()] } else { value.as_array().cloned().unwrap_or_default() };
    let kind = |word: &Value| {
        let known = Type::ALL.iter().find(|(name, _)| word == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| format!("`type` does not know {word}"))
    };
    words.iter().map(kind).collect()
}

fn names(value: &Value) -> Result<Vec<String>, String> {
    let name = |item: &Value| {
        item.as_str().map(str::to_owned).ok_or("`required` must be a list of names".to_owned())
    };
    value.as_array().ok_or("`required` must be a list")?.iter().map(name).collect()
}

fn length(value: &Value) -> Result<usize, String> {
    value
        .as_u64()
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| "a length must be a number".to_owned())
}
