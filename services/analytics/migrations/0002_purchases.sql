-- The latest purchases of a category, which every new one is compared with, are read from this index alone. Nothing else read the one before it.
DROP INDEX facts_by_category;
CREATE INDEX facts_purchases ON facts (user_id, currency, category, day, record_id, minor)
    WHERE deleted = 0 AND kind = 1 AND minor > 0;
