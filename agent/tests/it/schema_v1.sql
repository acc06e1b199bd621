-- The buffer's schema, version 1. Times are milliseconds since 1970, UTC.

-- Few facts about the buffer itself: the agent's name, the project, the key of the fingerprints,
-- and how much is kept (counted in the same transactions that change it).
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was acknowledged and is not yet at the hub, in the order of acceptance.
CREATE TABLE operations (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
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
    -- The caller's bytes.
    body            BLOB NOT NULL
) STRICT;

-- What answers repeats, from acceptance until some days after forwarding.
CREATE TABLE receipts (
    seq             INTEGER PRIMARY KEY,
    kind            INTEGER NOT NULL,
    id              BLOB NOT NULL,
    idempotency_key TEXT,
    -- Keyed digest of the body.
    fingerprint     BLOB NOT NULL,
    accepted_at     INTEGER NOT NULL,
    forwarded_at    INTEGER
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
    body            BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_id ON dead_letters (id, kind);
