-- Until when somebody may follow the user's figures: only then is kept what each transaction touches.
ALTER TABLE owners ADD COLUMN watched_until_us BIGINT NOT NULL DEFAULT 0;

-- What a transaction of a user touched: days of categories, as JSON; none where it was the budgets. Only the latest are kept.
CREATE TABLE touched (
    user_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    cells TEXT NOT NULL,
    PRIMARY KEY (user_id, sequence)
);
