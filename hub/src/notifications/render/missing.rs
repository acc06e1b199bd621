//! Which variables a template misses.
//!
//! Strict rendering stops at the first. So the template is rendered again with data that notes what it is asked
//! for: the last thing it did not have is what the template stopped at. That is then made up and the next is
//! looked for. What a template only asks about (`is defined`, `default`) is therefore not counted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Shown};
use minijinja::{Environment, ErrorKind};
use serde_json::Value;

/// Missing variables that are told at once.
const TOLD_MAX: usize = 30;

/// JSON pointers below the data, in the order in which the template asks.
pub(super) fn find(environment: &Environment<'_>, name: &str, source: &str, data: &Value) -> Vec<String> {
    let mut data = data.clone();
    let mut found = Vec::new();
    while found.len() < TOLD_MAX {
        let asked = Arc::new(Mutex::new(None));
        let root = Watched { value: Arc::new(data.clone()), pointer: String::new(), missed: asked.clone() };
        let outcome = environment.render_named_str(name, source, Shown::from_object(root));
        let missed = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome, missed) {
            (Err(error), Some(pointer))
                if error.kind() != ErrorKind::OutOfFuel && make_up(&mut data, &pointer) =>
            {
                found.push(pointer);
            }
            _ => break,
        }
    }
    found
}

/// Puts something where nothing was; false if there is no place for it.
fn make_up(data: &mut Value, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    match data.pointer_mut(parent) {
        Some(Value::Object(map)) => map.insert(name, "…".into()).is_none_or(|before| before.is_null()),
        Some(Value::Array(items)) => {
            match name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) if item.is_null() => {
                    *item = "…".into();
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Data that notes the last thing that it was asked for and did not have.
struct Watched {
    value: Arc<Value>,
    pointer: String,
    missed: Arc<Mutex<Option<String>>>,
}

impl Watched {
    fn child(&self, name: &str) -> Option<Shown> {
        let pointer = format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"));
        let value = match &*self.value {
            Value::Object(map) => map.get(name),
            Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match value {
            None | Some(Value::Null) => {
                *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(pointer);
                value.map(|_| Shown::from(()))
            }
            Some(value @ (Value::Object(_) | Value::Array(_))) => Some(Shown::from_object(Self {
                value: Arc::new(value.clone()),
                pointer,
                missed: self.missed.clone(),
            })),
            Some(value) => Some(Shown::from(minijinja::value::Serde(value))),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value)
    }
}

impl Object for Watched {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.value.is_array() { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Shown) -> Option<Shown> {
        match key.as_str() {
            Some(name) => self.child(name),
            None => self.child(&key.as_usize()?.to_string()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &*self.value {
            Value::Array(items) => Enumerator::Seq(items.len()),
            Value::Object(map) => {
                Enumerator::Values(map.keys().map(|key| Shown::from(key.as_str())).collect())
            }
            _ => Enumerator::NonEnumerable,
        }
    }
}
