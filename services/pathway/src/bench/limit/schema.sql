-- What four services keep, in one file and without the columns that only they need.
CREATE TABLE events (
    position BIGINT NOT NULL PRIMARY KEY,
    payload BLOB NOT NULL
);
CREATE TABLE progress (
    id BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);
INSERT INTO progress (id, position) VALUES (1, 0);
CREATE TABLE records (
    user_id TEXT NOT NULL,
    line_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL,
    PRIMARY KEY (user_id, line_key)
) WITHOUT ROWID;
CREATE TABLE versions (
    user_id TEXT NOT NULL,
    line_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, line_key, version)
) WITHOUT ROWID;
-- The last amounts of a category are read here, newest first, without a look at the table.
CREATE TABLE facts (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    line_key TEXT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (user_id, category, day, line_key)
) WITHOUT ROWID;
CREATE TABLE day_totals (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    gross BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (user_id, category, day)
) WITHOUT ROWID;
CREATE TABLE budgets (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    minor BIGINT NOT NULL,
    PRIMARY KEY (user_id, category)
) WITHOUT ROWID;
CREATE TABLE crossings (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    period_start BIGINT NOT NULL,
    threshold BIGINT NOT NULL,
    PRIMARY KEY (user_id, category, period_start, threshold)
) WITHOUT ROWID;
CREATE TABLE notices (
    user_id TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    is_read BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (user_id, dedup_key)
) WITHOUT ROWID;
CREATE TABLE executions (
    position BIGINT NOT NULL PRIMARY KEY,
    pathway TEXT NOT NULL,
    event_id TEXT NOT NULL,
    status BIGINT NOT NULL,
    nodes TEXT NOT NULL,
    started_at_us BIGINT NOT NULL,
    duration_us BIGINT NOT NULL
);
