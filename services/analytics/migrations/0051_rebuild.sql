-- Rebuilds of figures, one at a time. `sequence` is how far the feed of records is read.
CREATE TABLE rebuilds (
    number BIGINT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state BIGINT NOT NULL,
    is_running BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    changes_read BIGINT NOT NULL,
    users_done BIGINT NOT NULL,
    users_total BIGINT NOT NULL,
    started_at_us BIGINT NOT NULL,
    ended_at_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX rebuilds_running ON rebuilds (is_running) WHERE is_running = 1;
CREATE INDEX rebuilds_by_request ON rebuilds (request_id);

-- What records are by the feed, beside what the figures say.
CREATE TABLE rebuild_facts (
    record_id BLOB NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL,
    account TEXT NOT NULL,
    live BIGINT NOT NULL,
    changed_at_us BIGINT NOT NULL
);
CREATE INDEX rebuild_facts_by_user ON rebuild_facts (user_id);

-- Whose figures are to be put in place still.
CREATE TABLE rebuild_users (
    user_id TEXT NOT NULL PRIMARY KEY
);
