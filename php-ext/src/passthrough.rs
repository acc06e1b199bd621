//! `trastienda_request`: any call of the API, for what has no function of its own.

use ext_php_rs::convert::IntoZval;
use ext_php_rs::types::{ZendHashTable, Zval};
use trastienda_protocol::limits::BATCH_MAX;
use trastienda_protocol::problem::Problem;

use crate::call::Call;
use crate::convert::{self, ArrayArgument, ArrayResult};
use crate::error::Error;
use crate::ini;
use crate::response::Response;

/// Headers that the client makes itself; another value would break the framing or the connection.
const OWN_HEADERS: [&str; 6] =
    ["connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent"];

/// Makes the call; the answer is `['status' => int, 'headers' => array, 'body' => array|string|null]`.
pub(crate) fn request(
    method: &[u8],
    path: &[u8],
    body: Option<&ArrayArgument<'_>>,
    headers: Option<&ZendHashTable>,
) -> Result<ArrayResult, Error> {
    let method = convert::utf8(method, "/method")?;
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Error::invalid("/method", "must be an HTTP method"));
    }
    let path = convert::utf8(path, "/path")?;
    if !path.starts_with('/') || !path.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Err(Error::invalid("/path", "must start with `/` and be percent-encoded"));
    }
    let method = method.to_ascii_uppercase();
    let mut call = Call::new(&method, path.to_owned(), ini::sync_timeout());
    for (name, value) in header_list(headers)? {
        call = call.header(&name, value);
    }
    let body = body.map(ArrayArgument::to_json).transpose()?;
    if body.as_ref().is_some_and(|body| body.len() > BATCH_MAX) {
        return Err(Error::problem(Problem::too_large(BATCH_MAX)));
    }
    answer(call.body(body).send()?)
}

fn header_list(headers: Option<&ZendHashTable>) -> Result<Vec<(String, String)>, Error> {
    let mut list = Vec::new();
    for (name, value) in headers.into_iter().flatten() {
        let name = name.to_string().to_ascii_lowercase();
        let pointer = format!("/headers/{name}");
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Error::invalid(&pointer, "must be a header's name"));
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(Error::invalid(&pointer, "is set by the extension itself"));
        }
        let value = value.dereference();
        let values: Vec<&Zval> = value.array().map_or_else(|| vec![value], |list| list.values().collect());
        for value in values {
            let value = value.dereference();
            let text = value.string().or_else(|| value.long().map(|number| number.to_string()));
            let text = text.filter(|text| !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            let text =
                text.ok_or_else(|| Error::invalid(&pointer, "must be text on one line, or a list of such"))?;
            list.push((name.clone(), text));
        }
    }
    Ok(list)
}

fn answer(response: Response) -> Result<ArrayResult, Error> {
    let failed = |error: ext_php_rs::error::Error| Error::Internal(error.to_string());
    let is_json = response.header("content-type").is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    });
    let text = |body: &[u8]| {
        let mut text = Zval::new();
        text.set_zend_string(ext_php_rs::types::ZendStr::new(body, false));
        text
    };
    let body = if response.body.is_empty() {
        Zval::null()
    } else if is_json {
        // What claims to be JSON and is not is handed over as it came.
        convert::decode(&response.body)?.ok().filter(Zval::is_array).unwrap_or_else(|| text(&response.body))
    } else {
        text(&response.body)
    };
    let mut headers = ZendHashTable::new();
    for (name, value) in &response.headers {
        // A repeated header becomes a list, which is how the functions take headers too.
        let earlier = headers.get(name.as_str()).map(Zval::shallow_clone);
        let value = match earlier {
            None => value.as_str().into_zval(false).map_err(failed)?,
            Some(earlier) => {
                let mut list = earlier.array().map_or_else(ZendHashTable::new, ToOwned::to_owned);
                if !earlier.is_array() {
                    list.push(earlier).map_err(failed)?;
                }
                list.push(value.as_str()).map_err(failed)?;
                list.into_zval(false).map_err(failed)?
            }
        };
        headers.insert(name.as_str(), value).map_err(failed)?;
    }
    let mut answer = ZendHashTable::new();
    answer.insert("status", i64::from(response.status)).map_err(failed)?;
    answer.insert("headers", headers).map_err(failed)?;
    answer.insert("body", body).map_err(failed)?;
    answer.into_zval(false).map(ArrayResult).map_err(failed)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
