-- How endpoints are doing, what the operator is told about it, paced replays, and what is known of each attempt.

-- Written when something changes: a healthy endpoint's row is left alone by its successes.
alter table webhook_endpoints
    add column failures         integer not null default 0,     -- in a row, of the kind that opens the circuit
    add column openings         integer not null default 0,     -- of the circuit in a row: each is twice as long
    add column open_until       timestamptz,                    -- the circuit is open; past it, one probe may go
    add column probe_hub        integer,                        -- the hub that may send the probe
    add column probe_granted_at timestamptz,
    add column failing_since    timestamptz,                    -- the first failure since the last success
    add column alerted_percent  smallint not null default 0,    -- how far on the way to being disabled the operator was told
    add check ((probe_hub is null) = (probe_granted_at is null)),
    add check (probe_hub is null or open_until is not null);
create index webhook_endpoints_open on webhook_endpoints (open_until) where open_until is not null;

alter table webhook_deliveries
    add column replay_rate integer;     -- deliveries per second of the replay that it belongs to

alter table webhook_logs
    add column error_class text,        -- what kind of failure: dns, connect, tls, timeout, http_status, …
    add column request_id  text;        -- the reply's own name for the request

alter table events
    add column schema_errors jsonb,     -- what a batch's event of a built-in type has wrong with its data
    add column blanked_at    timestamptz; -- its payload's retention was over, and data is empty since

-- Replays with a rate: each releases so many deliveries a second.
create table webhook_replays (
    project_id      uuid not null references projects (id),
    id              uuid not null,
    endpoint_id     uuid not null,
    since           timestamptz not null,
    until           timestamptz not null,
    event_type      text,
    only_failed     boolean not null,
    rate_per_second integer not null check (rate_per_second >= 1),
    released_at     timestamptz,            -- how far it is: the last delivery that it released
    released_id     uuid,
    released        bigint not null default 0,
    run_at          timestamptz not null,
    lease_token     uuid,
    lease_hub       integer,
    lease_until     timestamptz,
    created_at      timestamptz not null,
    finished_at     timestamptz,
    primary key (project_id, id),
    foreign key (project_id, endpoint_id) references webhook_endpoints (project_id, id) on delete cascade,
    check ((released_at is null) = (released_id is null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
create index webhook_replays_due on webhook_replays (run_at) where finished_at is null and lease_token is null;
create index webhook_replays_leased on webhook_replays (lease_until) where lease_token is not null;
create index webhook_replays_by_endpoint on webhook_replays (project_id, endpoint_id);

-- Mail to the operator, each row its own job. The key says what it is about: nothing is told twice.
create table operator_mails (
    id          uuid primary key,
    key         text not null,
    subject     text not null,
    body        text not null,
    status      text not null check (status in ('pending', 'sent', 'failed')),
    attempts    integer not null,
    last_error  text,
    run_at      timestamptz not null,
    lease_token uuid,
    lease_hub   integer,
    lease_until timestamptz,
    created_at  timestamptz not null,
    finished_at timestamptz,
    constraint operator_mails_key unique (key),
    check ((status = 'pending') = (finished_at is null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
create index operator_mails_due on operator_mails (run_at) where status = 'pending' and lease_token is null;
create index operator_mails_leased on operator_mails (lease_until) where lease_token is not null;

-- Up to when a project's payloads were emptied, where its retention is shorter than that of the tables.
create table project_blanking (
    project_id uuid primary key references projects (id),
    until      timestamptz not null
);
