//! Payments that an agent acknowledged: taken as any other, and not waited for.

use std::sync::Arc;
use std::time::Duration;

use trastienda_protocol::batch::{Operation, OperationResult};
use trastienda_protocol::ids::PaymentId;

use super::create::{self, Creation};
use super::model::PaymentView;
use crate::app::App;
use crate::http::Result;
use crate::projects::model::ProjectContext;

/// One operation of a batch.
pub(crate) async fn apply(
    app: &App,
    context: &Arc<ProjectContext>,
    operation: Operation,
) -> Result<OperationResult> {
    let result = take(app, context, &operation).await;
    if let Err(error) = &result {
        let problem = error.problem();
        if matches!(problem.status, 400 | 422) {
            // The shop was told that it is safe. There is no amount to keep it under, so it is told to people.
            metrics::counter!("trastienda_refused_after_acknowledgement_total", "kind" => "payment")
                .increment(1);
            let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
            tracing::error!(
                project.id = %context.project.id,
                payment.id = operation.id,
                code = problem.code,
                fields = pointers.join(" "),
                "a payment that an agent had acknowledged is refused"
            );
        }
    }
    result
}

async fn take(app: &App, context: &Arc<ProjectContext>, operation: &Operation) -> Result<OperationResult> {
    let (id, body) = crate::batch::body_with_id::<PaymentId>(operation)?;
    let key = operation.idempotency_key.clone().unwrap_or_else(|| id.to_string());
    let creation = Creation { acknowledged: true, ..Creation::parse(app, &body, key, Duration::ZERO)? };
    let taken = create::create(app, context.clone(), creation).await?;
    let body = serde_json::to_value(PaymentView::from(taken.payment)).map_err(anyhow::Error::from)?;
    Ok(OperationResult { status: 202, body })
}
