-- Windows partitioned by the day, hours by thirty days: a reading of the last 24 hours opens two days and not a year, and
-- parts of a day that is quiet for an hour become one, of which FINAL has nothing to sort out. Eight and sixteen
-- partitions in turn, so that an import of ten years still is a handful of parts an insert.
-- ClickHouse cannot change the partitions of a table: rows are copied and the tables change places. Best with the workers
-- stopped: readings lack the newest minutes until the second copy is done, and a row that a running worker inserts
-- in the very moment of the exchange may be left behind (`touchline audit` says so, `touchline rebuild` mends it).
-- Safe to run again: each copy only adds rows that are there already, under their own versions, and FINAL keeps one.
-- Broken off after an exchange and run again it ends with the former partitions: all is there and read, only slower.

CREATE TABLE IF NOT EXISTS windows_next ${ON_CLUSTER} AS windows
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
PARTITION BY intDiv(minute, 86400) % 8
ORDER BY (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part)
SETTINGS ${WINDOW}, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

INSERT INTO windows_next SELECT * FROM windows;

EXCHANGE TABLES windows AND windows_next ${ON_CLUSTER};

INSERT INTO windows SELECT * FROM windows_next;

DROP TABLE IF EXISTS windows_next ${ON_CLUSTER} SYNC;

CREATE TABLE IF NOT EXISTS windows_1h_next ${ON_CLUSTER} AS windows_1h
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
PARTITION BY intDiv(minute, 2592000) % 16
ORDER BY (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part)
SETTINGS ${WINDOW}, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

INSERT INTO windows_1h_next SELECT * FROM windows_1h;

EXCHANGE TABLES windows_1h AND windows_1h_next ${ON_CLUSTER};

INSERT INTO windows_1h SELECT * FROM windows_1h_next;

DROP TABLE IF EXISTS windows_1h_next ${ON_CLUSTER} SYNC;
