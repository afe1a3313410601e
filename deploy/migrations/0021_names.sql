-- Names without a place of their own: a row says which of its dimensions the windows count under `other` (`others`, a bit
-- for each of brand, unit, channel, touchpoint, segments, product, agent, language, device, campaign, stage, from the
-- lowest), and the same of what it takes back (`old_others`). The true names stay. Rows of before say: none.
-- `names` is who has a place: all workers share it. `row_hash` holds the two columns where they say something, so the
-- hashes of older rows stay true.
-- Safe on a busy table: new columns with defaults and a new default touch no row. Safe to run again.

ALTER TABLE ledger ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS others UInt16 DEFAULT 0;

ALTER TABLE ledger ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS old_others UInt16 DEFAULT 0;

ALTER TABLE ledger ${ON_CLUSTER} MODIFY COLUMN row_hash UInt64 DEFAULT if(others = 0 AND old_others = 0,
    cityHash64(
        topic, epoch, part, off, ver, ingest_ms, disposition, reason, failed_at, event_hash, payload_hash, occurred_ms,
        key_id, customer, source, metric, scale, answer, bin, brand, unit, channel, touchpoint, segments, product,
        agent, language, device, campaign, stage, owner, value, currency, duration_ms, label, p, confidence, tier,
        model, answer_hash, revision, old_off, old_occurred_ms, old_metric, old_scale, old_bin, old_label, old_p,
        old_tier, old_brand, old_unit, old_channel, old_touchpoint, old_segments, old_product, old_agent,
        old_language, old_device, old_campaign, old_stage),
    cityHash64(others, old_others,
        cityHash64(
        topic, epoch, part, off, ver, ingest_ms, disposition, reason, failed_at, event_hash, payload_hash, occurred_ms,
        key_id, customer, source, metric, scale, answer, bin, brand, unit, channel, touchpoint, segments, product,
        agent, language, device, campaign, stage, owner, value, currency, duration_ms, label, p, confidence, tier,
        model, answer_hash, revision, old_off, old_occurred_ms, old_metric, old_scale, old_bin, old_label, old_p,
        old_tier, old_brand, old_unit, old_channel, old_touchpoint, old_segments, old_product, old_agent,
        old_language, old_device, old_campaign, old_stage)));

CREATE TABLE IF NOT EXISTS names ${ON_CLUSTER}
(
    dimension LowCardinality(String),
    name String,
    day Date,
    written_ms Int64 DEFAULT toUnixTimestamp64Milli(now64(3))
)
ENGINE = ${REPLICATED}ReplacingMergeTree(day)
ORDER BY (dimension, name)
TTL day + INTERVAL 90 DAY;
