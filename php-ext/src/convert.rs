//! PHP values to JSON and back, by PHP's own `json_encode` and `json_decode`.
//!
//! Using the engine's means that a shop's values look on the wire as they do everywhere else in PHP:
//! floats by `serialize_precision`, enums, dates, `JsonSerializable`. The latter runs PHP code, which
//! may throw, exit or call this extension again: nothing is held meanwhile.

use ext_php_rs::convert::{FromZval, IntoZval, IntoZvalDyn};
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendCallable, ZendHashTable, ZendObject, Zval};
use ext_php_rs::zend::ExecutorGlobals;

use crate::error::Error;

/// `JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR`.
/// Throwing, because the other way changes what the shop's `json_last_error()` says.
const ENCODE_FLAGS: i64 = 64 | 256 | 1024 | THROW_ON_ERROR;
const THROW_ON_ERROR: i64 = 4_194_304;
const DEPTH: i64 = 512;

/// A parameter declared `array`.
#[derive(Debug)]
pub(crate) struct ArrayArgument<'a>(&'a Zval);

impl<'a> FromZval<'a> for ArrayArgument<'a> {
    const TYPE: DataType = DataType::Array;

    fn from_zval(zval: &'a Zval) -> Option<Self> {
        zval.is_array().then_some(Self(zval))
    }
}

impl<'a> ArrayArgument<'a> {
    /// The array.
    pub(crate) fn table(&self) -> Option<&'a ZendHashTable> {
        self.0.array()
    }

    /// As a JSON object: an empty PHP array is one here, whatever `json_encode` makes of it.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        if self.table().is_none_or(ZendHashTable::is_empty) {
            return Ok(b"{}".to_vec());
        }
        encode(self.0)
    }

    /// A copy that can be changed without the caller seeing it.
    pub(crate) fn copy(&self) -> Body {
        Body(self.table().map_or_else(ZendHashTable::new, ToOwned::to_owned))
    }
}

/// A body that is completed here before it is encoded.
pub(crate) struct Body(ext_php_rs::boxed::ZBox<ZendHashTable>);

impl Body {
    /// A field's text; none when it is missing, null or not text.
    pub(crate) fn text(&self, field: &str) -> Option<String> {
        self.0.get(field).and_then(|value| value.dereference().string())
    }

    /// Sets a field.
    pub(crate) fn set(&mut self, field: &str, value: &str) -> Result<(), Error> {
        self.0.insert(field, value).map_err(engine_failed)
    }

    /// Makes fields that are empty arrays into empty objects: the contract has objects there.
    pub(crate) fn objects(&mut self, fields: &[&str]) -> Result<(), Error> {
        for field in fields {
            let empty = |value: &Zval| value.dereference().array().is_some_and(ZendHashTable::is_empty);
            if self.0.get(*field).is_some_and(empty) {
                self.0.insert(*field, ZendObject::new_stdclass()).map_err(engine_failed)?;
            }
        }
        Ok(())
    }

    /// The body as JSON.
    pub(crate) fn into_json(self) -> Result<Vec<u8>, Error> {
        encode(&self.0.into_zval(false).map_err(engine_failed)?)
    }
}

/// A return value declared `array`.
#[derive(Debug)]
pub(crate) struct ArrayResult(pub(crate) Zval);

impl IntoZval for ArrayResult {
    const TYPE: DataType = DataType::Array;
    const NULLABLE: bool = false;

    fn set_zval(self, zval: &mut Zval, _persistent: bool) -> ext_php_rs::error::Result<()> {
        *zval = self.0;
        Ok(())
    }
}

/// An argument's bytes as text.
pub(crate) fn utf8<'a>(bytes: &'a [u8], pointer: &str) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(pointer, "must be valid UTF-8"))
}

/// A text as a JSON string, quotes included.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Any PHP value as JSON.
pub(crate) fn encode(value: &Zval) -> Result<Vec<u8>, Error> {
    let json = call("json_encode", vec![value, &ENCODE_FLAGS, &DEPTH])?;
    let json =
        json.map_err(|message| Error::invalid("", format!("the data cannot be written as JSON: {message}")))?;
    json.zend_str()
        .map(|text| text.as_bytes().to_vec())
        .ok_or_else(|| Error::Internal("json_encode did not give a string".to_owned()))
}

/// JSON as a PHP value, objects as arrays; the message says why it is not JSON.
pub(crate) fn decode(json: &[u8]) -> Result<Result<Zval, String>, Error> {
    let json = ext_php_rs::types::ZendStr::new(json, false);
    let mut text = Zval::new();
    text.set_zend_string(json);
    call("json_decode", vec![&text, &true, &DEPTH, &THROW_ON_ERROR])
}

/// JSON that must be an object or a list.
pub(crate) fn decode_array(json: &[u8]) -> Result<ArrayResult, Error> {
    match decode(json)? {
        Ok(value) if value.is_array() => Ok(ArrayResult(value)),
        Ok(_) => Err(Error::Internal("the answer is not a JSON object".to_owned())),
        Err(message) => Err(Error::Internal(format!("the answer is not JSON: {message}"))),
    }
}

/// Calls a JSON function. Its own exception comes back as a message; another stays pending.
fn call(name: &str, arguments: Vec<&dyn IntoZvalDyn>) -> Result<Result<Zval, String>, Error> {
    // Not `Function::try_from_function`: it copies more of an internal function than there is.
    let function = ZendCallable::try_from_name(name).map_err(engine_failed)?;
    let value = function.try_call(arguments);
    match ExecutorGlobals::pending_exception_class().as_deref() {
        None => value.map(Ok).map_err(engine_failed),
        Some("JsonException") => {
            let message = ExecutorGlobals::take_exception()
                .and_then(|exception| exception.try_call_method("getmessage", Vec::new()).ok())
                .and_then(|message| message.string());
            Ok(Err(message.unwrap_or_else(|| "unknown error".to_owned())))
        }
        Some(_) => Err(Error::Pending),
    }
}

fn engine_failed(error: ext_php_rs::error::Error) -> Error {
    Error::Internal(format!("PHP's engine refused a value: {error}"))
}
