-- From version 1, attached as `old`, into a new buffer: rows carry their fingerprint, and receipts are
-- only of what was forwarded.
INSERT INTO meta SELECT name, value FROM old.meta WHERE name <> 'totals';
INSERT INTO operations
    (seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, attempts, run_at, fingerprint, body)
SELECT o.seq, o.kind, o.id, o.idempotency_key, o.order_id, o.accepted_at, o.expires_at, o.attempts, o.run_at,
    coalesce(r.fingerprint, zeroblob(32)), o.body
FROM old.operations AS o
LEFT JOIN old.receipts AS r ON r.seq = o.seq
ORDER BY o.seq;
INSERT INTO receipts (kind, id, idempotency_key, fingerprint, accepted_at, forwarded_at)
SELECT kind, id, idempotency_key, fingerprint, accepted_at, forwarded_at
FROM old.receipts
WHERE forwarded_at IS NOT NULL
ORDER BY forwarded_at, seq;
INSERT INTO dead_letters
    (seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, attempts, failed_at, reason, answer,
     hub_version, fingerprint, body)
SELECT d.seq, d.kind, d.id, d.idempotency_key, d.order_id, d.accepted_at, d.expires_at, d.attempts, d.failed_at,
    d.reason, d.answer, d.hub_version, coalesce(r.fingerprint, zeroblob(32)), d.body
FROM old.dead_letters AS d
LEFT JOIN old.receipts AS r ON r.seq = d.seq
ORDER BY d.seq;
