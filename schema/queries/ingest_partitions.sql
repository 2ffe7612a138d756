-- The partitions of telemetry.reading.
-- Rows: lower, upper timestamptz, by rising lower; a partition holds lower <= ts < upper.
SELECT lower, upper FROM telemetry.partitions()
