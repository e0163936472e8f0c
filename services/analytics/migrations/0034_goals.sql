-- What users save for. One that was removed stays, so that its name means another goal when it is set again.
CREATE TABLE goals (
    user_id TEXT NOT NULL,
    goal TEXT NOT NULL,
    generation BIGINT NOT NULL,
    is_removed BIGINT NOT NULL,
    title TEXT NOT NULL,
    currency TEXT NOT NULL,
    target BIGINT NOT NULL,
    opening BIGINT NOT NULL,
    source BIGINT NOT NULL,
    account TEXT NOT NULL,
    start_day BIGINT NOT NULL,
    deadline BIGINT,
    milestones TEXT NOT NULL,
    linked BIGINT NOT NULL,
    given BIGINT NOT NULL,
    PRIMARY KEY (user_id, goal)
);

-- What was contributed by hand. One that was taken back stays, so that a repeated call does not bring it again.
CREATE TABLE goal_contributions (
    user_id TEXT NOT NULL,
    contribution_id BLOB NOT NULL,
    goal TEXT NOT NULL,
    generation BIGINT NOT NULL,
    is_removed BIGINT NOT NULL,
    day BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (user_id, contribution_id)
);
CREATE INDEX goal_contributions_by_day ON goal_contributions (user_id, goal, generation, day, contribution_id);

-- Milestones that were reached. The key is what makes one be told once: a goal that gets a target which it had before knows what was told of it.
CREATE TABLE goal_milestones (
    user_id TEXT NOT NULL,
    goal TEXT NOT NULL,
    generation BIGINT NOT NULL,
    currency TEXT NOT NULL,
    target BIGINT NOT NULL,
    milestone BIGINT NOT NULL,
    is_notified BIGINT NOT NULL,
    reached_at_us BIGINT NOT NULL,
    PRIMARY KEY (user_id, goal, generation, currency, target, milestone)
);

-- Whether a user has goals: only then are they looked at when a line changes.
ALTER TABLE owners ADD COLUMN has_goals BIGINT NOT NULL DEFAULT 0;
