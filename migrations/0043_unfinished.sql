-- What is still open, or went wrong, is looked for among millions that are over: without these, a search that finds little
-- walks them all. Each holds only what is out of the ordinary, in the order of its list.
create index webhook_deliveries_unsent on webhook_deliveries (project_id, status, id) where status <> 'sent';
create index notifications_unsent on notifications (project_id, status, created_at desc, id desc) where status <> 'sent';
create index payment_transactions_unpaid on payment_transactions (project_id, status, created_at desc, id desc)
    where status <> 'paid';
