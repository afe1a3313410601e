-- How far the live scores are behind after an outage, written while they are: readers say "catching up".
-- Safe to run again: a new table, nothing else is touched.

CREATE TABLE IF NOT EXISTS backlog ${ON_CLUSTER}
(
    topic LowCardinality(String),
    as_of_ms Int64,
    behind Int64,
    clock_ms Int64,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(as_of_ms)
ORDER BY topic;
