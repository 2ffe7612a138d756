-- SPDX-License-Identifier: Apache-2.0
-- A fleet for ops/bench api: :devices devices, one with :readings readings of the last 24 hours and a hundred with one a
-- minute.
\ir bench_fleet.sql

\echo '  readings'
SELECT telemetry.ensure_partition(now() - interval '1 day') \g /dev/null
INSERT INTO telemetry.measurement (ts, received_at, device_id, number, temperature_c, humidity_pct, battery_pct)
SELECT now() - interval '1 day' + n * (interval '1 day' / :readings), now() - interval '1 day' + n * (interval '1 day' / :readings),
	device_id, telemetry.number(0::smallint, 0::smallint, n), (5 + sin(n / 500.0))::numeric(5, 2), (50 + random())::numeric(5, 1), 87
FROM fleet.device, generate_series(0, :readings - 1) AS n WHERE serial = 'bench-1';
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
SELECT now() - interval '1 day' + n * interval '1 minute', now(), device_id, n, 0, 0, (5 + sin(n / 50.0))::numeric(5, 2)
FROM (SELECT device_id FROM fleet.device WHERE serial LIKE 'bench-%' AND serial <> 'bench-1' ORDER BY device_id LIMIT 100) AS d,
	generate_series(0, 1439) AS n;

\echo '  vacuum and statistics'
-- Only what is known to be on disk is marked as visible to all.
RESET synchronous_commit;
CHECKPOINT;
VACUUM (ANALYZE) fleet.device, fleet.listing, telemetry.device_state, telemetry.measurement, fleet.model;
CHECKPOINT;
