-- Whether a text went on: of longer ones the first 10,000 characters are kept. Beside the text and not in the ledger,
-- whose rows stay what they are.
-- Safe on a busy table: a new column with a default touches no row. Safe to run again.

ALTER TABLE texts ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS truncated UInt8 DEFAULT 0;

CREATE OR REPLACE VIEW texts_v ${ON_CLUSTER} AS
SELECT l.*, t.text AS text, if(t.topics = '', [], splitByChar(',', toString(t.topics))) AS topics, t.taxonomy AS taxonomy,
    t.truncated AS truncated
FROM ledger_v AS l
INNER JOIN (SELECT topic, epoch, part, off, day, text, topics, taxonomy, truncated FROM texts FINAL) AS t
USING (topic, epoch, part, off, day);
