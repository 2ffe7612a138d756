-- To be taken before a pull of devices, for the pull after it: see fleet.device.revision.
-- Rows: token text, one.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS token
