ALTER TABLE executions ADD COLUMN partition_key TEXT NOT NULL DEFAULT '';
ALTER TABLE executions ADD COLUMN error_code TEXT NOT NULL DEFAULT '';

-- What the nodes before the one that failed had answered: a JSON object.
ALTER TABLE dead_letters ADD COLUMN answers TEXT NOT NULL DEFAULT '{}';

CREATE INDEX dead_letters_of_executions ON dead_letters (execution_id);
