-- Differences between what providers, shops and the hub know of payments, the comparing of the books that finds them,
-- and the picture of a Pix code.

alter table payment_transactions add column qr_code_base64 text; -- qr_code as a PNG

create table payment_cases (
    project_id     uuid not null references projects (id),
    id             uuid not null,
    kind           text not null check (kind in ('paid_without_order', 'order_without_payment', 'amount_mismatch',
                                                 'duplicate', 'refund_mismatch')),
    subject        text not null,   -- what differs from what: the same difference is raised once
    status         text not null check (status in ('open', 'closed')),
    provider       text not null,
    payment_id     uuid,
    order_id       text,
    external_id    text,            -- the provider's payment
    currency       text,
    expected_minor bigint,
    actual_minor   bigint,
    detail         text not null,
    note           text,            -- why it was closed
    created_at     timestamptz not null,
    closed_at      timestamptz,
    primary key (project_id, id),
    unique (project_id, kind, subject),
    check ((status = 'closed') = (closed_at is not null))
);
create index payment_cases_newest on payment_cases (project_id, created_at desc, id desc);
create index payment_cases_open on payment_cases (project_id, order_id) where status = 'open';

-- The comparing of the books: one row per account, whoever holds its lease compares.
create table payment_reconciliations (
    project_id  uuid not null references projects (id),
    provider    text not null,
    run_at      timestamptz not null,  -- when it is due
    read_until  timestamptz,           -- up to where the provider's books were compared; null: never
    checked     bigint not null,       -- of the last comparing
    raised      bigint not null,
    finished_at timestamptz,
    failure     text,                  -- why the last one did not come to its end
    lease_token uuid,
    lease_until timestamptz,
    primary key (project_id, provider),
    check ((lease_token is null) = (lease_until is null))
);
create index payment_reconciliations_due on payment_reconciliations (run_at);
