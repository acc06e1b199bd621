//! SQL of cases.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{CaseId, Id as _, PaymentId, ProjectId};
use trastienda_protocol::money::{Currency, Money};
use uuid::Uuid;

use crate::http::pagination::ListQuery;
use crate::payments::cases::{Case, Kind, NewCase};

struct CaseRow {
    id: Uuid,
    kind: String,
    status: String,
    provider: String,
    payment_id: Option<Uuid>,
    order_id: Option<String>,
    external_id: Option<String>,
    currency: Option<String>,
    expected_minor: Option<i64>,
    actual_minor: Option<i64>,
    detail: String,
    note: Option<String>,
    created_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<CaseRow> for Case {
    type Error = anyhow::Error;

    fn try_from(row: CaseRow) -> anyhow::Result<Self> {
        let id = CaseId::from_uuid(row.id);
        let kind = Kind::parse(&row.kind)
            .with_context(|| format!("payment_cases.kind of {id} is `{}`", row.kind))?;
        let currency = row.currency.as_deref().and_then(Currency::parse);
        let money = |minor: Option<i64>| {
            minor.zip(currency).map(|(minor, currency)| Money { minor, currency }.to_string())
        };
        Ok(Self {
            id,
            kind,
            status: row.status,
            provider: row.provider,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            order_id: row.order_id,
            external_id: row.external_id,
            expected: money(row.expected_minor),
            actual: money(row.actual_minor),
            currency,
            detail: row.detail,
            note: row.note,
            created_at: row.created_at,
            closed_at: row.closed_at,
        })
    }
}

/// Writes a case; false if the same difference was raised before, whether it is closed or not.
pub(crate) async fn insert_case(
    conn: &mut PgConnection,
    project: ProjectId,
    id: CaseId,
    case: &NewCase,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let currency = case.expected.or(case.actual).map(|money| money.currency.as_str());
    let result = sqlx::query!(
        r#"
        insert into payment_cases (project_id, id, kind, subject, status, provider, payment_id, order_id, external_id,
                                   currency, expected_minor, actual_minor, detail, created_at)
        values ($1, $2, $3, $4, 'open', $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (project_id, kind, subject) do nothing
        "#,
        project.uuid(),
        id.uuid(),
        case.kind.as_str(),
        case.subject,
        case.provider,
        case.payment_id.map(PaymentId::uuid),
        case.order_id,
        case.external_id,
        currency,
        case.expected.map(|money| money.minor),
        case.actual.map(|money| money.minor),
        case.detail,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// The filters of the list.
pub(crate) struct CaseFilters {
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) order_id: Option<String>,
}

pub(crate) async fn list_cases(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &CaseFilters,
) -> anyhow::Result<Vec<Case>> {
    let rows = sqlx::query_as!(
        CaseRow,
        r#"
        select id, kind, status, provider, payment_id, order_id, external_id, currency, expected_minor, actual_minor, detail,
               note, created_at, closed_at
        from payment_cases
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::text is null or kind = $6)
          and ($7::text is null or status = $7)
          and ($8::text is null or order_id = $8)
        order by created_at desc, id desc
        limit $9
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.kind,
        filters.status,
        filters.order_id,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Case::try_from).collect()
}

pub(crate) async fn find_case(
    conn: &mut PgConnection,
    project: ProjectId,
    id: CaseId,
) -> anyhow::Result<Option<Case>> {
    let row = sqlx::query_as!(
        CaseRow,
        r#"
        select id, kind, status, provider, payment_id, order_id, external_id, currency, expected_minor, actual_minor, detail,
               note, created_at, closed_at
        from payment_cases
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Case::try_from).transpose()
}

/// Closes a case that is open; one that is closed keeps its note.
pub(crate) async fn close_case(
    conn: &mut PgConnection,
    project: ProjectId,
    id: CaseId,
    note: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update payment_cases
        set status = 'closed', note = $3, closed_at = $4
        where project_id = $1 and id = $2 and status = 'open'
        "#,
        project.uuid(),
        id.uuid(),
        note,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes the open cases of a kind about an order, which have come to nothing. It may be raised again.
pub(crate) async fn drop_cases_of_order(
    conn: &mut PgConnection,
    project: ProjectId,
    kind: Kind,
    order_id: &str,
    note: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        r#"
        update payment_cases
        set status = 'closed', note = $4, closed_at = $5, subject = subject || ' ' || id::text
        where project_id = $1 and kind = $2 and order_id = $3 and status = 'open'
        "#,
        project.uuid(),
        kind.as_str(),
        order_id,
        note,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}
