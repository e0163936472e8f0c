-- Whether the version of a fact has just happened, and is not history: only then may what it changes be told.
ALTER TABLE facts ADD COLUMN live BIGINT NOT NULL DEFAULT 0;

-- Counts the transactions that changed something of the user.
ALTER TABLE owners ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0;
-- Whether series have not been looked for since the last of them.
ALTER TABLE owners ADD COLUMN unscanned BIGINT NOT NULL DEFAULT 1;
CREATE INDEX owners_unscanned ON owners (user_id) WHERE unscanned = 1;

-- What comes again and again. Follows from the facts, but for `is_settled`: that the next line is late was told, or must not be.
CREATE TABLE recurring (
    user_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    kind BIGINT NOT NULL,
    payee TEXT NOT NULL,
    merchant TEXT NOT NULL,
    category TEXT NOT NULL,
    cadence TEXT NOT NULL,
    minor BIGINT NOT NULL,
    is_fixed BIGINT NOT NULL,
    last_day BIGINT NOT NULL,
    next_day BIGINT NOT NULL,
    late_until BIGINT NOT NULL,
    is_settled BIGINT NOT NULL,
    lines TEXT NOT NULL,
    PRIMARY KEY (user_id, currency, kind, payee)
);
CREATE INDEX recurring_late ON recurring (late_until, user_id) WHERE is_settled = 0;

-- Notices of what no change of a record gave rise to, until notifications has them.
CREATE TABLE outbox (
    user_id TEXT NOT NULL,
    insight_key TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (user_id, insight_key)
);
CREATE INDEX outbox_by_time ON outbox (created_at_us, user_id, insight_key);
