-- Events that shops or the hub itself reported.

create table events (
    project_id   uuid not null,
    id           uuid not null,
    type         text not null,
    source       text not null check (source in ('shop', 'hub')),
    status       text not null check (status in ('accepted', 'rejected')),
    order_id     text,
    data         jsonb not null,
    occurred_at  timestamptz,
    created_at   timestamptz not null,
    duplicate_of uuid,                  -- the order.paid that this one repeats
    problem      jsonb,                 -- why a batch's event was rejected
    fingerprint  bytea not null,
    primary key (project_id, id),
    check ((status = 'rejected') = (problem is not null))
) partition by range (id);

create index events_newest on events (project_id, created_at desc, id desc);
create index events_by_order on events (project_id, order_id, created_at desc) where order_id is not null;
create index events_by_type on events (project_id, type, created_at desc);

-- One order.paid per order is delivered.
create table paid_orders (
    project_id uuid not null references projects (id),
    order_id   text not null,
    event_id   uuid not null,
    primary key (project_id, order_id)
);
