-- What watching for drops keeps: the detectors' state after each closed window, and what was learned each day.
-- Safe to run again: every statement creates only what is missing.
-- kind `state`: at = end of the window, needed to go on after a kill, kept for days.
-- kind `events`: at = when answers were looked at one by one, and up to which offsets; kept for days.
-- kind `known` and `learned`: at = the moment up to which was learned; a backtest learns from the same rows, so it is kept long.

CREATE TABLE IF NOT EXISTS watches ${ON_CLUSTER}
(
    kind LowCardinality(String),
    at UInt32,
    ver UInt64,
    body String,
    written_at DateTime DEFAULT now()
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (kind, at)
TTL written_at + INTERVAL 3 DAY DELETE WHERE kind IN ('state', 'events'), written_at + INTERVAL 400 DAY DELETE WHERE kind IN ('known', 'learned')
SETTINGS ${WINDOW};
