-- Templates, notifications (each row is its own job), their attempts and the addresses not to write to.

create table templates (
    project_id   uuid not null references projects (id),
    id           uuid not null,
    name         text not null,
    version      integer not null,
    channel      text not null check (channel in ('email', 'whatsapp')),
    locale       text not null,
    subject      text,
    html         text,
    text         text,
    sample       jsonb not null,
    created_at   timestamptz not null,
    activated_at timestamptz,
    is_active    boolean not null,
    primary key (project_id, id),
    constraint templates_version unique (project_id, name, version)
);
create unique index templates_one_active on templates (project_id, name, channel, locale) where is_active;

create table notifications (
    project_id       uuid not null references projects (id),
    id               uuid not null,
    channel          text not null check (channel in ('email', 'whatsapp')),
    recipient        text not null,
    payload          jsonb not null,        -- what is sent: subject, html, text, sender, attachments; text and link; or what was refused
    template         text,
    template_version integer,
    locale           text,
    order_id         text,
    metadata         jsonb not null,
    status           text not null check (status in ('pending', 'sent', 'failed')),
    detail           text,
    problem          jsonb,                 -- why a batch's notification was refused
    open_token_hash  bytea,                 -- WhatsApp: the digest of the address that records the opening
    attempts         integer not null,
    run_at           timestamptz not null,
    expires_at       timestamptz,
    lease_token      uuid,
    lease_hub        integer,
    lease_until      timestamptz,
    fingerprint      bytea not null,
    created_at       timestamptz not null,
    finished_at      timestamptz,
    primary key (project_id, id),
    check ((status = 'pending') = (finished_at is null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
-- Each project's mail is asked for by itself, so that a backlog of one is never walked through for another.
create index notifications_due on notifications (project_id, run_at)
    where status = 'pending' and channel = 'email' and lease_token is null;
create index notifications_expiring on notifications (expires_at)
    where status = 'pending' and lease_token is null and expires_at is not null;
create index notifications_leased on notifications (lease_until) where lease_token is not null;
create index notifications_newest on notifications (project_id, created_at desc, id desc);
create index notifications_by_order on notifications (project_id, order_id) where order_id is not null;
create index notifications_by_recipient on notifications (project_id, lower(recipient), created_at desc);
create unique index notifications_open_token on notifications (open_token_hash) where open_token_hash is not null;

create table notification_attempts (
    project_id      uuid not null,
    id              uuid not null,
    notification_id uuid not null,
    attempt         integer not null,
    status          text not null check (status in ('sent', 'failed')),
    response_code   integer,
    response        text,                   -- the server's answer
    error           text,
    duration_ms     integer not null,
    created_at      timestamptz not null,
    primary key (project_id, id),
    foreign key (project_id, notification_id) references notifications (project_id, id)
);
create index notification_attempts_by_notification on notification_attempts (project_id, notification_id, created_at);

create table suppressions (
    project_id uuid not null references projects (id),
    id         uuid not null,
    address    text not null,               -- in lower case
    reason     text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    primary key (project_id, id),
    constraint suppressions_address unique (project_id, address)
);
create index suppressions_newest on suppressions (project_id, created_at desc, id desc);
