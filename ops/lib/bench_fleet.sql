-- SPDX-License-Identifier: Apache-2.0
-- A fleet for ops/bench: :devices devices with latest state. Sets, not rows; triggers are off, so nothing of it is in the
-- history.
\set QUIET on
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(0.5) \g /dev/null

-- Indexes are made once the rows are there, and rows made here need no check. That saves more than a minute.
CREATE TEMPORARY TABLE later AS
SELECT format('DROP INDEX %s', indexrelid::regclass) AS away, pg_get_indexdef(indexrelid) AS back
FROM pg_index AS i
WHERE indrelid IN ('fleet.device'::regclass, 'telemetry.device_state'::regclass, 'fleet.listing'::regclass)
	AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
UNION ALL
SELECT format('ALTER TABLE fleet.device DROP CONSTRAINT %I', conname),
	format('ALTER TABLE fleet.device ADD CONSTRAINT %I %s NOT VALID', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = 'fleet.device'::regclass AND contype = 'c';
SELECT away FROM later \gexec

\echo '  devices'
INSERT INTO fleet.model (manufacturer, name, end_of_support)
SELECT 'Coldfleet', 'Bench-' || n, '2036-12-31' FROM generate_series(1, 4) AS n;
INSERT INTO fleet.device (serial, model_id, hardware_revision, state, firmware)
SELECT 'bench-' || n, m.ids[1 + n % 4], 'A',
	CASE WHEN n % 50 = 0 THEN 'registered' WHEN n % 97 = 0 THEN 'disabled' ELSE 'active' END, '1.' || n % 7 || '.0'
FROM generate_series(1, :devices) AS n,
	(SELECT array_agg(model_id ORDER BY model_id) AS ids FROM fleet.model WHERE name LIKE 'Bench-%') AS m;

\echo '  their latest state'
-- Nine of ten were heard within the hour, the others within ten days.
INSERT INTO telemetry.device_state (device_id, seq_high, received_at, reading_ts, temperature_ts, humidity_ts, battery_ts,
	rsrp_ts, position_ts, latitude, longitude, temperature_c, humidity_pct, battery_pct, rsrp_dbm)
SELECT device_id, 1000, at, at, at, at, at, at, at, 36 + 24 * random(), -10 + 40 * random(), 2 + 6 * random(),
	40 + 20 * random(), 100 * random(), -120 + 50 * random()
FROM (SELECT device_id, now() - CASE WHEN device_id % 10 = 0 THEN interval '10 days' ELSE interval '1 hour' END * random() AS at
      FROM fleet.device WHERE serial LIKE 'bench-%') AS heard;

\echo '  the list of them'
SELECT fleet.fill_listing() \g /dev/null
-- Of 200 one is in an excursion, as far as lists know.
UPDATE fleet.listing SET in_excursion = true WHERE device_id % 200 = 0;

\echo '  indexes'
SELECT back FROM later \gexec
