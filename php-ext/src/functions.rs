//! The functions that PHP sees. Each one reads its arguments, makes its call and hands back an answer,
//! all inside [`guard`].

use std::time::Duration;

use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::prelude::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, Id, NotificationId, PaymentId, RandomIds};
use trastienda_protocol::limits::{BODY_MAX, NOTIFICATION_MAX};
use trastienda_protocol::problem::Problem;

use crate::call::{Call, wait_within};
use crate::convert::{self, ArrayArgument, ArrayResult, Body};
use crate::error::Error;
use crate::guard::guard;
use crate::options::{Options, Wait, Waits};
use crate::webhook::{self, Secrets};
use crate::{engine, exception, ini, passthrough};

/// Adds the functions to the module.
pub(crate) fn register(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module
        .info_function(engine::module_info)
        .function(wrap_function!(trastienda_event))
        .function(wrap_function!(trastienda_notify))
        .function(wrap_function!(trastienda_payment_create))
        .function(wrap_function!(trastienda_payment_get))
        .function(wrap_function!(trastienda_feature))
        .function(wrap_function!(trastienda_request))
        .function(wrap_function!(trastienda_verify_webhook))
        .function(wrap_function!(trastienda_status))
}

/// Runs once, when PHP starts the module; anything but 0 stops PHP.
pub(crate) extern "C" fn startup(_kind: i32, module_number: i32) -> i32 {
    let started = guard(|| {
        ini::register(module_number);
        engine::declare_string_or_array(c"trastienda_verify_webhook", 2);
        exception::register().map_err(|error| Error::Internal(error.to_string()))
    });
    i32::from(started.is_err()).wrapping_neg()
}

/// Reports an event; the answer is its id.
#[php_function]
fn trastienda_event(
    r#type: BinarySlice<'_, u8>,
    data: ArrayArgument<'_>,
    options: Option<&ext_php_rs::types::ZendHashTable>,
) -> PhpResult<String> {
    let body = || {
        let kind = convert::utf8(&r#type, "/type")?;
        let options = Options::read(options, Waits::Never)?;
        let id = id_of::<EventId>(options.id.clone(), None)?;
        let mut json = format!(r#"{{"id":"{id}","type":{},"data":"#, convert::quote(kind)).into_bytes();
        json.append(&mut data.to_json()?);
        json.push(b'}');
        if !ini::enabled() {
            return Ok(id);
        }
        within(&json, BODY_MAX)?;
        let budget = options.timeout.unwrap_or_else(ini::timeout);
        let call = Call::create("/v1/events", id.clone(), json, budget)
            .maybe_header("idempotency-key", options.idempotency_key);
        // A repeat of a key is answered with the event that the key made first.
        Ok(made(&call.succeed()?.body).unwrap_or(id))
    };
    Ok(guard(body)?)
}

/// Sends a notification.
#[php_function]
fn trastienda_notify(
    notification: ArrayArgument<'_>,
    options: Option<&ext_php_rs::types::ZendHashTable>,
) -> PhpResult<ArrayResult> {
    let body = || {
        let options = Options::read(options, Waits::Maybe)?;
        let mut body = notification.copy();
        let id = complete::<NotificationId>(&mut body, &options, &["data", "metadata"])?;
        let channel = body.text("channel").unwrap_or_default();
        let json = body.into_json()?;
        if !ini::enabled() {
            let answer =
                format!(r#"{{"id":"{id}","channel":{},"status":"disabled"}}"#, convert::quote(&channel));
            return convert::decode_array(answer.as_bytes());
        }
        within(&json, NOTIFICATION_MAX)?;
        let waits = !matches!(options.wait, None | Some(Wait::No));
        let budget = options.timeout.unwrap_or_else(if waits { ini::sync_timeout } else { ini::timeout });
        let call = Call::create("/v1/notifications", id, json, budget)
            .maybe_header("prefer", waits.then(|| prefer(options.wait, budget)))
            .maybe_header("idempotency-key", options.idempotency_key);
        convert::decode_array(&call.succeed()?.body)
    };
    Ok(guard(body)?)
}

/// Starts a payment and waits for what the provider says.
#[php_function]
fn trastienda_payment_create(
    payment: ArrayArgument<'_>,
    options: Option<&ext_php_rs::types::ZendHashTable>,
) -> PhpResult<ArrayResult> {
    let body = || {
        let options = Options::read(options, Waits::Maybe)?;
        let key = options.idempotency_key.clone();
        let key = key.ok_or_else(|| Error::problem(Problem::idempotency_key_required()))?;
        let mut body = payment.copy();
        let id = complete::<PaymentId>(&mut body, &options, &["payer", "card", "back_urls", "metadata"])?;
        let json = body.into_json()?;
        within(&json, BODY_MAX)?;
        let budget = options.timeout.unwrap_or_else(ini::sync_timeout);
        let call = Call::create("/v1/payments", id, json, budget)
            .header("idempotency-key", key)
            .header("prefer", prefer(options.wait, budget));
        convert::decode_array(&call.succeed()?.body)
    };
    Ok(guard(body)?)
}

/// Reads a payment.
#[php_function]
fn trastienda_payment_get(id: BinarySlice<'_, u8>) -> PhpResult<ArrayResult> {
    let body = || {
        let id = convert::utf8(&id, "/id")?;
        let id = PaymentId::parse(id).map_err(|error| Error::invalid("/id", error.to_string()))?;
        let call = Call::get(format!("/v1/payments/{id}"), ini::sync_timeout());
        convert::decode_array(&call.succeed()?.body)
    };
    Ok(guard(body)?)
}

/// Whether a feature is on; the default for one that nobody knows, and whenever it cannot be learnt in time.
#[php_function]
#[php(defaults(default = false))]
fn trastienda_feature(flag: BinarySlice<'_, u8>, default: bool) -> bool {
    #[derive(Deserialize)]
    struct Feature {
        enabled: bool,
        is_known: Option<bool>,
    }
    let body = || {
        let flag = utf8_percent_encode(convert::utf8(&flag, "/flag")?, NON_ALPHANUMERIC).to_string();
        let response = Call::get(format!("/v1/features/{flag}"), ini::timeout()).succeed()?;
        let feature: Feature =
            serde_json::from_slice(&response.body).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(if feature.is_known == Some(false) { default } else { feature.enabled })
    };
    guard(body).unwrap_or(default)
}

/// Makes any other call of the API; an answer that says no is not an exception here.
#[php_function]
fn trastienda_request(
    method: BinarySlice<'_, u8>,
    path: BinarySlice<'_, u8>,
    body: Option<ArrayArgument<'_>>,
    headers: Option<&ext_php_rs::types::ZendHashTable>,
) -> PhpResult<ArrayResult> {
    Ok(guard(|| passthrough::request(&method, &path, body.as_ref(), headers))?)
}

/// Checks a webhook's signature and gives its body.
#[php_function]
#[php(defaults(tolerance = 300))]
fn trastienda_verify_webhook(
    payload: BinarySlice<'_, u8>,
    headers: &ext_php_rs::types::ZendHashTable,
    secret: Secrets<'_>,
    tolerance: i64,
) -> PhpResult<ArrayResult> {
    Ok(guard(|| webhook::verify(&payload, headers, &secret, tolerance))?)
}

/// How the agent is.
#[php_function]
fn trastienda_status() -> PhpResult<ArrayResult> {
    let body = || {
        let call = Call::get("/agent/status".to_owned(), ini::timeout());
        convert::decode_array(&call.succeed()?.body)
    };
    Ok(guard(body)?)
}

/// The id of what is about to be made: the option's, else the body's, else a new one.
fn id_of<I: Id + std::fmt::Display>(option: Option<String>, body: Option<String>) -> Result<String, Error> {
    let (given, pointer) = if option.is_some() { (option, "/options/id") } else { (body, "/id") };
    match given {
        Some(id) => match I::parse(&id) {
            Ok(_) => Ok(id),
            Err(error) => Err(Error::invalid(pointer, error.to_string())),
        },
        None => Ok(ids::new::<I>(&RandomIds, &SystemClock).to_string()),
    }
}

/// Puts the id into a body, and objects where the contract has them.
fn complete<I: Id + std::fmt::Display>(
    body: &mut Body,
    options: &Options,
    objects: &[&str],
) -> Result<String, Error> {
    let id = id_of::<I>(options.id.clone(), body.text("id"))?;
    body.set("id", &id)?;
    body.objects(objects)?;
    Ok(id)
}

fn prefer(wait: Option<Wait>, budget: Duration) -> String {
    match wait {
        Some(Wait::No) => "respond-async".to_owned(),
        None | Some(Wait::Budget) => format!("wait={}", wait_within(budget, None)),
        Some(Wait::Seconds(seconds)) => format!("wait={}", wait_within(budget, Some(seconds))),
    }
}

/// Refuses a body that the agent would refuse for its size, without sending it.
fn within(json: &[u8], limit: usize) -> Result<(), Error> {
    if json.len() <= limit { Ok(()) } else { Err(Error::problem(Problem::too_large(limit))) }
}

/// The id in an answer.
fn made(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    serde_json::from_slice::<Made>(answer).ok().map(|made| made.id)
}
