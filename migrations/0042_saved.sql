-- What a shop was spared, by the day on which it began; and when a key was last used.

-- Days are counted once they can change no more, and kept when the rows behind them are gone.
create table saved_daily (
    project_id  uuid not null references projects (id),
    day         date not null,
    kept        bigint not null,    -- calls that an agent kept while the hub could not be reached
    outages     bigint not null,    -- how many times that was
    redelivered bigint not null,    -- deliveries that arrived after having failed
    remailed    bigint not null,    -- mails that arrived after having failed
    duplicates  bigint not null,    -- second order.paid of an order, which went nowhere
    recovered   bigint not null,    -- payments that the provider never told of
    sums        jsonb not null,     -- their money by currency, in minor units
    primary key (project_id, day)
);

-- Written at most once in a while, not with each request.
alter table api_keys add column last_used_at timestamptz;
