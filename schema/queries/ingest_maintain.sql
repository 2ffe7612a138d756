-- Makes partitions ahead and deletes what is older than the retention; once an hour or so.
-- Rows: what text, a line for each thing that was done.
SELECT what FROM telemetry.maintain() AS what
