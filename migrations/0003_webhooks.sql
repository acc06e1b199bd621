-- Webhook endpoints, the deliveries to them (each row is its own job) and a log row per attempt.

create table webhook_endpoints (
    project_id                 uuid not null references projects (id),
    id                         uuid not null,
    url                        text not null,
    events                     text[] not null,
    description                text not null,
    headers_sealed             bytea,
    secret_sealed              bytea not null,
    previous_secret_sealed     bytea,
    previous_secret_expires_at timestamptz,
    max_in_flight              integer not null check (max_in_flight between 1 and 1000),
    rate_per_second            integer check (rate_per_second >= 1),
    ordered                    boolean not null,   -- one delivery in flight, in the order of acceptance
    retry_schedule             integer[],   -- seconds before each retry; null: the default
    disabled_at                timestamptz,
    disabled_reason            text,
    created_at                 timestamptz not null,
    updated_at                 timestamptz not null,
    primary key (project_id, id),
    check ((disabled_at is null) = (disabled_reason is null))
);

-- Taken under the endpoint's advisory lock, so that it follows the order of commits.
create sequence webhook_delivery_sequence;

create table webhook_deliveries (
    project_id         uuid not null,
    id                 uuid not null,
    endpoint_id        uuid not null,
    event_id           uuid not null,
    event_type         text not null,
    order_id           text,
    status             text not null check (status in ('pending', 'sent', 'failed')),
    attempts           integer not null,
    is_replay          boolean not null,    -- sent again by hand: carries the replay header
    sequence           bigint,              -- ordered endpoints only: the order of acceptance
    run_at             timestamptz not null,
    lease_token        uuid,
    lease_hub          integer,
    lease_until        timestamptz,
    last_response_code integer,
    last_error         text,
    created_at         timestamptz not null,
    finished_at        timestamptz,
    primary key (project_id, id),
    check ((status = 'pending') = (finished_at is null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
) partition by range (id);

create index webhook_deliveries_due on webhook_deliveries (endpoint_id, run_at)
    where status = 'pending' and lease_token is null;
create index webhook_deliveries_in_order on webhook_deliveries (endpoint_id, sequence)
    where status = 'pending' and sequence is not null;
create index webhook_deliveries_leased on webhook_deliveries (lease_until) where lease_token is not null;
create index webhook_deliveries_newest on webhook_deliveries (project_id, created_at desc, id desc);
create index webhook_deliveries_by_endpoint on webhook_deliveries (project_id, endpoint_id, created_at desc);
create index webhook_deliveries_by_event on webhook_deliveries (project_id, event_id);

create table webhook_logs (
    project_id       uuid not null,
    id               uuid not null,
    delivery_id      uuid not null,
    endpoint_id      uuid not null,
    event_id         uuid not null,
    event            text not null,
    target_url       text not null,
    attempt          integer not null,
    status           text not null check (status in ('sent', 'failed')),
    response_code    integer,
    duration_ms      integer not null,
    error            text,
    response_excerpt text,               -- the first 1 KiB of the reply
    created_at       timestamptz not null,
    primary key (project_id, id)
) partition by range (id);

create index webhook_logs_by_delivery on webhook_logs (project_id, delivery_id, created_at);
create index webhook_logs_by_endpoint on webhook_logs (project_id, endpoint_id, created_at);
