//! `POST /v1/batch`: what an agent acknowledged, handed over.
//!
//! Each operation stands or falls alone, and each was already acknowledged to the shop: what the rules refuse
//! here is recorded too, listed and counted.

use std::io::Read as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use trastienda_protocol::batch::{BatchResults, Kind, Operation, OperationResult};
use trastienda_protocol::ids::{EventId, Id};
use trastienda_protocol::limits::{BATCH_MAX, BATCH_OPERATIONS_MAX};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::events::ingest::{self, Ingest};
use crate::events::model::EventAccepted;
use crate::http::auth::Caller;
use crate::http::{Error, Result, body};
use crate::projects::model::ProjectContext;
use crate::{notifications, payments};

/// Notifications that are accepted at once.
const TOGETHER: usize = 64;

/// The route.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// Takes up to 1,000 operations; each stands or falls alone.
#[utoipa::path(post, path = "/v1/batch", tag = "batch", responses((status = 200, body = BatchResults)))]
async fn batch(State(app): State<App>, caller: Caller, request: Request) -> Result<Json<BatchResults>> {
    let encoding = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("identity");
    let encoding = encoding.trim().to_ascii_lowercase();
    let bytes = body::read(request.into_body(), BATCH_MAX).await?;
    // Inflating up to 16 MiB is work for a blocking thread.
    let parsed = tokio::task::spawn_blocking(move || body::parse(&inflate(&encoding, bytes)?));
    let mut document = parsed.await.map_err(|error| Error::Internal(error.into()))??;
    let operations = operations(&mut document)?;
    // A caller who hangs up cuts nothing.
    let task = tokio::spawn(async move {
        let mut results = Vec::with_capacity(operations.len());
        let mut rest = operations;
        while !rest.is_empty() {
            // Events keep their order; notifications have none, and those that come together share transactions.
            let together = rest.iter().take_while(|operation| is_notification(operation)).count().max(1);
            let later = rest.split_off(together);
            let applied = stream::iter(rest).map(|operation| {
                let (app, context) = (app.clone(), caller.0.clone());
                async move { apply(&app, &context, &operation).await }
            });
            results.extend(applied.buffered(TOGETHER).collect::<Vec<_>>().await);
            rest = later;
        }
        results
    });
    let results = task.await.map_err(|error| Error::Internal(error.into()))?;
    Ok(Json(BatchResults { results }))
}

fn is_notification(operation: &Value) -> bool {
    operation.get("kind").and_then(Value::as_str) == Some("notification")
}

fn inflate(encoding: &str, bytes: bytes::Bytes) -> Result<bytes::Bytes> {
    let limit = BATCH_MAX as u64 + 1;
    let mut inflated = Vec::new();
    let read = match encoding {
        "identity" | "" => return Ok(bytes),
        "zstd" => {
            zstd::Decoder::new(&*bytes).and_then(|decoder| decoder.take(limit).read_to_end(&mut inflated))
        }
        "gzip" => flate2::read::MultiGzDecoder::new(&*bytes).take(limit).read_to_end(&mut inflated),
        other => {
            let detail =
                format!("`Content-Encoding: {other}` is not known here: send `zstd`, `gzip` or none");
            return Err(Problem::new(415, "unsupported_encoding", "Unsupported encoding", detail).into());
        }
    };
    match read {
        Ok(_) if inflated.len() > BATCH_MAX => Err(Problem::too_large(BATCH_MAX).into()),
        Ok(_) => Ok(inflated.into()),
        Err(error) => Err(Problem::new(
            400,
            "invalid_encoding",
            "Invalid encoding",
            format!("the body cannot be inflated: {error}"),
        )
        .into()),
    }
}

fn operations(document: &mut Value) -> Result<Vec<Value>> {
    let Some(map) = document.as_object_mut() else {
        return Err(Error::field("", "must be an object with `operations`"));
    };
    let operations = map.remove("operations");
    let mut errors: Vec<FieldError> = map
        .keys()
        .map(|key| FieldError {
            is_unknown_field: true,
            ..FieldError::new(format!("/{key}"), "is not a known field; known here: `operations`")
        })
        .collect();
    match operations {
        Some(Value::Array(items)) if items.len() <= BATCH_OPERATIONS_MAX && errors.is_empty() => {
            return Ok(items);
        }
        Some(Value::Array(items)) if items.len() > BATCH_OPERATIONS_MAX => {
            errors.push(FieldError::new(
                "/operations",
                format!("may have at most {BATCH_OPERATIONS_MAX} items"),
            ));
        }
        Some(Value::Array(_)) => {}
        _ => errors.push(FieldError::new("/operations", "must be a list of operations")),
    }
    Err(Error::Invalid(errors))
}

async fn apply(app: &App, context: &Arc<ProjectContext>, value: &Value) -> OperationResult {
    let outcome = match Operation::parse(value) {
        Ok(operation) => match operation.kind {
            Kind::Event => event(app, context, operation).await,
            Kind::Notification => notifications::batch(app, context, operation).await,
            Kind::Payment => payments::batch(app, context, operation).await,
        },
        Err(errors) => Err(Error::Invalid(errors)),
    };
    outcome.unwrap_or_else(|error| refused(&error))
}

/// The result of an operation that is refused or failed.
pub(crate) fn refused(error: &Error) -> OperationResult {
    if let Error::Internal(error) = error {
        tracing::error!(error = format!("{error:#}"), "an operation of a batch failed");
    }
    let problem = error.problem();
    OperationResult { status: problem.status, body: serde_json::to_value(&problem).unwrap_or_default() }
}

/// Puts the operation's id into the body, where a single call would have it.
pub(crate) fn body_with_id<I: Id + std::fmt::Display>(operation: &Operation) -> Result<(I, Value)> {
    let id = I::parse(&operation.id).map_err(|error| Error::field("/id", error.to_string()))?;
    let mut body = operation.body.clone();
    if let Some(map) = body.as_object_mut() {
        map.insert("id".to_owned(), id.to_string().into());
    }
    Ok((id, body))
}

async fn event(app: &App, context: &Arc<ProjectContext>, operation: Operation) -> Result<OperationResult> {
    let (id, body) = body_with_id::<EventId>(&operation)?;
    let parsed = Ingest::parse(app, &body).map(|ingest| Ingest {
        idempotency_key: operation.idempotency_key,
        acknowledged: true,
        ..ingest
    });
    let outcome = match parsed {
        Ok(ingest) => ingest::ingest(app, context.clone(), ingest).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(ingested) => {
            let accepted = EventAccepted::from(&ingested.event);
            Ok(OperationResult {
                status: 202,
                body: serde_json::to_value(accepted).map_err(anyhow::Error::from)?,
            })
        }
        Err(error) if matches!(error.problem().status, 400 | 422) => {
            ingest::record_rejected(app, context, id, &operation.body, &error.problem()).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}
