//! `POST /v1/batch`: what an agent acknowledged, handed over.
//!
//! Each operation stands or falls alone, and each was already acknowledged to the shop: what the rules refuse
//! here is recorded too, listed and counted.

use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use trastienda_protocol::batch::{BatchResults, Kind, Operation, OperationResult};
use trastienda_protocol::ids::{EventId, Id};
use trastienda_protocol::limits::{BATCH_MAX, BATCH_OPERATIONS_MAX};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::events::ingest::{self, Ingest, Ingested};
use crate::events::model::EventAccepted;
use crate::http::auth::Caller;
use crate::http::body::{self, overloaded};
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;
use crate::server::budget::{Share, Shared};
use crate::{notifications, payments, server};

/// Operations that are under way at once.
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
    let share = request.extensions().get::<Arc<Share>>().cloned();
    let bytes = body::read(request.into_body(), BATCH_MAX).await?;
    // Inflating up to 16 MiB is work for a blocking thread.
    let parsed = tokio::task::spawn_blocking(move || body::parse(&inflate(&encoding, bytes, share)?));
    let mut document = parsed.await.map_err(|error| Error::Internal(error.into()))??;
    let operations = operations(&mut document)?;
    // A caller who hangs up cuts nothing.
    let task = tokio::spawn(async move {
        // The events are submitted first, in their order; they share transactions, and none waits for the one before it.
        let begun: Vec<Begun> =
            operations.into_iter().map(|operation| Begun::new(&app, &caller.0, &operation)).collect();
        // The rest has no order, and those notifications that come together share transactions too.
        let ended = stream::iter(begun).map(|operation| {
            let (app, context) = (app.clone(), caller.0.clone());
            async move { operation.end(&app, &context).await }
        });
        ended.buffered(TOGETHER).collect::<Vec<_>>().await
    });
    let results = task.await.map_err(|error| Error::Internal(error.into()))?;
    Ok(Json(BatchResults { results }))
}

fn inflate(encoding: &str, bytes: bytes::Bytes, share: Option<Arc<Share>>) -> Result<bytes::Bytes> {
    let reader: Box<dyn Read + '_> = match encoding {
        "identity" | "" => return Ok(bytes),
        "zstd" => Box::new(zstd::Decoder::new(&*bytes).map_err(|error| not_inflated(&error))?),
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(&*bytes)),
        other => {
            let detail =
                format!("`Content-Encoding: {other}` is not known here: send `zstd`, `gzip` or none");
            return Err(Problem::new(415, "unsupported_encoding", "Unsupported encoding", detail).into());
        }
    };
    let mut inflated = Vec::new();
    let limit = BATCH_MAX as u64 + 1;
    match Shared::new(reader, share).take(limit).read_to_end(&mut inflated) {
        Ok(_) if inflated.len() > BATCH_MAX => Err(Problem::too_large(BATCH_MAX).into()),
        Ok(_) => Ok(inflated.into()),
        Err(error) if server::is_too_much(&error) => Err(overloaded()),
        Err(error) => Err(not_inflated(&error)),
    }
}

fn not_inflated(error: &std::io::Error) -> Error {
    let detail = format!("the body cannot be inflated: {error}");
    Problem::new(400, "invalid_encoding", "Invalid encoding", detail).into()
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

/// An operation that was read: an event is being written, the others are still to be done.
enum Begun {
    Event { id: EventId, body: Value, ingested: BoxFuture<'static, Result<Ingested>> },
    Other(Operation),
    Refused(Error),
}

impl Begun {
    fn new(app: &App, context: &Arc<ProjectContext>, value: &Value) -> Self {
        match Operation::parse(value) {
            Ok(operation) if operation.kind == Kind::Event => {
                event(app, context, operation).unwrap_or_else(Self::Refused)
            }
            Ok(operation) => Self::Other(operation),
            Err(errors) => Self::Refused(Error::Invalid(errors)),
        }
    }

    async fn end(self, app: &App, context: &Arc<ProjectContext>) -> OperationResult {
        let outcome = match self {
            Self::Refused(error) => Err(error),
            Self::Other(operation) if operation.kind == Kind::Payment => {
                payments::batch(app, context, operation).await
            }
            Self::Other(operation) => notifications::batch(app, context, operation).await,
            Self::Event { id, body, ingested } => match ingested.await {
                Ok(ingested) => accepted(&ingested),
                Err(error) if matches!(error.problem().status, 400 | 422) => {
                    let recorded = ingest::record_rejected(app, context, id, &body, &error.problem()).await;
                    recorded.and(Err(error))
                }
                Err(error) => Err(error),
            },
        };
        outcome.unwrap_or_else(|error| refused(&error))
    }
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

fn event(app: &App, context: &Arc<ProjectContext>, operation: Operation) -> Result<Begun> {
    let (id, body) = body_with_id::<EventId>(&operation)?;
    let parsed = Ingest::parse(app, &body).map(|ingest| Ingest {
        idempotency_key: operation.idempotency_key,
        acknowledged: true,
        ..ingest
    });
    let ingested: BoxFuture<'static, Result<Ingested>> = match parsed {
        Ok(ingest) => Box::pin(app.gatherer.submit(context.clone(), ingest)),
        Err(error) => Box::pin(ready(Err(error))),
    };
    Ok(Begun::Event { id, body: operation.body, ingested })
}

fn accepted(ingested: &Ingested) -> Result<OperationResult> {
    let body = serde_json::to_value(EventAccepted::from(&ingested.event)).map_err(anyhow::Error::from)?;
    Ok(OperationResult { status: 202, body })
}
