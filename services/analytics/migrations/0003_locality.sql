-- What an event touches lies close together, however much is stored: a tree whose rows are scattered costs a page for each.

-- The latest purchases of a category, newest first, which every new one is compared with: at most fifty, each two varints, by how many days it lies before
-- the one before it (the first: before `newest_day`), and its amount. No purchase lies after the place `newest`. A row may be missing; then the facts are asked.
CREATE TABLE recent_purchases (
    user_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL,
    newest_day BIGINT NOT NULL,
    newest_id BLOB NOT NULL,
    latest BLOB NOT NULL,
    PRIMARY KEY (user_id, currency, category)
) WITHOUT ROWID;

-- In the order of days alone: a user's lines come at one end of it, those of a category would come at as many ends as there are categories. It holds
-- what a line is counted by, so that whoever adds lines up or looks for a category among them reads nothing else.
DROP INDEX facts_purchases;
DROP INDEX facts_by_day;
CREATE INDEX facts_by_day ON facts (user_id, currency, day, record_id, deleted, kind, category, minor);

-- One tree instead of three, for the same reason. A period of a category is read among the same days of the others.
CREATE TABLE totals_by_day (
    user_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    day BIGINT NOT NULL,
    category TEXT NOT NULL,
    gross BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (user_id, currency, day, category)
) WITHOUT ROWID;
INSERT INTO totals_by_day (user_id, currency, day, category, gross, refunds, count)
    SELECT user_id, currency, day, category, gross, refunds, count FROM day_totals ORDER BY user_id, currency, day, category;
DROP TABLE day_totals;
ALTER TABLE totals_by_day RENAME TO day_totals;
