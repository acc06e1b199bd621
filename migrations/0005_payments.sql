-- Payment providers' credentials, payments (each row is its own job), their timeline and the providers' notices.

create table payment_providers (
    project_id               uuid not null references projects (id),
    provider                 text not null check (provider in ('mercadopago')),
    access_token_sealed      bytea not null,
    webhook_secret_sealed    bytea not null,
    public_key               text,
    site                     text,
    account_id               text,
    created_at               timestamptz not null,
    updated_at               timestamptz not null,
    primary key (project_id, provider)
);

create table payment_transactions (
    project_id            uuid not null references projects (id),
    id                    uuid not null,
    provider              text not null,
    method                text not null check (method in ('checkout', 'card', 'pix', 'ticket', 'manual')),
    order_id              text not null,
    amount_minor          bigint not null check (amount_minor > 0),
    order_amount_minor    bigint not null check (order_amount_minor >= amount_minor),
    amount_refunded_minor bigint not null check (amount_refunded_minor between 0 and amount_minor),
    currency              text not null,
    request               jsonb not null,   -- what the provider is asked for: description, payer, items, back_urls
    metadata              jsonb not null,
    status                text not null check (status in ('pending', 'paid', 'failed')),
    detail                text,
    external_id           text,             -- the provider's payment
    provider_reference    text,             -- its preference or order
    provider_key          text not null,    -- the idempotency key sent to the provider
    provider_updated_at   timestamptz,      -- the provider's own order of changes
    checkout_url          text,
    qr_code               text,
    ticket_url            text,
    action                text check (action in ('create', 'sync')),   -- what is to be done next; null: nothing
    run_at                timestamptz not null,
    attempts              integer not null,
    lease_token           uuid,
    lease_hub             integer,
    lease_until           timestamptz,
    expires_at            timestamptz,
    fingerprint           bytea not null,
    created_at            timestamptz not null,
    updated_at            timestamptz not null,
    paid_at               timestamptz,
    primary key (project_id, id),
    check ((status = 'paid') <= (paid_at is not null)),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
create index payment_transactions_due on payment_transactions (run_at) where action is not null and lease_token is null;
create index payment_transactions_leased on payment_transactions (lease_until) where lease_token is not null;
create index payment_transactions_newest on payment_transactions (project_id, created_at desc, id desc);
create index payment_transactions_by_order on payment_transactions (project_id, order_id);
create index payment_transactions_by_external on payment_transactions (project_id, provider, external_id)
    where external_id is not null;

create table payment_timeline (
    project_id          uuid not null,
    id                  uuid not null,
    payment_id          uuid not null,
    kind                text not null,      -- call, notice, status
    outcome             text not null,
    status              text,
    detail              text,
    provider_request_id text,
    duration_ms         integer,
    created_at          timestamptz not null,
    primary key (project_id, id),
    foreign key (project_id, payment_id) references payment_transactions (project_id, id)
);
create index payment_timeline_by_payment on payment_timeline (project_id, payment_id, created_at);

-- Every notice is stored before it is answered, and handled after.
create table payment_notices (
    project_id   uuid not null references projects (id),
    id           uuid not null,
    provider     text not null,
    topic        text not null,
    resource_id  text not null,
    is_signed    boolean not null,
    status       text not null check (status in ('pending', 'handled', 'ignored')),
    attempts     integer not null,
    run_at       timestamptz not null,
    lease_token  uuid,
    lease_hub    integer,
    lease_until  timestamptz,
    received_at  timestamptz not null,
    handled_at   timestamptz,
    primary key (project_id, id),
    check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null))
);
create index payment_notices_due on payment_notices (run_at) where status = 'pending' and lease_token is null;
create index payment_notices_leased on payment_notices (lease_until) where lease_token is not null;
