-- What the operator is alerted of: each thing once, with its end; who is told, by which settings. An alert may be about the
-- hub itself, so its key is its own id, and the project a column.

create table alerts (
    id           uuid primary key,
    kind         text not null,
    project_id   uuid references projects (id),
    subject      text not null,       -- what of its kind: an endpoint, an agent, a queue, a case
    details      jsonb not null,      -- what its text is made of; nothing personal
    opened_at    timestamptz not null,
    cleared_at   timestamptz,         -- since when it is not seen any more, until it has stayed so
    recovered_at timestamptz
);
create unique index alerts_one_open on alerts (kind, subject) where recovered_at is null;
create index alerts_newest on alerts (opened_at desc, id desc);
create index alerts_by_project on alerts (project_id) where project_id is not null;

-- Each row is its own job: an event to the operator's webhook, the same id in every attempt.
create table alert_webhooks (
    id            uuid primary key,
    alert_id      uuid references alerts (id),     -- null: a test
    event_type    text not null check (event_type in ('alert.opened', 'alert.recovered', 'alert.test')),
    body          text not null,
    status        text not null check (status in ('pending', 'sent', 'failed')),
    attempts      integer not null,
    response_code integer,
    last_error    text,
    run_at        timestamptz not null,
    lease_token   uuid,
    lease_hub     integer,
    lease_until   timestamptz,
    created_at    timestamptz not null,
    finished_at   timestamptz,
    check ((status = 'pending') = (finished_at is null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
create index alert_webhooks_due on alert_webhooks (run_at) where status = 'pending' and lease_token is null;
create index alert_webhooks_leased on alert_webhooks (lease_until) where lease_token is not null;
create index alert_webhooks_newest on alert_webhooks (created_at desc);
create index alert_webhooks_by_alert on alert_webhooks (alert_id) where alert_id is not null;

-- What was set on the dashboard; what is null there is the variables'.
create table alert_settings (
    only_row              boolean primary key default true check (only_row),
    email                 text,
    webhook_url           text,
    webhook_secret_sealed bytea,
    looked_at             timestamptz,    -- when some hub last looked; written at every look, so that a full disk is noticed
    updated_at            timestamptz,
    check ((webhook_url is null) = (webhook_secret_sealed is null))
);
insert into alert_settings (only_row) values (true);

create table alert_rules (
    kind       text primary key,
    is_on      boolean not null,
    threshold  integer,                   -- null: the variables', or the default
    updated_at timestamptz not null
);

-- The page shows the last mails to the operator.
create index operator_mails_newest on operator_mails (created_at desc);

-- Since when asking an account what changed has failed, and how; null: the last time it answered.
alter table payment_providers
    add column failing_since timestamptz,
    add column failure       text;
