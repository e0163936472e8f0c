-- How many bytes of events a partition holds, so that a bound on them needs no sum over all.
ALTER TABLE topic_partitions ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;

UPDATE topic_partitions SET bytes = (
    SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM topic_events
    WHERE topic_events.topic = topic_partitions.topic AND topic_events.part = topic_partitions.part
);
