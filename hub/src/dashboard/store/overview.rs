//! SQL of the first page. Counting stops at a thousand, or at a million where a day is drawn: what is more than that needs
//! no exact number.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::lower_bound;
use uuid::Uuid;

const SHOPS_MAX: i64 = 1_000;

/// A shop in numbers.
#[derive(Debug)]
pub(crate) struct ShopRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) mode: String,
    pub(crate) plan: String,
    pub(crate) is_active: bool,
    pub(crate) events_limit: Option<i32>,
    pub(crate) emails_limit: Option<i32>,
    pub(crate) whatsapp_limit: Option<i32>,
    pub(crate) payments_limit: Option<i32>,
    pub(crate) events_used: i64,
    pub(crate) emails_used: i64,
    pub(crate) whatsapp_used: i64,
    pub(crate) payments_used: i64,
    pub(crate) agent_seen_at: Option<DateTime<Utc>>,
    pub(crate) agent_status: Option<Value>,
    pub(crate) key_made_at: Option<DateTime<Utc>>,
    pub(crate) endpoints: i64,
    pub(crate) endpoints_failing: i64,
    pub(crate) mails_failed: i64,
    pub(crate) events_refused: i64,
    pub(crate) notifications_refused: i64,
    pub(crate) whatsapp_pending: i64,
    pub(crate) payments_unpaid: i64,
    pub(crate) payments_disputed: i64,
    pub(crate) cases_open: i64,
}

/// Every shop, by name; what failed or was refused since then.
pub(crate) async fn list_shops(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    today: NaiveDate,
) -> sqlx::Result<Vec<ShopRow>> {
    sqlx::query_as!(
        ShopRow,
        r#"
        select p.id, p.name, p.domain, p.mode, p.plan, p.is_active,
               l.events_per_day as "events_limit?", l.emails_per_day as "emails_limit?",
               l.whatsapp_per_day as "whatsapp_limit?", l.payments_per_day as "payments_limit?",
               coalesce(u.events, 0) as "events_used!", coalesce(u.emails, 0) as "emails_used!",
               coalesce(u.whatsapp, 0) as "whatsapp_used!", coalesce(u.payments, 0) as "payments_used!",
               a.seen_at as "agent_seen_at?", a.status as "agent_status?", k.created_at as "key_made_at?",
               e.endpoints as "endpoints!", e.failing as "endpoints_failing!",
               (select count(*) from (
                   select from notifications
                   where project_id = p.id and status = 'failed' and finished_at >= $1 and channel = 'email'
                     and detail in ('rejected', 'gave_up', 'invalid')
                   limit 1000) x) as "mails_failed!",
               (select count(*) from (
                   select from events where project_id = p.id and status = 'rejected' and id >= $2 limit 1000) x) as "events_refused!",
               (select count(*) from (
                   select from notifications
                   where project_id = p.id and status = 'failed' and finished_at >= $1 and detail = 'refused'
                   limit 1000) x) as "notifications_refused!",
               (select count(*) from (
                   select from notifications where project_id = p.id and status = 'pending' and channel = 'whatsapp'
                   limit 1000) x) as "whatsapp_pending!",
               (select count(*) from (
                   select from payment_transactions where project_id = p.id and status = 'pending' limit 1000) x) as "payments_unpaid!",
               (select count(*) from (
                   select from payment_transactions
                   where project_id = p.id and detail in ('in_mediation', 'charged_back')
                   limit 1000) x) as "payments_disputed!",
               (select count(*) from (
                   select from payment_cases where project_id = p.id and status = 'open' limit 1000) x) as "cases_open!"
        from projects p
        left join project_limits l on l.project_id = p.id
        left join lateral (
            select max(used) filter (where service = 'events') as events,
                   max(used) filter (where service = 'emails') as emails,
                   max(used) filter (where service = 'whatsapp') as whatsapp,
                   max(used) filter (where service = 'payments') as payments
            from usage_daily
            where project_id = p.id and day = $3
        ) u on true
        left join lateral (
            select seen_at, status from agents where project_id = p.id order by seen_at desc limit 1
        ) a on true
        left join api_keys k on k.project_id = p.id and k.expires_at is null
        left join lateral (
            select count(*) as endpoints,
                   count(*) filter (where disabled_at is not null or failing_since is not null) as failing
            from webhook_endpoints
            where project_id = p.id
        ) e on true
        order by lower(p.name), p.id
        limit $4
        "#,
        since,
        lower_bound(since),
        today,
        SHOPS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// What happened in an hour.
#[derive(Debug)]
pub(crate) struct HourRow {
    pub(crate) hour: DateTime<Utc>,
    pub(crate) series: String,
    pub(crate) value: f64,
}

/// The last day by the hour, over all shops.
pub(crate) async fn list_hours(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<HourRow>> {
    sqlx::query_as!(
        HourRow,
        r#"
        with attempts as (
            select date_trunc('hour', w.created_at) as hour, w.status, w.duration_ms
            from projects p
            cross join lateral (
                select created_at, status, duration_ms
                from webhook_logs
                where project_id = p.id and id >= $3 and created_at >= $1 and created_at <= $2
                limit 1000000
            ) w
        )
        select hour as "hour!", series as "series!", value as "value!"
        from (
            select date_trunc('hour', v.created_at) as hour,
                   case when v.status = 'rejected' then 'events_refused' else 'events' end as series,
                   count(*)::float8 as value
            from projects p
            cross join lateral (
                select created_at, status from events
                where project_id = p.id and id >= $3 and created_at >= $1 and created_at <= $2
                limit 1000000
            ) v
            group by 1, 2
            union all
            select hour, case when status = 'sent' then 'deliveries_sent' else 'deliveries_failed' end, count(*)::float8
            from attempts
            group by 1, 2
            union all
            select hour, 'latency_p50', percentile_cont(0.5) within group (order by duration_ms) from attempts group by 1
            union all
            select hour, 'latency_p95', percentile_cont(0.95) within group (order by duration_ms) from attempts group by 1
            union all
            select date_trunc('hour', n.created_at), case when n.status = 'sent' then 'mails_sent' else 'mails_failed' end,
                   count(*)::float8
            from projects p
            cross join lateral (
                select created_at, status from notification_attempts
                where project_id = p.id and id >= $3 and created_at >= $1 and created_at <= $2
                limit 1000000
            ) n
            group by 1, 2
            union all
            select date_trunc('hour', t.created_at), case when t.status = 'paid' then 'payments_paid' else 'payments_other' end,
                   count(*)::float8
            from projects p
            cross join lateral (
                select created_at, status from payment_transactions
                where project_id = p.id and created_at >= $1 and created_at <= $2
                limit 1000000
            ) t
            group by 1, 2
        ) as hours
        "#,
        since,
        until,
        lower_bound(since),
    )
    .fetch_all(conn)
    .await
}

/// Something that is another whenever any table of the shops' has changed: how many rows were written so far.
pub(crate) async fn get_pulse(db: &PgPool) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"
        select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text as "pulse!"
        from pg_stat_user_tables
        where relname not in ('dashboard_sessions', 'audit_log', 'hubs', 'alert_settings')
        "#
    )
    .fetch_one(db)
    .await
}
