-- Windows: integer answer histograms per minute (and hour), who folded how far, how windows closed, what changed later.
-- Safe to run again: every statement creates only what is missing.

CREATE TABLE IF NOT EXISTS windows ${ON_CLUSTER}
(
    cut LowCardinality(String),
    metric LowCardinality(String),
    scale LowCardinality(String),
    brand LowCardinality(String),
    unit LowCardinality(String),
    channel LowCardinality(String),
    touchpoint LowCardinality(String),
    dim LowCardinality(String),
    minute UInt32,
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    ver UInt64,
    seq UInt64,
    version UInt128 DEFAULT bitOr(bitShiftLeft(toUInt128(ver), 64), toUInt128(seq)),
    b0 Int64, b1 Int64, b2 Int64, b3 Int64, b4 Int64, b5 Int64, b6 Int64, b7 Int64, b8 Int64, b9 Int64, b10 Int64,
    s1 Int64,
    s2 Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
PARTITION BY toYear(toDateTime(minute, 'UTC'))
ORDER BY (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part)
SETTINGS ${WINDOW};

CREATE TABLE IF NOT EXISTS progress ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    ver UInt64,
    seq UInt64,
    version UInt128 DEFAULT bitOr(bitShiftLeft(toUInt128(ver), 64), toUInt128(seq)),
    position Int64,
    settled Int64,
    clock_ms Int64,
    written_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
ORDER BY (topic, epoch, part);

CREATE TABLE IF NOT EXISTS frontiers ${ON_CLUSTER}
(
    window_end UInt32,
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    ver UInt64,
    closed_ms Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (window_end, topic, epoch, part);

CREATE TABLE IF NOT EXISTS changes ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    minute UInt32,
    reason LowCardinality(String),
    known_ms Int64,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (minute, topic, epoch, part, off, reason);
