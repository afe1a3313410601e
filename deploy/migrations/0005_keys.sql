-- Keys get a name (the producer's), and a second token that lives on while a key is rotated.
-- Safe on a busy table and to run again: new columns with a default, nothing is rewritten.

ALTER TABLE keys ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS name String DEFAULT '';

ALTER TABLE keys ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS old_digest FixedString(32);

ALTER TABLE keys ${ON_CLUSTER} ADD COLUMN IF NOT EXISTS old_expires_ms Int64 DEFAULT 0;
