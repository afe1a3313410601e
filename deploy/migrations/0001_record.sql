-- The record: one ledger row per Kafka offset, the masked texts, the sealed bytes of rejected events, the holes.
-- Safe to run again: every statement creates only what is missing.
-- ${ON_CLUSTER} and ${REPLICATED} come from settings and are empty on one server.

CREATE TABLE IF NOT EXISTS ledger ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ver UInt64,
    ingest_ms Int64,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(ingest_ms, 'UTC')),
    disposition LowCardinality(String),
    reason LowCardinality(String),
    failed_at LowCardinality(String) DEFAULT '',
    event_hash UInt64,
    payload_hash UInt64,
    occurred_ms Int64,
    key_id UInt8,
    customer UInt64,
    source LowCardinality(String),
    metric LowCardinality(String),
    scale LowCardinality(String),
    answer Int16,
    bin Int8,
    brand LowCardinality(String),
    unit LowCardinality(String),
    channel LowCardinality(String),
    touchpoint LowCardinality(String),
    segments LowCardinality(String) DEFAULT '',
    product LowCardinality(String) DEFAULT '',
    agent LowCardinality(String) DEFAULT '',
    language LowCardinality(String) DEFAULT '',
    device LowCardinality(String) DEFAULT '',
    campaign LowCardinality(String) DEFAULT '',
    stage LowCardinality(String) DEFAULT '',
    owner LowCardinality(String) DEFAULT '',
    value Float64 DEFAULT 0,
    currency LowCardinality(String) DEFAULT '',
    duration_ms Int64 DEFAULT 0,
    label LowCardinality(String) DEFAULT '',
    p Int16 DEFAULT 0,
    confidence Int16 DEFAULT 0,
    tier LowCardinality(String) DEFAULT '',
    model LowCardinality(String) DEFAULT '',
    answer_hash UInt64 DEFAULT 0,
    revision Int64 DEFAULT 0,
    old_off Int64 DEFAULT -1,
    old_occurred_ms Int64 DEFAULT 0,
    old_metric LowCardinality(String) DEFAULT '',
    old_scale LowCardinality(String) DEFAULT '',
    old_bin Int8 DEFAULT -1,
    old_label LowCardinality(String) DEFAULT '',
    old_p Int16 DEFAULT 0,
    old_tier LowCardinality(String) DEFAULT '',
    old_brand LowCardinality(String) DEFAULT '',
    old_unit LowCardinality(String) DEFAULT '',
    old_channel LowCardinality(String) DEFAULT '',
    old_touchpoint LowCardinality(String) DEFAULT '',
    old_segments LowCardinality(String) DEFAULT '',
    old_product LowCardinality(String) DEFAULT '',
    old_agent LowCardinality(String) DEFAULT '',
    old_language LowCardinality(String) DEFAULT '',
    old_device LowCardinality(String) DEFAULT '',
    old_campaign LowCardinality(String) DEFAULT '',
    old_stage LowCardinality(String) DEFAULT '',
    row_hash UInt64 DEFAULT cityHash64(
        topic, epoch, part, off, ver, ingest_ms, disposition, reason, failed_at, event_hash, payload_hash, occurred_ms,
        key_id, customer, source, metric, scale, answer, bin, brand, unit, channel, touchpoint, segments, product,
        agent, language, device, campaign, stage, owner, value, currency, duration_ms, label, p, confidence, tier,
        model, answer_hash, revision, old_off, old_occurred_ms, old_metric, old_scale, old_bin, old_label, old_p,
        old_tier, old_brand, old_unit, old_channel, old_touchpoint, old_segments, old_product, old_agent,
        old_language, old_device, old_campaign, old_stage)
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
PARTITION BY day
ORDER BY (topic, epoch, part, off)
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS texts ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ver UInt64,
    ingest_ms Int64,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(ingest_ms, 'UTC')),
    text String
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
PARTITION BY day
ORDER BY (topic, epoch, part, off)
TTL day + INTERVAL 400 DAY
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS sealed ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ver UInt64,
    ingest_ms Int64,
    day Date DEFAULT toDate(fromUnixTimestamp64Milli(ingest_ms, 'UTC')),
    failed_at LowCardinality(String),
    reason LowCardinality(String),
    path String,
    detail String,
    key_id UInt8,
    sealed String
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
PARTITION BY day
ORDER BY (topic, epoch, part, off)
TTL day + INTERVAL 30 DAY
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS gaps ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    lo Int64,
    hi Int64,
    ver UInt64,
    reason LowCardinality(String),
    known_ms Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (topic, epoch, part, lo)
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS epochs ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    lo Int64,
    ver UInt64,
    begun_at DateTime DEFAULT now(),
    reason LowCardinality(String)
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (topic, epoch, part)
SETTINGS ${WINDOW};
