-- Who sent what: the producer and the number of tries of a dead letter, arrivals by producer, what was replayed.
-- Safe on busy tables: new columns have defaults and touch no part on disk. Safe to run again: everything is IF NOT EXISTS.

ALTER TABLE sealed ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS producer LowCardinality(String) DEFAULT '';

ALTER TABLE sealed ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS attempt UInt8 DEFAULT 0;

CREATE TABLE IF NOT EXISTS arrivals ${ON_CLUSTER}
(
    bucket DateTime('UTC'),
    producer LowCardinality(String),
    topic LowCardinality(String),
    reason LowCardinality(String),
    n SimpleAggregateFunction(sum, UInt64),
    last_ms SimpleAggregateFunction(max, Int64)
)
ENGINE = ${REPLICATED}AggregatingMergeTree
ORDER BY (producer, topic, bucket, reason)
TTL bucket + INTERVAL 35 DAY
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS producers ${ON_CLUSTER}
(
    producer LowCardinality(String),
    state LowCardinality(String),
    why String,
    arrived UInt64,
    rejected UInt64,
    share Float64,
    last_ms Int64,
    gap_ms Int64,
    since_ms Int64,
    looked_ms Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(looked_ms)
ORDER BY producer
TTL toDateTime(intDiv(looked_ms, 1000)) + INTERVAL 35 DAY
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS replays ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ver UInt64,
    event_hash UInt64,
    value_hash UInt64,
    target LowCardinality(String),
    tries UInt8,
    done UInt8,
    at_ms Int64,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(at_ms, 'UTC'))
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (topic, epoch, part, off)
TTL day + INTERVAL 90 DAY
SETTINGS ${WINDOW};
