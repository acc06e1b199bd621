//! SQL of deliveries as jobs: writing, claiming and finishing them, many in one statement.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use trastienda_protocol::ids::{DeliveryId, EventId, Id as _, ProjectId};
use uuid::Uuid;

use crate::queue::in_hand::Hold;
use crate::queue::{Lease, Verdict};
use crate::webhooks::deliver::Attempted;
use crate::webhooks::in_flight::Busy;

/// An endpoint as deliveries need it. Its secrets and headers are sealed.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) ordered: bool,
    /// It is disabled, or its circuit is not closed: nothing goes, but for a probe.
    pub(crate) is_holding: bool,
    /// It has failed since its last success.
    pub(crate) is_failing: bool,
    pub(crate) max_in_flight: i32,
    pub(crate) rate_per_second: Option<i32>,
    pub(crate) retry_schedule: Option<Vec<i32>>,
    pub(crate) headers_sealed: Option<Vec<u8>>,
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) previous_secret_sealed: Option<Vec<u8>>,
    pub(crate) previous_secret_expires_at: Option<DateTime<Utc>>,
}

impl Target {
    /// Whether the project's agents pull what goes there.
    pub(crate) fn is_pulled(&self) -> bool {
        self.url.starts_with(trastienda_protocol::pull::SCHEME)
    }
}

/// The projects' endpoints, disabled ones too: their deliveries wait. In one order, so that two transactions take the
/// locks of ordered endpoints alike.
pub(crate) async fn list_targets(conn: &mut PgConnection, projects: &[Uuid]) -> sqlx::Result<Vec<Target>> {
    sqlx::query_as!(
        Target,
        r#"
        select project_id, id, url, events, ordered, disabled_at is not null or open_until is not null as "is_holding!",
               failing_since is not null as "is_failing!", max_in_flight,
               rate_per_second, retry_schedule, headers_sealed, secret_sealed, previous_secret_sealed,
               previous_secret_expires_at
        from webhook_endpoints
        where project_id = any($1)
        order by project_id, id
        "#,
        projects,
    )
    .fetch_all(conn)
    .await
}

/// A delivery to be written.
#[derive(Debug)]
pub(crate) struct NewDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) project_id: ProjectId,
    pub(crate) target: Arc<Target>,
    pub(crate) event_id: EventId,
    pub(crate) event_type: String,
    pub(crate) order_id: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    /// Whether it is written leased to this hub, which then runs it without a claim.
    pub(crate) is_leased: bool,
}

/// Writes deliveries, in the order of acceptance; `lease` is that of those that are leased.
pub(crate) async fn insert_deliveries(
    conn: &mut PgConnection,
    deliveries: &[NewDelivery],
    lease: Option<&Lease>,
) -> sqlx::Result<()> {
    let sequences = take_sequences(conn, deliveries).await?;
    let lease_token = |delivery: &NewDelivery| lease.filter(|_| delivery.is_leased).map(Lease::token);
    let column = |value: fn(&NewDelivery) -> Uuid| deliveries.iter().map(value).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        insert into webhook_deliveries (project_id, id, endpoint_id, event_id, event_type, order_id, status, attempts,
                                        is_replay, sequence, run_at, lease_token, lease_hub, lease_until, created_at)
        select new.project_id, new.id, new.endpoint_id, new.event_id, new.event_type, new.order_id, 'pending', 0, false,
               new.sequence, new.created_at, new.lease_token,
               case when new.lease_token is not null then $10::integer end,
               case when new.lease_token is not null then $11::timestamptz end,
               new.created_at
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[],
                    $8::timestamptz[], $9::uuid[])
            as new(project_id, id, endpoint_id, event_id, event_type, order_id, sequence, created_at, lease_token)
        "#,
        &column(|delivery| delivery.project_id.uuid()),
        &column(|delivery| delivery.id.uuid()),
        &column(|delivery| delivery.target.id),
        &column(|delivery| delivery.event_id.uuid()),
        &deliveries.iter().map(|delivery| delivery.event_type.clone()).collect::<Vec<_>>(),
        &deliveries.iter().map(|delivery| delivery.order_id.clone()).collect::<Vec<_>>() as &[Option<String>],
        &sequences as &[Option<i64>],
        &deliveries.iter().map(|delivery| delivery.created_at).collect::<Vec<_>>(),
        &deliveries.iter().map(lease_token).collect::<Vec<_>>() as &[Option<Uuid>],
        lease.map(|lease| lease.hub),
        lease.map(|lease| lease.until),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Numbers for the deliveries of ordered endpoints. Whoever holds an endpoint's lock commits before the next takes a
/// number of its.
async fn take_sequences(
    conn: &mut PgConnection,
    deliveries: &[NewDelivery],
) -> sqlx::Result<Vec<Option<i64>>> {
    let mut ordered: Vec<Uuid> = deliveries
        .iter()
        .filter(|delivery| delivery.target.ordered)
        .map(|delivery| delivery.target.id)
        .collect();
    if ordered.is_empty() {
        return Ok(vec![None; deliveries.len()]);
    }
    let count = i64::try_from(ordered.len()).unwrap_or(i64::MAX);
    ordered.sort_unstable();
    ordered.dedup();
    for endpoint in ordered {
        sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1::text, 0))", endpoint.to_string())
            .execute(&mut *conn)
            .await?;
    }
    let mut numbers = sqlx::query_scalar!(
        r#"select nextval('webhook_delivery_sequence') as "number!" from generate_series(1, $1::bigint)"#,
        count,
    )
    .fetch_all(conn)
    .await?;
    numbers.sort_unstable();
    let mut numbers = numbers.into_iter();
    let number = |delivery: &NewDelivery| if delivery.target.ordered { numbers.next() } else { None };
    Ok(deliveries.iter().map(number).collect())
}

/// A delivery that this hub may send now.
#[derive(Debug)]
pub struct ClaimedDelivery {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) attempts: i32,
    pub(crate) is_replay: bool,
    /// The one delivery that a half-open circuit lets through.
    pub(crate) is_probe: bool,
    /// Deliveries per second of the replay that it belongs to.
    pub(crate) replay_rate: Option<i32>,
    pub(crate) lease: Hold,
    pub(crate) target: Arc<Target>,
}

impl ClaimedDelivery {
    pub(crate) fn delivery_id(&self) -> DeliveryId {
        DeliveryId::from_uuid(self.id)
    }
}

/// What a claimed delivery says.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) data: Map<String, Value>,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

/// What a claim asks for.
#[derive(Debug)]
pub(crate) struct Claiming {
    /// Rows at most.
    pub(crate) limit: i64,
    /// Places of one endpoint at most.
    pub(crate) share: i32,
    /// The hubs that divide the places, and which of them this is: [`crate::fleet::View::places`] in SQL.
    pub(crate) hubs: (i32, i32),
    /// Those of these projects that agents pull, instead of those that are pushed to; each with the hubs where they do.
    pub(crate) pullers: Option<Vec<(Uuid, (i32, i32))>>,
}

/// Claims due deliveries. Each enabled endpoint of an active project is asked by itself for as many as it has
/// places at this hub and for some that follow, so a backlog of one is never walked through for another. Nothing follows
/// where agents pull.
pub(crate) async fn claim_deliveries(
    conn: &mut PgConnection,
    lease: &Lease,
    busy: &Busy,
    claiming: &Claiming,
) -> sqlx::Result<Vec<(ClaimedDelivery, Said)>> {
    let pullers = claiming.pullers.as_ref();
    let projects: Option<Vec<Uuid>> = pullers.map(|all| all.iter().map(|(id, _)| *id).collect());
    let pulled_hubs: Option<Vec<i32>> = pullers.map(|all| all.iter().map(|(_, (hubs, _))| *hubs).collect());
    let pulled_ranks: Option<Vec<i32>> = pullers.map(|all| all.iter().map(|(_, (_, rank))| *rank).collect());
    let rows = sqlx::query_as!(
        ClaimedRow,
        r#"
        with due as (
            select d.project_id, d.id
            from webhook_endpoints e
            join projects p on p.id = e.project_id and p.is_active
            left join unnest($3::uuid[], $4::integer[], $9::integer[]) as busy(endpoint_id, in_hand, ahead) on busy.endpoint_id = e.id
            left join unnest($11::uuid[], $14::integer[], $15::integer[]) as pulled(project_id, hubs, rank)
                on pulled.project_id = e.project_id
            cross join lateral (
                select coalesce(pulled.hubs, $12::integer) as hubs, coalesce(pulled.rank, $13::integer) as rank
            ) part
            -- This hub's part of the places.
            cross join lateral (
                select e.max_in_flight / part.hubs
                       + case when (part.rank + part.hubs - ('x' || right(e.id::text, 4))::bit(16)::integer % part.hubs) % part.hubs
                                   < e.max_in_flight % part.hubs then 1 else 0 end as places
            ) own
            cross join lateral (
                select project_id, id
                from webhook_deliveries
                where endpoint_id = e.id
                  and status = 'pending'
                  and lease_token is null
                  and run_at <= $1
                  -- In order: only the first that is not over, and none while that is in flight.
                  and (sequence is null or sequence = (
                      select min(first.sequence)
                      from webhook_deliveries first
                      where first.endpoint_id = e.id and first.status = 'pending' and first.sequence is not null
                  ))
                order by run_at
                -- While the circuit is open the hub with the right to the probe takes one.
                limit greatest(
                    least(case when e.ordered or e.open_until is not null then 1 else own.places end, $8)
                    + case when $11::uuid[] is not null or e.ordered or e.open_until is not null or e.rate_per_second is not null then 0
                           else coalesce(busy.ahead, own.places * $10::integer) end
                    - coalesce(busy.in_hand, 0), 0)
                -- Another hub's claim is under way on these rows.
                for update skip locked
            ) d
            where e.disabled_at is null and (e.open_until is null or e.probe_hub = $6)
              and starts_with(e.url, 'agent:') = ($11::uuid[] is not null)
              and ($11 is null or e.project_id = any($11))
            limit $2
        ),
        claimed as (
            update webhook_deliveries d
            set lease_token = $5, lease_hub = $6, lease_until = $7
            from due
            where d.project_id = due.project_id and d.id = due.id
            returning d.project_id, d.id, d.endpoint_id, d.event_id, d.event_type, d.attempts, d.is_replay, d.replay_rate
        )
        select c.project_id, c.id, c.endpoint_id, c.event_id, c.event_type, c.attempts, c.is_replay, c.replay_rate,
               e.open_until is not null as "is_probe!", e.failing_since is not null as "is_failing!",
               e.url, e.events, e.ordered, e.max_in_flight, e.rate_per_second, e.retry_schedule,
               e.headers_sealed, e.secret_sealed, e.previous_secret_sealed, e.previous_secret_expires_at,
               v.data, v.occurred_at, v.created_at as event_created_at
        from claimed c
        join webhook_endpoints e on e.project_id = c.project_id and e.id = c.endpoint_id
        join events v on v.project_id = c.project_id and v.id = c.event_id
        "#,
        lease.now,
        claiming.limit,
        &busy.endpoints,
        &busy.in_hand,
        lease.token(),
        lease.hub,
        lease.until,
        claiming.share,
        &busy.ahead,
        busy.ahead_each,
        projects.as_deref(),
        claiming.hubs.0,
        claiming.hubs.1,
        pulled_hubs.as_deref(),
        pulled_ranks.as_deref(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.claimed(lease)).collect())
}

/// A row of a claim.
#[expect(clippy::struct_excessive_bools, reason = "the columns of a row")]
struct ClaimedRow {
    project_id: Uuid,
    id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    event_type: String,
    attempts: i32,
    is_replay: bool,
    replay_rate: Option<i32>,
    is_probe: bool,
    is_failing: bool,
    url: String,
    events: Vec<String>,
    ordered: bool,
    max_in_flight: i32,
    rate_per_second: Option<i32>,
    retry_schedule: Option<Vec<i32>>,
    headers_sealed: Option<Vec<u8>>,
    secret_sealed: Vec<u8>,
    previous_secret_sealed: Option<Vec<u8>>,
    previous_secret_expires_at: Option<DateTime<Utc>>,
    data: Value,
    occurred_at: Option<DateTime<Utc>>,
    event_created_at: DateTime<Utc>,
}

impl ClaimedRow {
    fn claimed(self, lease: &Lease) -> (ClaimedDelivery, Said) {
        let target = Target {
            project_id: self.project_id,
            id: self.endpoint_id,
            url: self.url,
            events: self.events,
            ordered: self.ordered,
            is_holding: self.is_probe,
            is_failing: self.is_failing,
            max_in_flight: self.max_in_flight,
            rate_per_second: self.rate_per_second,
            retry_schedule: self.retry_schedule,
            headers_sealed: self.headers_sealed,
            secret_sealed: self.secret_sealed,
            previous_secret_sealed: self.previous_secret_sealed,
            previous_secret_expires_at: self.previous_secret_expires_at,
        };
        let delivery = ClaimedDelivery {
            project_id: self.project_id,
            id: self.id,
            event_id: self.event_id,
            event_type: self.event_type,
            attempts: self.attempts,
            is_replay: self.is_replay,
            is_probe: self.is_probe,
            replay_rate: self.replay_rate,
            lease: lease.hold.clone(),
            target: Arc::new(target),
        };
        // The table's own check keeps it an object.
        let Value::Object(data) = self.data else { return (delivery, Said::nothing(self.event_created_at)) };
        (delivery, Said { data, occurred_at: self.occurred_at, created_at: self.event_created_at })
    }
}

impl Said {
    fn nothing(created_at: DateTime<Utc>) -> Self {
        Self { data: Map::new(), occurred_at: None, created_at }
    }
}

/// Moves deliveries on whose lease is still the one under which the attempt was made, and tells the leases of those.
pub(crate) async fn finish_deliveries(
    conn: &mut PgConnection,
    done: &[Attempted],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<(Uuid, Uuid)>> {
    let status = |attempted: &Attempted| match &attempted.verdict {
        Some(Verdict::Done) => "sent".to_owned(),
        Some(Verdict::Failed) => "failed".to_owned(),
        Some(Verdict::Retry { .. }) | None => "pending".to_owned(),
    };
    let run_at = |attempted: &Attempted| match &attempted.verdict {
        Some(Verdict::Retry { at }) => Some(*at),
        _ => None,
    };
    let column = |value: fn(&Attempted) -> Uuid| done.iter().map(value).collect::<Vec<_>>();
    let moved = sqlx::query!(
        r#"
        update webhook_deliveries d
        set status = done.status,
            attempts = attempts + case when done.was_tried then 1 else 0 end,
            run_at = coalesce(done.run_at, d.run_at),
            last_response_code = case when done.was_tried then done.response_code else last_response_code end,
            last_error = case when done.was_tried then done.error else last_error end,
            finished_at = case when done.status <> 'pending' then $9::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::timestamptz[], $7::integer[], $8::text[])
            as done(project_id, id, lease_token, status, was_tried, run_at, response_code, error)
        where d.project_id = done.project_id and d.id = done.id and d.lease_token is not distinct from done.lease_token
        returning d.id, done.lease_token as "lease_token!"
        "#,
        &column(|attempted| attempted.delivery.project_id),
        &column(|attempted| attempted.delivery.id),
        &column(|attempted| attempted.delivery.lease.token()),
        &done.iter().map(status).collect::<Vec<_>>(),
        &done.iter().map(|attempted| attempted.verdict.is_some()).collect::<Vec<_>>(),
        &done.iter().map(run_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &done.iter().map(|attempted| attempted.response_code).collect::<Vec<_>>() as &[Option<i32>],
        &done.iter().map(|attempted| attempted.error.clone()).collect::<Vec<_>>() as &[Option<String>],
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(moved.into_iter().map(|row| (row.id, row.lease_token)).collect())
}

/// Keeps the attempts, each under the id that comes with it.
pub(crate) async fn insert_logs(conn: &mut PgConnection, tried: &[(Uuid, &Attempted)]) -> sqlx::Result<()> {
    let status = |attempted: &Attempted| {
        if attempted.verdict == Some(Verdict::Done) { "sent" } else { "failed" }.to_owned()
    };
    let duration = |attempted: &Attempted| i32::try_from(attempted.duration.as_millis()).unwrap_or(i32::MAX);
    let column = |value: fn(&Attempted) -> Uuid| tried.iter().map(|(_, it)| value(it)).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        insert into webhook_logs (project_id, id, delivery_id, endpoint_id, event_id, event, target_url, attempt, status,
                                  response_code, duration_ms, error, response_excerpt, created_at, error_class, request_id)
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
                             $8::integer[], $9::text[], $10::integer[], $11::integer[], $12::text[], $13::text[],
                             $14::timestamptz[], $15::text[], $16::text[])
        "#,
        &column(|it| it.delivery.project_id),
        &tried.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &column(|it| it.delivery.id),
        &column(|it| it.delivery.target.id),
        &column(|it| it.delivery.event_id),
        &tried.iter().map(|(_, it)| it.delivery.event_type.clone()).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| it.delivery.target.url.clone()).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| it.delivery.attempts + 1).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| status(it)).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| it.response_code).collect::<Vec<_>>() as &[Option<i32>],
        &tried.iter().map(|(_, it)| duration(it)).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| it.error.clone()).collect::<Vec<_>>() as &[Option<String>],
        &tried.iter().map(|(_, it)| it.excerpt.clone()).collect::<Vec<_>>() as &[Option<String>],
        &tried.iter().map(|(_, it)| it.at).collect::<Vec<_>>(),
        &tried.iter().map(|(_, it)| it.error_class.map(|class| class.as_str().to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &tried.iter().map(|(_, it)| it.request_id.clone()).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
