-- Journeys for analysts: one row per journey, with everything the customer did in it, in order.
-- It takes parameters, so that only the days asked for are read:
--   SELECT * FROM journeys(first = '2026-05-01 00:00:00', last = '2026-06-01 00:00:00', silence_days = 14,
--                          arrived = ['payment'])
-- A journey belongs to a customer and a brand, began in [first, last) and ended with a silence of so many days; it is
-- open when less than that had passed at `last`. `touchline journeys` counts the same ones; a test holds both together.
-- Safe to run again, safe on a busy server: a view holds no data.

CREATE OR REPLACE VIEW journeys ${ON_CLUSTER} AS
SELECT
    brand,
    customer,
    journey[1].1 AS began,
    journey[-1].1 AS ended,
    arrayMap(event -> event.1, journey) AS at,
    arrayMap(event -> event.3, journey) AS stages,
    arrayMap(event -> event.4, journey) AS touchpoints,
    arrayMap(event -> event.5, journey) AS channels,
    arrayMap(event -> event.6, journey) AS outcomes,
    arrayFirstIndex(
        event -> has({arrived:Array(String)}, event.4) AND event.6 NOT IN ('fail', 'abandon'), journey) AS arrived_at,
    arrived_at > 0 AS has_arrived,
    ended > subtractDays({last:DateTime('UTC')}, {silence_days:UInt16}) AS is_open
FROM
(
    SELECT
        brand,
        customer,
        arrayJoin(arraySplit(
            (event, before) -> event.1 > addDays(before.1, {silence_days:UInt16}),
            events, arrayPushFront(arrayPopBack(events), events[1]))) AS journey
    FROM
    (
        SELECT
            brand,
            customer,
            groupArraySorted(5000)((
                fromUnixTimestamp64Milli(occurred_ms, 'UTC'), off, toString(stage), toString(touchpoint),
                toString(channel), transform(bin, [1, 2, 3], ['ok', 'fail', 'abandon'], ''))) AS events
        FROM ledger FINAL
        WHERE metric = 'volume' AND disposition = 'aggregated' AND customer != 0
            AND occurred_ms >= toUnixTimestamp64Milli(toDateTime64(subtractDays({first:DateTime('UTC')}, {silence_days:UInt16}), 3, 'UTC'))
            AND occurred_ms < toUnixTimestamp64Milli(toDateTime64({last:DateTime('UTC')}, 3, 'UTC'))
            AND day >= toDate(subtractDays({first:DateTime('UTC')}, {silence_days:UInt16})) - 1
            AND (topic = 'history' OR day <= toDate({last:DateTime('UTC')}) + 31)
        GROUP BY brand, customer
    )
)
WHERE began >= {first:DateTime('UTC')};
