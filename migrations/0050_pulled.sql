-- Agents that pull deliveries: since when they have done so without a break, and when they last polled.
alter table agents
    add column pulling_since timestamptz,
    add column polled_at     timestamptz,
    add check ((pulling_since is null) = (polled_at is null));
