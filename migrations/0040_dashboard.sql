-- The operator's dashboard: who may log in, who is, and who did what; indexes for what its first page counts.

-- Beside the admin token. A name is what the audit log tells people apart by.
create table operators (
    name          text primary key,
    password_hash text not null,        -- Argon2id, PHC string
    created_at    timestamptz not null,
    updated_at    timestamptz not null
);

create table dashboard_sessions (
    token_digest bytea primary key,     -- the cookie itself is nowhere
    operator     text not null,         -- an operator's name, or `admin-token`
    created_at   timestamptz not null,
    seen_at      timestamptz not null,
    expires_at   timestamptz not null
);
create index dashboard_sessions_by_operator on dashboard_sessions (operator);

create table audit_log (
    id         bigint generated always as identity primary key, -- the order in which they were written
    operator   text not null,
    action     text not null,
    project_id uuid,
    subject    text,                    -- the id of what it was done to
    outcome    text not null,           -- `ok`, the refusal's code, or `started` when nobody knows
    address    text,                    -- where a log-in came from
    created_at timestamptz not null
);
create index audit_log_by_project on audit_log (project_id, id desc) where project_id is not null;
create index audit_log_refused on audit_log (address, created_at) where action = 'session.refused';
create index audit_log_refused_names on audit_log (operator, created_at) where action = 'session.refused';

-- What the first page counts; each holds only what is out of the ordinary or still open.
create index events_rejected on events (project_id, id) where status = 'rejected';
create index notifications_failed on notifications (project_id, finished_at) where status = 'failed';
create index notifications_to_tap on notifications (project_id, created_at) where status = 'pending' and channel = 'whatsapp';
create index payment_transactions_open on payment_transactions (project_id) where status = 'pending';
create index payment_transactions_disputed on payment_transactions (project_id)
    where detail in ('in_mediation', 'charged_back');
