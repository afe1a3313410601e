-- Topics of texts, beside the text and not in the ledger: an event without a text costs nothing, and what erases a text
-- erases its topics. `taxonomy` is the version of the words that found them; empty: nobody has looked yet.
-- `texts_v` is what analysts read: the ledger's facts beside the masked text and its topics.
-- Safe on a busy table: new columns with defaults touch no row. Safe to run again.

ALTER TABLE texts ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS topics LowCardinality(String) DEFAULT '';

ALTER TABLE texts ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS taxonomy LowCardinality(String) DEFAULT '';

CREATE OR REPLACE VIEW texts_v ${ON_CLUSTER} AS
SELECT l.*, t.text AS text, if(t.topics = '', [], splitByChar(',', toString(t.topics))) AS topics, t.taxonomy AS taxonomy
FROM ledger_v AS l
INNER JOIN (SELECT topic, epoch, part, off, day, text, topics, taxonomy FROM texts FINAL) AS t
USING (topic, epoch, part, off, day);
