-- What each score means: the definitions in force (scores.toml), as `touchline migrate` and the worker that publishes
-- write them, and one view of every score of every minute by its definition.
-- The functions repeat pipeline/scores/definitions.py operation for operation; a test holds both together.
-- Safe to run again: every statement creates only what is missing, or puts back exactly this.

CREATE TABLE IF NOT EXISTS definitions ${ON_CLUSTER}
(
    id LowCardinality(String),
    version UInt16,
    metric LowCardinality(String),
    scale LowCardinality(String),
    form LowCardinality(String),
    top Array(UInt8),
    bottom Array(UInt8),
    better LowCardinality(String),
    weighting LowCardinality(String),
    minimum_n UInt32,
    in_force UInt8,
    about String,
    written_ms Int64
)
ENGINE = ${REPLICATED}ReplacingMergeTree(written_ms)
ORDER BY (written_ms, id, version, scale);

-- Answers in a box: `bins` are places of the histogram from 0.
CREATE OR REPLACE FUNCTION tl_boxed ${ON_CLUSTER} AS (h, bins) ->
    arraySum((counted, place) -> if(has(bins, place - 1), counted, 0), h, arrayEnumerate(h));

CREATE OR REPLACE FUNCTION tl_defined_unit ${ON_CLUSTER} AS (form) ->
    multiIf(form = 'net', 'points', form = 'share', 'share', form = 'mean', 'mean', 'count');

CREATE OR REPLACE FUNCTION tl_defined_method ${ON_CLUSTER} AS (form) ->
    multiIf(form = 'net', 'adjusted_wald', form = 'share', 'wilson', form = 'mean', 'normal', 'count');

CREATE OR REPLACE FUNCTION tl_defined_status ${ON_CLUSTER} AS (form, minimum_n, h) ->
    if(tl_n(h) >= minimum_n OR form = 'count', 'ok', 'insufficient');

CREATE OR REPLACE FUNCTION tl_defined_score ${ON_CLUSTER} AS (form, scale, top, bottom, minimum_n, h) ->
    multiIf(tl_defined_status(form, minimum_n, h) = 'insufficient', NULL,
        form = 'net', 100.0 * tl_net(tl_boxed(h, bottom), tl_boxed(h, top), tl_n(h)),
        form = 'share', tl_boxed(h, top) / tl_n(h),
        form = 'mean', tl_mean(scale, h),
        toFloat64(tl_n(h)));

CREATE OR REPLACE FUNCTION tl_defined_low ${ON_CLUSTER} AS (form, scale, top, bottom, minimum_n, h) ->
    multiIf(tl_defined_status(form, minimum_n, h) = 'insufficient', NULL,
        form = 'net',
        greatest(100.0 * tl_adjusted_wald_low(tl_boxed(h, bottom), tl_boxed(h, top), tl_n(h)), -100.0),
        form = 'share', tl_wilson_low(tl_boxed(h, top), tl_n(h)),
        form = 'mean',
        greatest(tl_mean(scale, h) - tl_wald_half(tl_variance(scale, h), tl_n(h)), toFloat64(tl_lowest(scale))),
        NULL);

CREATE OR REPLACE FUNCTION tl_defined_high ${ON_CLUSTER} AS (form, scale, top, bottom, minimum_n, h) ->
    multiIf(tl_defined_status(form, minimum_n, h) = 'insufficient', NULL,
        form = 'net',
        least(100.0 * tl_adjusted_wald_high(tl_boxed(h, bottom), tl_boxed(h, top), tl_n(h)), 100.0),
        form = 'share', tl_wilson_high(tl_boxed(h, top), tl_n(h)),
        form = 'mean',
        least(tl_mean(scale, h) + tl_wald_half(tl_variance(scale, h), tl_n(h)), toFloat64(tl_highest(scale))),
        NULL);

-- Every score of every minute by each version of its definition. Filter `in_force` for the ones that are published;
-- for larger windows sum the histograms of `scores_1m` and apply tl_defined_*.
CREATE OR REPLACE VIEW scores ${ON_CLUSTER} AS
SELECT
    id, version, in_force, cut, metric, scale, brand, unit, channel, touchpoint, dim, minute,
    histogram, s1, s2, n,
    tl_defined_score(form, scale, top, bottom, minimum_n, histogram) AS score,
    tl_defined_low(form, scale, top, bottom, minimum_n, histogram) AS low,
    tl_defined_high(form, scale, top, bottom, minimum_n, histogram) AS high,
    tl_defined_unit(form) AS score_unit,
    tl_defined_method(form) AS method,
    tl_defined_status(form, minimum_n, histogram) AS status
FROM
(
    SELECT cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, histogram, s1, s2, n
    FROM scores_1m
) AS counted
INNER JOIN
(
    SELECT id, version, in_force, metric, form, top, bottom, minimum_n, scale AS read_scale
    FROM definitions FINAL
    WHERE written_ms = (SELECT max(written_ms) FROM definitions)
) AS defined USING (metric)
WHERE read_scale = scale OR read_scale = 'any';
