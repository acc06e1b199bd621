-- Templates that are compiled, with who did what; a project's ways of writing; its senders and its own SMTP accounts;
-- what is blanked once its time is over.

alter table templates
    add column mjml          text,                        -- as it was written, instead of html
    add column compiled_html text,                        -- what is rendered, where that is not html itself
    add column variables     text[] not null default '{}',
    add column made_by       text,                        -- the key id of the caller
    add column activated_by  text;

-- Every activation, so that it can be told who rolled back when.
create table template_activations (
    project_id   uuid not null references projects (id),
    id           uuid not null,
    name         text not null,
    channel      text not null,
    locale       text not null,
    version      integer not null,
    activated_by text,
    created_at   timestamptz not null,
    primary key (project_id, id)
);
create index template_activations_newest on template_activations (project_id, name, created_at desc, id desc);

-- Absent: Spanish, Argentina, Buenos Aires.
create table notification_settings (
    project_id uuid primary key references projects (id),
    locale     text not null,
    country    text not null,
    time_zone  text not null,
    updated_at timestamptz not null
);

-- What a project may write as its `from` through the hub's SMTP server, beside its own domain.
create table mail_senders (
    project_id uuid not null references projects (id),
    sender     text not null,                             -- an address, or a domain
    created_at timestamptz not null,
    primary key (project_id, sender)
);

create table smtp_accounts (
    project_id      uuid not null references projects (id),
    id              uuid not null,
    name            text not null,
    host            text not null,
    port            integer not null check (port between 1 and 65535),
    security        text not null check (security in ('tls', 'starttls', 'none')),
    username        text,
    sealed_password bytea,
    sender          text,                                 -- the `from` of mail that names none
    position        integer not null,                     -- the lowest is tried first
    is_enabled      boolean not null,
    failures        integer not null default 0,           -- in a row
    last_error      text,
    failed_at       timestamptz,
    worked_at       timestamptz,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (project_id, id)
);
create index smtp_accounts_in_order on smtp_accounts (project_id, position, id) where is_enabled;

-- The row stays for the counts; its address and contents go.
alter table notifications add column blanked_at timestamptz;
create index notifications_unblanked on notifications (project_id, created_at) where blanked_at is null and status <> 'pending';

alter table notification_attempts
    add column server      text,                          -- which account was asked
    add column is_doubtful boolean not null default false; -- the server may have taken it: a repeat has the same Message-ID

alter table suppressions add column notification_id uuid; -- whose hard refusal put the address here
