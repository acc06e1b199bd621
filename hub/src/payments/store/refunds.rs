//! SQL of refunds.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId, RefundId};
use trastienda_protocol::money::{Currency, Money};
use uuid::Uuid;

use crate::payments::model::{Payment, RefundView};

/// A refund's row.
#[derive(Debug, Clone)]
pub(crate) struct RefundRow {
    pub(crate) id: Uuid,
    pub(crate) amount_minor: i64,
    pub(crate) status: String,
    pub(crate) detail: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) provider_key: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
}

impl RefundRow {
    pub(crate) fn view(self, currency: Currency) -> RefundView {
        RefundView {
            id: RefundId::from_uuid(self.id),
            status: self.status,
            detail: self.detail,
            amount: Money { minor: self.amount_minor, currency }.to_string(),
            external_id: self.external_id,
            created_at: self.created_at,
        }
    }
}

pub(crate) async fn insert_refund(
    conn: &mut PgConnection,
    payment: &Payment,
    refund: &RefundRow,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_refunds (project_id, id, payment_id, amount_minor, status, provider_key, attempts, fingerprint,
                                     created_at, updated_at)
        values ($1, $2, $3, $4, 'pending', $5, 0, $6, $7, $7)
        "#,
        payment.project_id.uuid(),
        refund.id,
        payment.id.uuid(),
        refund.amount_minor,
        refund.provider_key,
        refund.fingerprint,
        refund.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn find_refund(
    conn: &mut PgConnection,
    project: ProjectId,
    id: RefundId,
) -> sqlx::Result<Option<RefundRow>> {
    sqlx::query_as!(
        RefundRow,
        r#"
        select id, amount_minor, status, detail, external_id, provider_key, fingerprint, created_at
        from payment_refunds
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// A payment's refunds, oldest first.
pub(crate) async fn list_refunds(
    conn: &mut PgConnection,
    project: ProjectId,
    payment: PaymentId,
) -> sqlx::Result<Vec<RefundRow>> {
    sqlx::query_as!(
        RefundRow,
        r#"
        select id, amount_minor, status, detail, external_id, provider_key, fingerprint, created_at
        from payment_refunds
        where project_id = $1 and payment_id = $2
        order by created_at, id
        "#,
        project.uuid(),
        payment.uuid(),
    )
    .fetch_all(conn)
    .await
}

/// What came of a refund that was pending.
pub(crate) async fn finish_refund(
    conn: &mut PgConnection,
    payment: &Payment,
    refund: &RefundRow,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update payment_refunds
        set status = $3, detail = $4, external_id = $5, attempts = attempts + 1, updated_at = $6
        where project_id = $1 and id = $2 and status = 'pending'
        "#,
        payment.project_id.uuid(),
        refund.id,
        refund.status,
        refund.detail,
        refund.external_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
