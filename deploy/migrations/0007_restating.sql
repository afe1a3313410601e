-- What a ledger row was before it was rewritten: "as known then" puts it back.
-- Safe to run again.

ALTER TABLE changes ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS was LowCardinality(String) DEFAULT '' AFTER reason;
