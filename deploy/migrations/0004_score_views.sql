-- Scores: every formula once, as a function of the answer histogram, and one view that shows every score of every minute.
-- `touchline scores` sums histograms over any window and group and applies the same functions: scores are never averaged.
-- The functions repeat pipeline/scores/meters.py and intervals.py operation for operation; a test holds both together.
-- Functions belong to the server, not to a database; running this file again puts back exactly these.
-- h: eleven counters, bin = answer - lowest answer of the scale; scale "1-5", or the labelling tier for sentiment.

-- 97.5 % quantile of the normal distribution: two-sided 95 %.
CREATE OR REPLACE FUNCTION tl_z ${ON_CLUSTER} AS () -> 1.959963984540054;

CREATE OR REPLACE FUNCTION tl_lowest ${ON_CLUSTER} AS (scale) -> toInt64OrZero(splitByChar('-', toString(scale))[1]);

CREATE OR REPLACE FUNCTION tl_highest ${ON_CLUSTER} AS (scale) -> toInt64OrZero(splitByChar('-', toString(scale))[2]);

CREATE OR REPLACE FUNCTION tl_n ${ON_CLUSTER} AS (h) -> arraySum(h);

-- Three classes: NPS 0-6, 7-8, 9-10; sentiment negative, neutral, positive. Fractions.
CREATE OR REPLACE FUNCTION tl_negative ${ON_CLUSTER} AS (metric, h) ->
    if(metric = 'nps', arraySum(arraySlice(h, 1, 7)), h[1]);

CREATE OR REPLACE FUNCTION tl_positive ${ON_CLUSTER} AS (metric, h) -> if(metric = 'nps', h[10] + h[11], h[3]);

CREATE OR REPLACE FUNCTION tl_net ${ON_CLUSTER} AS (negative, positive, n) -> (positive - negative) / n;

CREATE OR REPLACE FUNCTION tl_net_variance ${ON_CLUSTER} AS (negative, positive, n) ->
    (negative + positive) / n - tl_net(negative, positive, n) * tl_net(negative, positive, n);

CREATE OR REPLACE FUNCTION tl_wald_half ${ON_CLUSTER} AS (variance, n) -> tl_z() * sqrt(variance / n);

CREATE OR REPLACE FUNCTION tl_wald_low ${ON_CLUSTER} AS (negative, positive, n) ->
    tl_net(negative, positive, n) - tl_wald_half(tl_net_variance(negative, positive, n), n);

CREATE OR REPLACE FUNCTION tl_wald_high ${ON_CLUSTER} AS (negative, positive, n) ->
    tl_net(negative, positive, n) + tl_wald_half(tl_net_variance(negative, positive, n), n);

-- Wald with pseudo-answers 3/4, 3/2, 3/4 (Rocks 2016), not clipped.
CREATE OR REPLACE FUNCTION tl_adjusted_wald_low ${ON_CLUSTER} AS (negative, positive, n) ->
    tl_wald_low(negative + 0.75, positive + 0.75, n + 3);

CREATE OR REPLACE FUNCTION tl_adjusted_wald_high ${ON_CLUSTER} AS (negative, positive, n) ->
    tl_wald_high(negative + 0.75, positive + 0.75, n + 3);

-- T(t) of Tango 1998: its interval ends where T is z and -z. The yardstick; not published.
CREATE OR REPLACE FUNCTION tl_tango_b ${ON_CLUSTER} AS (negative, positive, n, t) ->
    (2.0 * n - positive + negative) * t - negative - positive;

CREATE OR REPLACE FUNCTION tl_tango_q ${ON_CLUSTER} AS (negative, positive, n, t) ->
    (sqrt(greatest(tl_tango_b(negative, positive, n, t) * tl_tango_b(negative, positive, n, t)
        - 4.0 * (2.0 * n) * (-negative * t * (1.0 - t)), 0.0)) - tl_tango_b(negative, positive, n, t))
    / (2.0 * (2.0 * n));

CREATE OR REPLACE FUNCTION tl_tango_statistic ${ON_CLUSTER} AS (negative, positive, n, t) ->
    if(positive - negative - n * t = 0.0, 0.0,
        (positive - negative - n * t) / sqrt(n * (2.0 * tl_tango_q(negative, positive, n, t) + t * (1.0 - t))));

-- Net sentiment from the probabilities: s1 = sum of p in 1/10,000.
CREATE OR REPLACE FUNCTION tl_soft_net ${ON_CLUSTER} AS (s1, n) -> s1 / 10000 / n;

CREATE OR REPLACE FUNCTION tl_label_noise ${ON_CLUSTER} AS (polar, squares, n) ->
    (polar - squares) / (toFloat64(n) * toFloat64(n));

-- Shares, Wilson's interval. Top box: the two highest answers, of a binary question the one.
CREATE OR REPLACE FUNCTION tl_top_box ${ON_CLUSTER} AS (scale, h) ->
    h[tl_highest(scale) - tl_lowest(scale) + 1]
    + if(scale = '0-1', 0, h[greatest(tl_highest(scale) - tl_lowest(scale), 1)]);

CREATE OR REPLACE FUNCTION tl_wilson_centre ${ON_CLUSTER} AS (hits, n) ->
    (hits / n + tl_z() * tl_z() / (2.0 * n)) / (1.0 + tl_z() * tl_z() / n);

CREATE OR REPLACE FUNCTION tl_wilson_half ${ON_CLUSTER} AS (hits, n) ->
    tl_z() * sqrt(hits / n * (1.0 - hits / n) / n + tl_z() * tl_z() / (4.0 * n * n)) / (1.0 + tl_z() * tl_z() / n);

CREATE OR REPLACE FUNCTION tl_wilson_low ${ON_CLUSTER} AS (hits, n) ->
    greatest(tl_wilson_centre(hits, n) - tl_wilson_half(hits, n), 0.0);

CREATE OR REPLACE FUNCTION tl_wilson_high ${ON_CLUSTER} AS (hits, n) ->
    least(tl_wilson_centre(hits, n) + tl_wilson_half(hits, n), 1.0);

-- CES 2.0 (1-7): who agrees that it was easy (5-7); easy (6-7) less hard (1-3).
CREATE OR REPLACE FUNCTION tl_agreeing ${ON_CLUSTER} AS (h) -> h[5] + h[6] + h[7];

CREATE OR REPLACE FUNCTION tl_net_easy ${ON_CLUSTER} AS (h) ->
    tl_net(h[1] + h[2] + h[3], h[6] + h[7], tl_n(h));

-- Means: CES, stars. Sums of integers, so merging is exact.
CREATE OR REPLACE FUNCTION tl_total ${ON_CLUSTER} AS (scale, h) ->
    arraySum((counted, place) -> counted * (toInt64(place) - 1 + tl_lowest(scale)), h, arrayEnumerate(h));

CREATE OR REPLACE FUNCTION tl_squares ${ON_CLUSTER} AS (scale, h) ->
    arraySum((counted, place) -> counted * (toInt64(place) - 1 + tl_lowest(scale)) * (toInt64(place) - 1 + tl_lowest(scale)),
        h, arrayEnumerate(h));

CREATE OR REPLACE FUNCTION tl_mean ${ON_CLUSTER} AS (scale, h) -> tl_total(scale, h) / tl_n(h);

CREATE OR REPLACE FUNCTION tl_variance ${ON_CLUSTER} AS (scale, h) ->
    greatest(tl_squares(scale, h) / tl_n(h) - tl_mean(scale, h) * tl_mean(scale, h), 0.0);

CREATE OR REPLACE FUNCTION tl_sample_variance ${ON_CLUSTER} AS (scale, h) ->
    (tl_squares(scale, h) - tl_total(scale, h) * tl_total(scale, h) / tl_n(h)) / (tl_n(h) - 1);

CREATE OR REPLACE FUNCTION tl_bayesian_mean ${ON_CLUSTER} AS (total, n, weight, prior) ->
    (weight * prior + total) / (weight + n);

CREATE OR REPLACE FUNCTION tl_lower_median ${ON_CLUSTER} AS (scale, h) ->
    toInt64(arrayFirstIndex(reached -> 2 * reached >= tl_n(h), arrayCumSum(h))) - 1 + tl_lowest(scale);

CREATE OR REPLACE FUNCTION tl_effort_as_ease ${ON_CLUSTER} AS (answer) -> 1.0 + 1.5 * (5.0 - answer);

-- Comparing two samples, planning one.
CREATE OR REPLACE FUNCTION tl_difference_error ${ON_CLUSTER} AS (variance_1, n_1, variance_2, n_2) ->
    sqrt(variance_1 / n_1 + variance_2 / n_2);

CREATE OR REPLACE FUNCTION tl_p_drop ${ON_CLUSTER} AS (z) -> erfc(-z / sqrt(2.0)) / 2.0;

CREATE OR REPLACE FUNCTION tl_p_change ${ON_CLUSTER} AS (z) -> erfc(abs(z) / sqrt(2.0));

CREATE OR REPLACE FUNCTION tl_answers_needed ${ON_CLUSTER} AS (margin, variance) ->
    ceil(tl_z() * tl_z() * variance / (margin * margin));

-- What is published, by metric.
CREATE OR REPLACE FUNCTION tl_method ${ON_CLUSTER} AS (metric) ->
    multiIf(metric IN ('nps', 'sentiment'), 'adjusted_wald', metric = 'csat', 'wilson',
        metric IN ('ces', 'rating'), 'normal', 'count');

CREATE OR REPLACE FUNCTION tl_unit ${ON_CLUSTER} AS (metric) ->
    multiIf(metric IN ('nps', 'sentiment'), 'points', metric = 'csat', 'share',
        metric IN ('ces', 'rating'), 'mean', 'count');

-- Under ten answers there is no score; a count is exact.
CREATE OR REPLACE FUNCTION tl_status ${ON_CLUSTER} AS (metric, h) ->
    if(tl_n(h) >= 10 OR tl_method(metric) = 'count', 'ok', 'insufficient');

CREATE OR REPLACE FUNCTION tl_score ${ON_CLUSTER} AS (metric, scale, h) ->
    multiIf(tl_status(metric, h) = 'insufficient', NULL,
        tl_method(metric) = 'adjusted_wald', 100.0 * tl_net(tl_negative(metric, h), tl_positive(metric, h), tl_n(h)),
        tl_method(metric) = 'wilson', tl_top_box(scale, h) / tl_n(h),
        tl_method(metric) = 'normal', tl_mean(scale, h),
        toFloat64(tl_n(h)));

CREATE OR REPLACE FUNCTION tl_low ${ON_CLUSTER} AS (metric, scale, h) ->
    multiIf(tl_status(metric, h) = 'insufficient', NULL,
        tl_method(metric) = 'adjusted_wald',
        greatest(100.0 * tl_adjusted_wald_low(tl_negative(metric, h), tl_positive(metric, h), tl_n(h)), -100.0),
        tl_method(metric) = 'wilson', tl_wilson_low(tl_top_box(scale, h), tl_n(h)),
        tl_method(metric) = 'normal',
        greatest(tl_mean(scale, h) - tl_wald_half(tl_variance(scale, h), tl_n(h)), toFloat64(tl_lowest(scale))),
        NULL);

CREATE OR REPLACE FUNCTION tl_high ${ON_CLUSTER} AS (metric, scale, h) ->
    multiIf(tl_status(metric, h) = 'insufficient', NULL,
        tl_method(metric) = 'adjusted_wald',
        least(100.0 * tl_adjusted_wald_high(tl_negative(metric, h), tl_positive(metric, h), tl_n(h)), 100.0),
        tl_method(metric) = 'wilson', tl_wilson_high(tl_top_box(scale, h), tl_n(h)),
        tl_method(metric) = 'normal',
        least(tl_mean(scale, h) + tl_wald_half(tl_variance(scale, h), tl_n(h)), toFloat64(tl_highest(scale))),
        NULL);

-- Every score of every minute, over all partitions. Larger windows: sum the histograms, then apply the functions.
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
    tl_status(metric, histogram) AS status
FROM
(
    SELECT
        cut, metric, scale, brand, unit, channel, touchpoint, dim, minute,
        [sum(b0), sum(b1), sum(b2), sum(b3), sum(b4), sum(b5), sum(b6), sum(b7), sum(b8), sum(b9), sum(b10)] AS histogram,
        sum(s1) AS sum_p, sum(s2) AS sum_pp
    FROM windows FINAL
    GROUP BY cut, metric, scale, brand, unit, channel, touchpoint, dim, minute
    HAVING arraySum(histogram) != 0
);
