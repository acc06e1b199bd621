//! SQL of notifications, as callers make, see and change them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use uuid::Uuid;

use crate::http::pagination::ListQuery;
use crate::notifications::model::Attempt;

/// A notification to be written.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) project: ProjectId,
    pub(crate) id: NotificationId,
    pub(crate) channel: &'static str,
    pub(crate) recipient: String,
    pub(crate) payload: Value,
    pub(crate) template: Option<String>,
    pub(crate) template_version: Option<i32>,
    pub(crate) locale: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) status: &'static str,
    pub(crate) detail: Option<&'static str>,
    pub(crate) problem: Option<Value>,
    pub(crate) open_token_hash: Option<Vec<u8>>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// A notification's row, without its content.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) channel: String,
    pub(crate) recipient: String,
    pub(crate) link: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) template_version: Option<i32>,
    pub(crate) locale: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) status: String,
    pub(crate) detail: Option<String>,
    pub(crate) problem: Option<Value>,
    pub(crate) attempts: i32,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) is_leased: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) blanked_at: Option<DateTime<Utc>>,
}

/// Writes a notification; false if its id is taken.
pub(crate) async fn insert_notification(conn: &mut PgConnection, row: &NewRow) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        insert into notifications (project_id, id, channel, recipient, payload, template, template_version, locale, order_id,
                                   metadata, status, detail, problem, open_token_hash, attempts, run_at, expires_at,
                                   fingerprint, created_at, finished_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $17, $18, $19)
        on conflict (project_id, id) do nothing
        "#,
        row.project.uuid(),
        row.id.uuid(),
        row.channel,
        row.recipient,
        row.payload,
        row.template,
        row.template_version,
        row.locale,
        row.order_id,
        row.metadata,
        row.status,
        row.detail,
        row.problem,
        row.open_token_hash,
        row.run_at,
        row.expires_at,
        row.fingerprint.as_slice(),
        row.created_at,
        row.finished_at,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Writes several at once; gives how many of their ids were free.
pub(crate) async fn insert_notifications(conn: &mut PgConnection, rows: &[&NewRow]) -> sqlx::Result<usize> {
    fn column<T>(rows: &[&NewRow], read: impl Fn(&NewRow) -> T) -> Vec<T> {
        rows.iter().map(|row| read(row)).collect()
    }
    if rows.is_empty() {
        return Ok(0);
    }
    let inserted = sqlx::query!(
        r#"
        insert into notifications (project_id, id, channel, recipient, payload, template, template_version, locale, order_id,
                                   metadata, status, attempts, run_at, expires_at, fingerprint, created_at)
        select n.project_id, n.id, n.channel, n.recipient, n.payload, n.template, n.template_version, n.locale, n.order_id,
               n.metadata, n.status, 0, n.run_at, n.expires_at, n.fingerprint, n.created_at
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::integer[], $8::text[],
                    $9::text[], $10::jsonb[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::bytea[],
                    $15::timestamptz[])
            as n (project_id, id, channel, recipient, payload, template, template_version, locale, order_id, metadata, status,
                  run_at, expires_at, fingerprint, created_at)
        on conflict (project_id, id) do nothing
        "#,
        &column(rows, |row| row.project.uuid()),
        &column(rows, |row| row.id.uuid()),
        &column(rows, |row| row.channel.to_owned()),
        &column(rows, |row| row.recipient.clone()),
        &column(rows, |row| row.payload.clone()),
        &column(rows, |row| row.template.clone()) as &[Option<String>],
        &column(rows, |row| row.template_version) as &[Option<i32>],
        &column(rows, |row| row.locale.clone()) as &[Option<String>],
        &column(rows, |row| row.order_id.clone()) as &[Option<String>],
        &column(rows, |row| row.metadata.clone()),
        &column(rows, |row| row.status.to_owned()),
        &column(rows, |row| row.run_at),
        &column(rows, |row| row.expires_at) as &[Option<DateTime<Utc>>],
        &column(rows, |row| row.fingerprint.to_vec()),
        &column(rows, |row| row.created_at),
    )
    .execute(conn)
    .await?;
    Ok(usize::try_from(inserted.rows_affected()).unwrap_or(usize::MAX))
}

/// Which of these ids are taken.
pub(crate) async fn list_known_ids(
    conn: &mut PgConnection,
    ids: Vec<(Uuid, Uuid)>,
) -> sqlx::Result<std::collections::HashSet<(Uuid, Uuid)>> {
    let (projects, ids): (Vec<Uuid>, Vec<Uuid>) = ids.into_iter().unzip();
    let rows = sqlx::query!(
        r#"
        select k.project_id, k.id
        from unnest($1::uuid[], $2::uuid[]) as n (project_id, id)
        join notifications k on k.project_id = n.project_id and k.id = n.id
        "#,
        &projects,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.id)).collect())
}

pub(crate) async fn find_notification(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        select project_id, id, channel, recipient, case when channel = 'whatsapp' then payload ->> 'link' end as link,
               template, template_version, locale, order_id, metadata, status, detail, problem, attempts, run_at, expires_at,
               fingerprint, lease_token is not null as "is_leased!", created_at, finished_at, blanked_at
        from notifications
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// The same, and nobody else changes it before the transaction ends.
pub(crate) async fn lock_notification(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
) -> sqlx::Result<Option<Row>> {
    sqlx::query!(
        "select from notifications where project_id = $1 and id = $2 for update",
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    find_notification(conn, project, id).await
}

/// What is sent, without the attachments' bytes.
pub(crate) async fn get_content(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"
        select case when payload ? 'attachments'
                    then jsonb_set(payload, '{attachments}', (
                        select jsonb_agg(attachment - 'content')
                        from jsonb_array_elements(payload -> 'attachments') attachment
                    ))
                    else payload
               end as "content!"
        from notifications
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// The filters of the list.
pub(crate) struct Filters {
    pub(crate) channel: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) order_id: Option<String>,
}

pub(crate) async fn list_notifications(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &Filters,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        select project_id, id, channel, recipient, case when channel = 'whatsapp' then payload ->> 'link' end as link,
               template, template_version, locale, order_id, metadata, status, detail, problem, attempts, run_at, expires_at,
               fingerprint, lease_token is not null as "is_leased!", created_at, finished_at, blanked_at
        from notifications
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::text is null or channel = $6)
          and ($7::text is null or lower(recipient) = lower($7))
          and ($8::text is null or template = $8)
          and ($9::text is null or status = $9)
          and ($10::text is null or order_id = $10)
        order by created_at desc, id desc
        limit $11
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.channel,
        filters.to,
        filters.template,
        filters.status,
        filters.order_id,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn list_attempts(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"
        select created_at as at, attempt, status, server, is_doubtful, response_code, response, error, duration_ms
        from notification_attempts
        where project_id = $1 and notification_id = $2
        order by created_at, id
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await
}

/// Back to the start of its attempts, due now.
pub(crate) async fn mark_retried(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update notifications
        set status = 'pending', detail = null, attempts = 0, run_at = $3, finished_at = null
        where project_id = $1 and id = $2 and lease_token is null
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Over, from `pending`; false if it was not pending.
pub(crate) async fn mark_over(
    conn: &mut PgConnection,
    key: (Uuid, Uuid),
    status: &str,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update notifications
        set status = $3, detail = $4, finished_at = $5, lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2 and status = 'pending'
        "#,
        key.0,
        key.1,
        status,
        detail,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A WhatsApp notification by the digest of its address.
pub(crate) struct OpenRow {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) link: String,
    pub(crate) status: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) template: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
}

pub(crate) async fn find_open(conn: &mut PgConnection, token_hash: &[u8]) -> sqlx::Result<Option<OpenRow>> {
    sqlx::query_as!(
        OpenRow,
        r#"
        select project_id, id, payload ->> 'link' as "link!", status, expires_at, template, order_id, metadata
        from notifications
        where open_token_hash = $1 and blanked_at is null
        "#,
        token_hash,
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn is_sent(conn: &mut PgConnection, key: (Uuid, Uuid)) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select status = 'sent' as "is_sent!" from notifications where project_id = $1 and id = $2"#,
        key.0,
        key.1,
    )
    .fetch_one(conn)
    .await
}

/// Makes room for a notification that was refused under this id and is sent again.
pub(crate) async fn delete_refused(
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from notifications where project_id = $1 and id = $2 and status = 'failed' and detail = 'refused'",
        project.uuid(),
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the addresses and contents of what was over before a time, up to a number of rows. Gives how many there were.
pub(crate) async fn blank_notifications(
    conn: &mut PgConnection,
    project: ProjectId,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let ids = sqlx::query_scalar!(
        r#"
        update notifications n
        set recipient = '', payload = '{}', metadata = '{}', problem = null, open_token_hash = null, blanked_at = $3
        from (
            select id
            from notifications
            where project_id = $1 and blanked_at is null and status <> 'pending' and created_at < $2
            order by created_at
            limit 500
            for update skip locked
        ) old
        where n.project_id = $1 and n.id = old.id
        returning n.id
        "#,
        project.uuid(),
        before,
        now,
    )
    .fetch_all(&mut *conn)
    .await?;
    // A server's answer may name the address.
    sqlx::query!(
        r#"
        update notification_attempts
        set response = null, error = null
        where project_id = $1 and notification_id = any($2) and (response is not null or error is not null)
        "#,
        project.uuid(),
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(ids.len() as u64)
}
