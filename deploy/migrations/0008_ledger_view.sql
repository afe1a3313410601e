-- The ledger as analysts read it: times as times, answers as answers, nothing that only the machine needs.
-- Safe to run again: it puts back exactly this. Columns may be added at the end, never renamed or taken away.

CREATE OR REPLACE VIEW ledger_v ${ON_CLUSTER} AS
SELECT
    day,
    fromUnixTimestamp64Milli(occurred_ms, 'UTC') AS occurred_at,
    fromUnixTimestamp64Milli(ingest_ms, 'UTC') AS arrived_at,
    topic, epoch, part, off,
    disposition, reason, failed_at,
    if(customer = 0, '', concat('k', toString(key_id), ':', lower(leftPad(hex(customer), 16, '0')))) AS customer,
    source, metric, scale,
    if(bin >= 0, toNullable(answer), NULL) AS answer,
    brand, unit, channel,
    multiIf(channel IN ('store', 'call', 'chat'), 'human', channel = '', '', 'digital') AS mode,
    touchpoint, stage, owner,
    if(segments = '', [], splitByChar(',', toString(segments))) AS segments,
    product, agent, language, device, campaign,
    value, currency, duration_ms,
    label,
    if(label = '', NULL, toNullable(p / 10000)) AS polarity,
    if(label = '', NULL, toNullable(confidence / 10000)) AS confidence,
    tier, model,
    revision,
    if(old_off >= 0, toNullable(old_off), NULL) AS replaces
FROM ledger FINAL;
