//! Notifications that an agent acknowledged, handed over in a batch.

use std::sync::Arc;

use trastienda_protocol::batch::{Operation, OperationResult};
use trastienda_protocol::ids::NotificationId;

use super::accept::{self, Accept};
use crate::app::App;
use crate::batch::body_with_id;
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;

/// One operation: what the single call would answer. What is refused for its content is kept as `failed`.
pub(crate) async fn batch(
    app: &App,
    context: &Arc<ProjectContext>,
    operation: Operation,
) -> Result<OperationResult> {
    let (id, body) = body_with_id::<NotificationId>(&operation)?;
    let parsed = Accept::parse(app, &body).map(|accept| Accept {
        idempotency_key: operation.idempotency_key,
        acknowledged: true,
        ..accept
    });
    let outcome = match parsed {
        Ok(accept) => accept::accept(app, context.clone(), accept).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(accepted) => {
            let body = serde_json::to_value(accepted.answer).map_err(anyhow::Error::from)?;
            Ok(OperationResult { status: 202, body })
        }
        Err(error) => {
            let problem = Error::problem(&error);
            if matches!(problem.status, 400 | 422) {
                accept::record_refused(app, context, id, &operation.body, &problem).await?;
            }
            Err(error)
        }
    }
}
