-- Projects (shops), their keys, what they may use and what they used.

create table projects (
    id         uuid primary key,
    name       text not null,
    domain     text not null,
    mode       text not null check (mode in ('live', 'test')),
    plan       text not null check (plan in ('free', 'pro')),
    is_active  boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- One current key per project (expires_at is null) and at most one in its grace time.
create table api_keys (
    key_id      text primary key,
    project_id  uuid not null references projects (id),
    secret_hash text not null,          -- Argon2id, PHC string
    last_four   text not null,
    created_at  timestamptz not null,
    expires_at  timestamptz
);
create unique index api_keys_one_current on api_keys (project_id) where expires_at is null;
create index api_keys_by_project on api_keys (project_id);

create table project_features (
    project_id uuid not null references projects (id),
    flag       text not null,
    enabled    boolean not null,
    primary key (project_id, flag)
);

-- A null is the plan's own limit.
create table project_limits (
    project_id          uuid primary key references projects (id),
    requests_per_minute integer check (requests_per_minute >= 1),
    events_per_day      integer check (events_per_day >= 0),
    emails_per_day      integer check (emails_per_day >= 0),
    whatsapp_per_day    integer check (whatsapp_per_day >= 0),
    payments_per_day    integer check (payments_per_day >= 0),
    endpoints           integer check (endpoints >= 0),
    retention_days      integer check (retention_days >= 30)
);

-- What each service did per UTC day: the quotas' counter and the record of which services a shop uses.
create table usage_daily (
    project_id uuid not null references projects (id),
    day        date not null,
    service    text not null check (service in ('events', 'emails', 'whatsapp', 'payments')),
    used       bigint not null check (used >= 0),
    primary key (project_id, day, service)
);

-- What a caller's Idempotency-Key made. `lease_until` is set while the first call still runs.
create table idempotency_keys (
    project_id  uuid not null references projects (id),
    key         text not null,
    fingerprint bytea not null,
    kind        text not null check (kind in ('event', 'notification', 'payment', 'refund', 'endpoint')),
    resource_id uuid not null,
    lease_until timestamptz,
    created_at  timestamptz not null,
    primary key (project_id, key)
);

-- Agents that report to the hub.
create table agents (
    project_id uuid not null references projects (id),
    agent_id   text not null,
    status     jsonb not null,
    seen_at    timestamptz not null,
    primary key (project_id, agent_id)
);

-- Keys that the hub made for itself, sealed with the master key.
create table hub_secrets (
    name   text primary key,
    sealed bytea not null
);

-- Running hubs. Each holds a session advisory lock on its number: the lock gone, its leases are void.
create table hubs (
    number     integer generated always as identity primary key,
    version    text not null,
    key_epoch  bigint not null,
    started_at timestamptz not null
);

-- Raised whenever a key or a project changes; a hub that has seen the number has forgotten older keys.
create table key_epoch (
    only_row boolean primary key default true check (only_row),
    value    bigint not null
);
insert into key_epoch (value) values (0);
