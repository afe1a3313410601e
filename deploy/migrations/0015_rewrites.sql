-- What ledger rows said before a new model labelled their text, or before two customers were found to be one: a row for
-- each rewriting and each minute that it changes. "As known then" puts `facts` (JSON of the columns that may change) back.
-- Of an erased customer nothing is kept here. Safe to run again: a new table, nothing else is touched.

CREATE TABLE IF NOT EXISTS rewrites ${ON_CLUSTER}
(
    minute UInt32,
    topic LowCardinality(String),
    epoch UInt16,
    part UInt16,
    off Int64,
    asked_ms Int64,
    reason LowCardinality(String),
    known_ms Int64,
    facts String,
    ver UInt64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(ver)
ORDER BY (minute, topic, epoch, part, off, asked_ms)
SETTINGS ${WINDOW};
