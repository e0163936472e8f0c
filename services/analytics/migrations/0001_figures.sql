-- Whoever has figures. The row is locked by whoever changes anything that belongs to the user.
CREATE TABLE owners (
    user_id TEXT NOT NULL PRIMARY KEY,
    time_zone TEXT NOT NULL,
    currency TEXT
);

-- What a record is in the totals: its latest version. A deleted one stays, so that an older version cannot bring it back.
CREATE TABLE facts (
    record_id BLOB NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    kind BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    day BIGINT NOT NULL,
    merchant TEXT NOT NULL
);
CREATE INDEX facts_by_day ON facts (user_id, currency, day, record_id);
CREATE INDEX facts_by_category ON facts (user_id, currency, category, day, record_id);

-- Sums of a day's expense lines. Every figure of a period is a sum of these.
CREATE TABLE day_totals (
    user_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    day BIGINT NOT NULL,
    category TEXT NOT NULL,
    gross BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (user_id, currency, day, category)
);
CREATE INDEX day_totals_by_category ON day_totals (user_id, currency, category, day);

-- Sums of all expense lines of a user. They bound every sum of some of them: as long as these fit, all figures do.
CREATE TABLE lifetime_totals (
    user_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    gross BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (user_id, currency)
);

-- A budget's terms; a revision is never changed. The one in force for a day is the last whose first day has come.
CREATE TABLE budget_revisions (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    revision BIGINT NOT NULL,
    effective_from BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    period_kind BIGINT NOT NULL,
    time_zone TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (user_id, category, revision)
);

-- Thresholds that were crossed. The key is what makes an alert happen once.
CREATE TABLE crossings (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    revision BIGINT NOT NULL,
    period_start BIGINT NOT NULL,
    threshold BIGINT NOT NULL,
    notified BIGINT NOT NULL,
    crossed_at_us BIGINT NOT NULL,
    PRIMARY KEY (user_id, category, revision, period_start, threshold)
);

-- What a version of a record gave rise to: the answer when its change is delivered again.
CREATE TABLE insights (
    record_id BLOB NOT NULL,
    version BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (record_id, version)
);

-- How far feeds have been followed; moves in the transaction that applies what was read.
CREATE TABLE cursors (
    feed TEXT NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL
);
