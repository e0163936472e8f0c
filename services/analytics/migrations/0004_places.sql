-- What is kept of a category's purchases serves every record that was made after it, of whichever day. So it is bounded by the last day and by the greatest
-- id, each for itself, and what was kept under another bound is made anew.
DELETE FROM recent_purchases;
ALTER TABLE recent_purchases RENAME COLUMN newest_day TO last_day;
ALTER TABLE recent_purchases RENAME COLUMN newest_id TO greatest_id;
