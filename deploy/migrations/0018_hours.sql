-- Windows by the hour: minutes are kept some days (TOUCHLINE_MINUTES_KEPT_DAYS), then only hours.
-- `rolled` says which days of a partition are kept by the hour: from its row on everybody reads the day's hours and
-- nobody its minutes, so no moment counts a day twice or not at all. `cleared`: the day's minutes have been removed.
-- Safe to run again, and on busy tables: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS windows_1h ${ON_CLUSTER}
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

CREATE TABLE IF NOT EXISTS rolled ${ON_CLUSTER}
(
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    day UInt32,
    ver UInt64,
    cleared UInt8,
    rolled_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ${REPLICATED}ReplacingMergeTree(cleared)
ORDER BY (topic, epoch, part, day);

-- Every window row that counts, of minutes and of hours: `seconds` is its width, `minute` where it begins.
CREATE OR REPLACE VIEW windows_kept ${ON_CLUSTER} AS
SELECT
    cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part,
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, s1, s2, toUInt32(60) AS seconds
FROM windows FINAL
WHERE (topic, epoch, part, intDiv(minute, 86400)) NOT IN (SELECT topic, epoch, part, day FROM rolled)
UNION ALL
SELECT
    cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part,
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, s1, s2, toUInt32(3600) AS seconds
FROM windows_1h FINAL
WHERE (topic, epoch, part, intDiv(minute, 86400)) IN (SELECT topic, epoch, part, day FROM rolled);

-- Every score of every minute, over all partitions; of days kept by the hour, of every hour (`seconds` says which).
-- Larger windows: sum the histograms, then apply the functions.
CREATE OR REPLACE VIEW scores_1m ${ON_CLUSTER} AS
SELECT
    cut, metric, scale, brand, unit, channel, touchpoint, dim, minute,
    histogram, sum_p AS s1, sum_pp AS s2,
    tl_n(histogram) AS n,
    tl_score(metric, scale, histogram) AS score,
    tl_low(metric, scale, histogram) AS low,
    tl_high(metric, scale, histogram) AS high,
    tl_unit(metric) AS score_unit,
    tl_method(metric) AS method,
    tl_status(metric, histogram) AS status,
    seconds
FROM
(
    SELECT
        cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, seconds,
        [sum(b0), sum(b1), sum(b2), sum(b3), sum(b4), sum(b5), sum(b6), sum(b7), sum(b8), sum(b9), sum(b10)] AS histogram,
        sum(s1) AS sum_p, sum(s2) AS sum_pp
    FROM windows_kept
    GROUP BY cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, seconds
    HAVING arraySum(histogram) != 0
);
