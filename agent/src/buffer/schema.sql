-- The buffer's schema, version 2. Times are milliseconds since 1970, UTC.
--
-- Taking a call writes as few pages as can be, since each is copied into the log before the call is
-- acknowledged: its row, the entry of its id, and those of its order and its key where it has them.

-- Few facts about the buffer itself: the agent's name, the project, the key of the fingerprints,
-- and how much is kept (as of the last change that was more than taking calls; what was taken since
-- has higher numbers and is counted at the start).
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was acknowledged and is not yet at the hub, in the order of acceptance.
CREATE TABLE operations (
    -- Never given twice.
    seq             INTEGER PRIMARY KEY,
    -- Not IN (1, 2, 3): SQLite would make a table of the three for each row that is inserted.
    kind            INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
    id              BLOB NOT NULL CHECK (length(id) = 16),
    idempotency_key TEXT,
    order_id        TEXT,
    accepted_at     INTEGER NOT NULL,
    -- After this it is never sent (payments).
    expires_at      INTEGER,
    -- Times that it failed while others did not.
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- Not tried again before this.
    run_at          INTEGER NOT NULL DEFAULT 0,
    -- Keyed digest of the body: what answers repeats.
    fingerprint     BLOB NOT NULL,
    -- The caller's bytes.
    body            BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX operations_by_id ON operations (id, kind);
CREATE UNIQUE INDEX operations_by_key ON operations (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX operations_by_order ON operations (order_id) WHERE order_id IS NOT NULL;
-- Payments and mail, which do not wait behind events.
CREATE INDEX operations_urgent ON operations (seq) WHERE kind <> 1;

-- What answers repeats of what the hub has, for some days, in the order of forwarding.
CREATE TABLE receipts (
    number          INTEGER PRIMARY KEY,
    kind            INTEGER NOT NULL,
    id              BLOB NOT NULL,
    idempotency_key TEXT,
    fingerprint     BLOB NOT NULL,
    accepted_at     INTEGER NOT NULL,
    forwarded_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX receipts_by_id ON receipts (id, kind);
CREATE UNIQUE INDEX receipts_by_key ON receipts (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the hub refused for good, or failed at ten times, or expired here: kept until a person decides.
CREATE TABLE dead_letters (
    seq             INTEGER PRIMARY KEY,
    kind            INTEGER NOT NULL,
    id              BLOB NOT NULL,
    idempotency_key TEXT,
    order_id        TEXT,
    accepted_at     INTEGER NOT NULL,
    expires_at      INTEGER,
    attempts        INTEGER NOT NULL,
    failed_at       INTEGER NOT NULL,
    -- refused, parked or expired
    reason          TEXT NOT NULL CHECK (reason IN ('refused', 'parked', 'expired')),
    -- The hub's last answer, a JSON document, when there was one.
    answer          TEXT,
    -- The version of the hub that refused nothing but fields that it does not know (empty when it
    -- did not say): another version may know them.
    hub_version     TEXT,
    fingerprint     BLOB NOT NULL,
    body            BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_id ON dead_letters (id, kind);
CREATE INDEX dead_letters_by_key ON dead_letters (idempotency_key) WHERE idempotency_key IS NOT NULL;
