-- How a budget cuts the calendar, where its kind alone does not say: the weekday or the day of the month on which a period begins, a day on which one
-- began, and its length. Then what else a budget says: percentages, what becomes of what is left, whether its pace is told of, and the categories
-- that a group has, joined by commas.
ALTER TABLE budget_revisions ADD COLUMN start_day BIGINT NOT NULL DEFAULT 1;
ALTER TABLE budget_revisions ADD COLUMN anchor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE budget_revisions ADD COLUMN length_days BIGINT NOT NULL DEFAULT 0;
ALTER TABLE budget_revisions ADD COLUMN thresholds TEXT NOT NULL DEFAULT '80,100';
ALTER TABLE budget_revisions ADD COLUMN rollover BIGINT NOT NULL DEFAULT 0;
ALTER TABLE budget_revisions ADD COLUMN pace BIGINT NOT NULL DEFAULT 0;
ALTER TABLE budget_revisions ADD COLUMN members TEXT NOT NULL DEFAULT '';

-- When the next period of a user's budgets ends; whoever has one that has ended is found here. At first that is everybody with a budget.
ALTER TABLE owners ADD COLUMN due_at_us BIGINT;
UPDATE owners SET due_at_us = 0 WHERE EXISTS (SELECT 1 FROM budget_revisions b WHERE b.user_id = owners.user_id);
CREATE INDEX owners_due ON owners (due_at_us) WHERE due_at_us IS NOT NULL;

-- A budget's periods that have ended, as they ended. A later change of a line in one raises its revision.
CREATE TABLE period_summaries (
    user_id TEXT NOT NULL,
    category TEXT NOT NULL,
    period_start BIGINT NOT NULL,
    period_end BIGINT NOT NULL,
    budget_revision BIGINT NOT NULL,
    currency TEXT NOT NULL,
    minor BIGINT NOT NULL,
    rollover BIGINT NOT NULL,
    carried_in BIGINT NOT NULL,
    carried_out BIGINT NOT NULL,
    gross BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    count BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    closed_at_us BIGINT NOT NULL,
    corrected_at_us BIGINT,
    PRIMARY KEY (user_id, category, period_start)
);

-- The account that a line is of.
ALTER TABLE facts ADD COLUMN account TEXT NOT NULL DEFAULT '';
