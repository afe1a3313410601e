-- Who was asked for an opinion and when, and what customers chose: the contact policy over all surveys.
-- New tables; safe to run again.

CREATE TABLE IF NOT EXISTS invitations ${ON_CLUSTER}
(
    customer UInt64,
    key_id UInt8,
    invitation String,
    survey LowCardinality(String),
    channel LowCardinality(String),
    brand LowCardinality(String),
    asked_ms Int64,
    allowed UInt8,
    reason LowCardinality(String),
    bounced UInt8 DEFAULT 0,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (customer, key_id, invitation)
TTL toDateTime(intDiv(asked_ms, 1000)) + INTERVAL 400 DAY
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS choices ${ON_CLUSTER}
(
    customer UInt64,
    key_id UInt8,
    kind LowCardinality(String),
    at_ms Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(at_ms)
ORDER BY (customer, key_id)
SETTINGS ${WINDOW};
