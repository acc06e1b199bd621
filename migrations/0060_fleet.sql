-- Several hubs that share limits.

-- When a hub last said that it runs: one that hangs, its connection still open, loses its share of the limits. A hub of
-- the version before does not say so, and has no share.
alter table hubs add column seen_at timestamptz not null default now();

-- How full the buckets are that hubs share, where no Redis keeps them. Unlogged: after a crash all are full again, which is
-- what they are after a minute anyway.
create unlogged table limit_buckets (
    project_id uuid not null,           -- no reference: what is left of a deleted project goes within the hour
    scope      text not null check (scope in ('requests', 'agents', 'endpoint', 'replay')),
    id         uuid not null,           -- of what the limit is: the project's, or the endpoint's
    granted    integer not null,        -- by the last statement: how it tells its caller
    full_at    timestamptz not null,    -- when the bucket will be full if nothing more is taken
    primary key (project_id, scope, id)
) with (fillfactor = 50);
