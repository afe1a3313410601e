-- Bodies of webhooks as they came, sealed, for seven days: so that a better mapping can be tried on them.
-- A new table; safe to run again.

CREATE TABLE IF NOT EXISTS deliveries ${ON_CLUSTER}
(
    integration LowCardinality(String),
    delivery String,
    received_ms Int64,
    producer LowCardinality(String),
    events UInt16,
    rejected UInt16,
    reason LowCardinality(String),
    key_id UInt8,
    sealed String,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(received_ms, 'UTC'))
)
ENGINE = ${REPLICATED}ReplacingMergeTree(received_ms)
PARTITION BY day
ORDER BY (integration, delivery)
TTL day + INTERVAL 7 DAY
SETTINGS ${WINDOW};
