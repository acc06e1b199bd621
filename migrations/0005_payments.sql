-- Payment providers' credentials, payments (each row is its own job), the attempts that the provider knows of,
-- refunds, the timeline and the providers' notices.

create table payment_providers (
    project_id                         uuid not null references projects (id),
    provider                           text not null check (provider in ('mercadopago')),
    access_token_sealed                bytea not null,
    webhook_secret_sealed              bytea not null,
    previous_webhook_secret_sealed     bytea,   -- both are taken while a rotation overlaps
    previous_webhook_secret_expires_at timestamptz,
    public_key                         text,
    site                               text,
    account_id                         text,
    is_test                            boolean not null,
    created_at                         timestamptz not null,
    updated_at                         timestamptz not null,
    primary key (project_id, provider),
    check ((previous_webhook_secret_sealed is null) = (previous_webhook_secret_expires_at is null))
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
    dispute               text,             -- the provider's last word on a dispute
    external_id           text,             -- the provider's payment
    provider_reference    text,             -- its preference or order
    provider_key          text not null,    -- the idempotency key sent to the provider
    checkout_url          text,
    qr_code               text,
    ticket_url            text,
    action                text check (action in ('create', 'sync', 'cancel', 'refund')), -- what is next; null: nothing
    run_at                timestamptz not null,
    attempts              integer not null, -- claims of the action; more than one: an earlier call may have had effect
    synced_at             timestamptz,      -- when the provider was last asked
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
-- What only asks about pending payments has its own end of the index: however many, they hold nothing else up.
create index payment_transactions_due on payment_transactions ((action = 'sync'), run_at)
    where action is not null and lease_token is null;
create index payment_transactions_leased on payment_transactions (lease_until) where lease_token is not null;
create index payment_transactions_newest on payment_transactions (project_id, created_at desc, id desc);
create index payment_transactions_by_order on payment_transactions (project_id, order_id);

-- The provider's payments for one of ours, each as last seen. A checkout may have several.
create table payment_attempts (
    project_id          uuid not null,
    payment_id          uuid not null,
    external_id         text not null,
    state               text not null,
    reason              text,
    refunded_minor      bigint not null check (refunded_minor >= 0),
    is_match            boolean not null,     -- amount, currency and account are those that were asked for
    provider_updated_at timestamptz not null, -- the provider's own order of changes
    seen_at             timestamptz not null,
    primary key (project_id, payment_id, external_id),
    foreign key (project_id, payment_id) references payment_transactions (project_id, id)
);

create table payment_refunds (
    project_id   uuid not null,
    id           uuid not null,
    payment_id   uuid not null,
    amount_minor bigint not null check (amount_minor > 0),
    status       text not null check (status in ('pending', 'done', 'failed')),
    detail       text,
    external_id  text,
    provider_key text not null,
    attempts     integer not null,
    fingerprint  bytea not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    primary key (project_id, id),
    foreign key (project_id, payment_id) references payment_transactions (project_id, id)
);
create index payment_refunds_by_payment on payment_refunds (project_id, payment_id);

create table payment_timeline (
    project_id          uuid not null,
    id                  uuid not null,
    payment_id          uuid not null,
    kind                text not null check (kind in ('call', 'notice', 'status')),
    outcome             text not null,
    status              text,
    detail              text,
    provider_request_id text,
    duration_ms         integer,
    created_at          timestamptz not null,
    sequence            bigint generated always as identity, -- the order in which they were written
    primary key (project_id, id),
    foreign key (project_id, payment_id) references payment_transactions (project_id, id)
);
create index payment_timeline_by_payment on payment_timeline (project_id, payment_id, sequence);

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
create index payment_notices_hints on payment_notices (project_id, received_at) where not is_signed;
create index payment_notices_over on payment_notices (handled_at) where handled_at is not null;

-- The last notices that were refused, so that a wrong secret can be told from a stranger. Nothing personal.
create table payment_notice_samples (
    project_id  uuid not null references projects (id),
    id          uuid not null,
    provider    text not null,
    reason      text not null,
    topic       text not null,
    resource_id text not null,
    received_at timestamptz not null,
    primary key (project_id, id)
);
