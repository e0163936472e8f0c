-- One row: what was decided when this database was made.
CREATE TABLE topic_log (
    singleton BIGINT PRIMARY KEY CHECK (singleton = 1),
    epoch TEXT NOT NULL,
    partitions BIGINT NOT NULL
);

-- The events of a partition are those from first_pos up to, and without, next_pos.
CREATE TABLE topic_partitions (
    topic TEXT NOT NULL,
    part BIGINT NOT NULL,
    first_pos BIGINT NOT NULL,
    next_pos BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);

-- In the order of its key, so that an append writes at one end of a partition and a fetch reads one stretch.
CREATE TABLE topic_events (
    topic TEXT NOT NULL,
    part BIGINT NOT NULL,
    pos BIGINT NOT NULL,
    appended_at_us BIGINT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (topic, part, pos)
) WITHOUT ROWID;

-- What each group of consumers will process next.
CREATE TABLE topic_cursors (
    topic TEXT NOT NULL,
    consumers TEXT NOT NULL,
    part BIGINT NOT NULL,
    next_pos BIGINT NOT NULL,
    PRIMARY KEY (topic, consumers, part)
);
