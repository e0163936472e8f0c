-- A line as it stands. What names it is unique within its user and never changes; log_* is the place of the last event that touched it.
CREATE TABLE records (
    id BLOB NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT NOT NULL,
    line_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL,
    description TEXT NOT NULL,
    occurred_at_us BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    log_epoch TEXT,
    log_partition BIGINT,
    log_offset BIGINT
);
CREATE UNIQUE INDEX records_identity ON records (user_id, source, account, line_key);
CREATE INDEX records_by_day ON records (user_id, day, id);

-- Every version of every line, which is also the change feed: a change's `before` is the version below its own.
CREATE TABLE versions (
    sequence BIGINT NOT NULL PRIMARY KEY,
    record_id BLOB NOT NULL,
    version BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL,
    description TEXT NOT NULL,
    occurred_at_us BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    changed_at_us BIGINT NOT NULL,
    log_epoch TEXT,
    log_partition BIGINT,
    log_offset BIGINT
);
CREATE UNIQUE INDEX versions_of_record ON versions (record_id, version);
CREATE INDEX versions_by_origin ON versions (origin, sequence);

-- The one row from which sequences are taken. Whoever takes one holds the row until the end of the transaction, so the order of
-- sequences is the order of commits.
CREATE TABLE feed (
    id BIGINT NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL
);
INSERT INTO feed (id, sequence) VALUES (1, 0);

-- Lines that a provider sent under an id that is known with other money or another date. Neither of the two was overwritten.
CREATE TABLE quarantine (
    user_id TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT NOT NULL,
    line_key TEXT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    day BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    category TEXT NOT NULL,
    merchant TEXT NOT NULL,
    description TEXT NOT NULL,
    occurred_at_us BIGINT NOT NULL,
    record_id BLOB NOT NULL,
    first_seen_us BIGINT NOT NULL,
    PRIMARY KEY (user_id, source, account, line_key, minor, currency, day)
);
