-- What the flow looks up and what people ask for: profiles, units, alerts, keys, requests.
-- Safe to run again: every statement creates only what is missing.

CREATE TABLE IF NOT EXISTS profiles ${ON_CLUSTER}
(
    part UInt16,
    off Int64,
    ver UInt64,
    key_id UInt8,
    customer UInt64,
    valid_from_ms Int64,
    segments String,
    unit LowCardinality(String),
    attributes String
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (part, customer, valid_from_ms, off);

CREATE TABLE IF NOT EXISTS units ${ON_CLUSTER}
(
    unit LowCardinality(String),
    parent LowCardinality(String),
    valid_from UInt32,
    valid_to UInt32,
    name String,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (unit, valid_from);

CREATE TABLE IF NOT EXISTS alerts ${ON_CLUSTER}
(
    alert_id String,
    revision UInt32,
    state LowCardinality(String),
    rule LowCardinality(String),
    scope String,
    owner LowCardinality(String),
    at_ms Int64,
    body String
)
ENGINE = ${REPLICATED}ReplacingMergeTree
ORDER BY (alert_id, revision);

CREATE TABLE IF NOT EXISTS keys ${ON_CLUSTER}
(
    key_id String,
    digest FixedString(32),
    scopes String,
    created_ms Int64,
    expires_ms Int64,
    revoked_ms Int64,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY key_id;

CREATE TABLE IF NOT EXISTS requests ${ON_CLUSTER}
(
    request_id String,
    asked_ms Int64,
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    kind LowCardinality(String),
    body String,
    done_ms Int64,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (topic, epoch, part, asked_ms, request_id);
