-- What users were told, and what they made of it. Nothing here follows from the facts: a rebuild of the figures leaves it alone.
CREATE TABLE told (
    user_id TEXT NOT NULL,
    insight_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    day BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    state BIGINT NOT NULL,
    likeness TEXT NOT NULL,
    minor BIGINT NOT NULL,
    trace_id TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (user_id, insight_key)
);
CREATE INDEX told_by_time ON told (user_id, created_at_us, insight_key);
-- What is expected (state 2), by what it is like.
CREATE INDEX told_expected ON told (user_id, likeness) WHERE state = 2;
