-- What the gateway refused, sealed, for 30 days: it never had an offset, so it stands beside the ledger and not in it.
-- `off` is a hash of the producer and the bytes: the same bad event sent again is the same row. A new table; safe to run
-- again.

CREATE TABLE IF NOT EXISTS refused ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ingest_ms Int64,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(ingest_ms, 'UTC')),
    failed_at LowCardinality(String),
    reason LowCardinality(String),
    path String,
    detail String,
    key_id UInt8,
    sealed String,
    producer LowCardinality(String),
    attempt UInt8 DEFAULT 0
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ingest_ms)
ORDER BY (topic, epoch, part, off)
TTL day + INTERVAL 30 DAY
SETTINGS ${WINDOW};
