-- What one of a currency was worth in another on a day, as decimal text. Figures in another currency than their lines' are made of these when they are
-- asked for; nothing that is stored is.
CREATE TABLE rates (
    day BIGINT NOT NULL,
    base TEXT NOT NULL,
    quote TEXT NOT NULL,
    rate TEXT NOT NULL,
    source TEXT NOT NULL,
    set_at_us BIGINT NOT NULL,
    PRIMARY KEY (day, base, quote)
) WITHOUT ROWID;
