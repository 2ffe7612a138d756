-- SPDX-License-Identifier: Apache-2.0
-- What ops/bench query asks: :devices devices, :readings readings of the last days, one every 10 minutes; a hundredth of the devices, at least
-- one, for 30 days. Ten devices a shipment, every other one delivered; one device of fifty is too warm for two hours of a day, some are now,
-- some have gaps, some tell late, some are silent. Sets, not rows; triggers are off.
\ir bench_fleet.sql

\echo '  lanes, lots, shipments, assignments'
INSERT INTO coldchain.lane (origin, destination, carrier)
SELECT 'Origin ' || n % 5, 'Destination ' || n, 'Carrier ' || n % 4 FROM generate_series(1, 40) AS n;
INSERT INTO coldchain.product (name) SELECT 'Bench product ' || n FROM generate_series(1, 5) AS n;
INSERT INTO coldchain.lot (product_id, number) SELECT product_id, 'B' || n FROM coldchain.product, generate_series(1, 40) AS n WHERE name LIKE 'Bench %';
CREATE TEMPORARY TABLE watched AS
SELECT device_id, row_number() OVER (ORDER BY device_id) AS n, now() - CASE WHEN row_number() OVER (ORDER BY device_id) <= greatest(1, :devices / 100)
	THEN 4320 ELSE greatest(1, (:readings - 4320 * greatest(1, :devices / 100)) / (:devices - greatest(1, :devices / 100))) END * interval '10 minutes' AS since
FROM fleet.device WHERE serial LIKE 'bench-%';
INSERT INTO coldchain.shipment (reference, lane_id, ignore_s, state, started_at, delivered_at)
SELECT 'bench-' || n / 10, (SELECT min(lane_id) FROM coldchain.lane WHERE origin LIKE 'Origin %') + n / 10 % 40, 0,
	CASE n / 10 % 2 WHEN 0 THEN 'delivered' ELSE 'shipping' END, min(since), CASE n / 10 % 2 WHEN 0 THEN now() - interval '1 hour' END
FROM watched GROUP BY n / 10, n / 10 % 40, n / 10 % 2;
INSERT INTO coldchain.shipment_lot (shipment_id, lot_id)
SELECT shipment_id, (SELECT min(lot_id) FROM coldchain.lot WHERE number LIKE 'B%') + shipment_id % 200 FROM coldchain.shipment WHERE reference LIKE 'bench-%';
INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s, judged)
SELECT w.device_id, s.shipment_id, l.lot_id, (SELECT max(profile_version_id) FROM coldchain.profile_version JOIN coldchain.profile USING (profile_id)
	WHERE code = 'bench'), tstzrange(w.since, NULL), 600, tstzrange(greatest(w.since, s.started_at), s.delivered_at)
FROM watched AS w JOIN coldchain.shipment AS s ON s.reference = 'bench-' || w.n / 10 JOIN coldchain.shipment_lot AS l USING (shipment_id);

\echo '  readings'
SELECT telemetry.ensure_partition(now() - d * interval '1 day') FROM generate_series(0, 31) AS d \g /dev/null
INSERT INTO telemetry.measurement (ts, received_at, device_id, number, temperature_c, humidity_pct, battery_pct)
SELECT ts, ts + CASE WHEN n % 20 = 13 THEN interval '3 hours' ELSE '30 seconds' END, device_id, telemetry.number(0::smallint, 0::smallint, k),
	CASE WHEN n % 50 = 0 AND extract(hour FROM ts AT TIME ZONE 'UTC') IN (6, 7) OR n % 100 = 15 AND ts > now() - interval '3 hours' THEN 12
		ELSE 5 + sin((k + n) / 40.0) END, 50, 80
FROM watched CROSS JOIN LATERAL generate_series(0, (extract(epoch FROM now() - since) / 600)::int - 1) AS k
CROSS JOIN LATERAL (SELECT since + k * interval '10 minutes' AS ts) AS t
WHERE NOT (n % 50 = 7 AND k % 400 BETWEEN 10 AND 30);
INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen)
SELECT device_id, 0, 10, 30, '{[10,31)}', '{}', since + interval '310 minutes' FROM watched WHERE n % 50 = 7;
UPDATE telemetry.device_state AS s SET rollup_from = w.since, reading_ts = now(), received_at = now() - CASE WHEN w.n % 200 = 10 THEN interval '1 day' ELSE '0' END
FROM watched AS w WHERE w.device_id = s.device_id;
INSERT INTO coldchain.due (device_id, since) SELECT device_id, '-infinity' FROM watched WHERE n % 50 = 0 OR n % 100 = 15;

\echo '  calibrations, but of a tenth of the devices'
INSERT INTO coldchain.calibration (device_id, certificate, laboratory, calibrated_on, valid_until, lower_c, upper_c, valid, latest)
SELECT device_id, 'B-' || n, 'Bench', current_date - 200, current_date + 165, -20, 40,
	tstzrange((current_date - 200)::timestamp AT TIME ZONE 'UTC', (current_date + 166)::timestamp AT TIME ZONE 'UTC'), true FROM watched WHERE n % 10 <> 3;
INSERT INTO coldchain.calibration_point (calibration_id, point, device_id, status, reference_c, indicated_c, uncertainty_c, coverage_factor)
SELECT c.calibration_id, p.point, c.device_id, 'as-left', p.at, p.at + c.device_id % 7 / 10.0, 0.1, 2
FROM coldchain.calibration AS c CROSS JOIN (VALUES (1, -20), (2, 5), (3, 40)) AS p (point, at);
RESET synchronous_commit;
CHECKPOINT;
VACUUM (ANALYZE) fleet.device, fleet.listing, telemetry.device_state, telemetry.measurement, fleet.model;
ANALYZE coldchain.calibration, coldchain.calibration_point, coldchain.assignment, coldchain.shipment, coldchain.lot, coldchain.shipment_lot, coldchain.lane;
