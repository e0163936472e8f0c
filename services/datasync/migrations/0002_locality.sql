-- Fewer trees for each change: the feed lies in the order of its sequence without a second one, and what was live is in no index by origin. Live changes are
-- nearly all of them, so whoever follows those reads the feed itself.
CREATE TABLE versions_in_order (
    sequence INTEGER PRIMARY KEY,
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
INSERT INTO versions_in_order (sequence, record_id, version, kind, minor, currency, category, day, merchant, description, occurred_at_us, deleted, origin,
    changed_at_us, log_epoch, log_partition, log_offset)
    SELECT sequence, record_id, version, kind, minor, currency, category, day, merchant, description, occurred_at_us, deleted, origin,
    changed_at_us, log_epoch, log_partition, log_offset FROM versions ORDER BY sequence;
DROP TABLE versions;
ALTER TABLE versions_in_order RENAME TO versions;
CREATE UNIQUE INDEX versions_of_record ON versions (record_id, version);
CREATE INDEX versions_of_history ON versions (origin, sequence) WHERE origin = 2;
