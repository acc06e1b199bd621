-- Every delivery is written into every index twice, once when it is made and once when it is over. The hub makes the
-- ids itself, so that the primary key already has the order of `created_at`.
drop index webhook_deliveries_newest;
drop index webhook_deliveries_by_endpoint;
create index webhook_deliveries_by_endpoint on webhook_deliveries (project_id, endpoint_id, id);
