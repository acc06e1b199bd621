-- What changed at a provider is asked about once for the whole account, every few minutes: a notice that never came costs
-- a customer minutes, however rarely their own payment is asked about.
alter table payment_providers
    add column sweep_at    timestamptz not null default now(), -- when the account is asked next
    add column swept_until timestamptz,                        -- up to where it was asked; null: never
    add column lease_token uuid,
    add column lease_hub   integer,
    add column lease_until timestamptz,
    add check ((lease_token is null) = (lease_until is null) and (lease_token is null) = (lease_hub is null));
create index payment_providers_due on payment_providers (sweep_at) where lease_token is null;
create index payment_providers_leased on payment_providers (lease_until) where lease_token is not null;
-- Whether an account has payments that wait.
create index payment_transactions_waiting on payment_transactions (project_id, provider) where action = 'sync';
