-- SPDX-License-Identifier: Apache-2.0
-- What the answers of docs/analyst.md are about. Three days ago, in UTC, of a sample every 10 minutes: analyst-1 saw 5 degrees but 12 from
-- 06:00 to 06:50; analyst-2 saw 4, and nothing from 12:00 to 13:50; analyst-3 saw 6 until 01:50 and told all of it at 04:00, then
-- fell silent; analyst-4 was never heard.
SELECT date_trunc('day', now() - interval '3 days', 'UTC') AS day \gset
DO $$ BEGIN PERFORM telemetry.ensure_partition(now() - interval '3 days'), telemetry.ensure_partition(now() - interval '2 days'); END $$;
SELECT coldchain.put_profile('analyst', '{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8, "effective_from": "2020-01-01", "bands": [
	{"code": "hot", "lower_c": 8, "counting": "single", "allowed_s": 1800},
	{"code": "hot-all", "lower_c": 8, "counting": "cumulative", "allowed_s": 7200}]}') AS version \gset
INSERT INTO coldchain.product (name) VALUES ('Analyst''s vaccine') RETURNING product_id AS product \gset
INSERT INTO coldchain.lot (product_id, number) VALUES (:product, 'A1'), (:product, 'A2');
INSERT INTO coldchain.lane (origin, destination, carrier) VALUES ('Basel', 'Lagos', 'Swift'), ('Basel', 'Lima', 'Condor');
INSERT INTO coldchain.shipment (reference, lane_id, ignore_s, state, started_at, delivered_at)
SELECT r, lane_id, 0, s, :'day'::timestamptz, CASE s WHEN 'delivered' THEN :'day'::timestamptz + interval '1 day' END
FROM (VALUES ('S-1', 'Lagos', 'delivered'), ('S-2', 'Lima', 'delivered'), ('S-3', 'Lagos', 'shipping')) AS v (r, d, s)
JOIN coldchain.lane ON destination = d;
INSERT INTO coldchain.shipment_lot (shipment_id, lot_id)
SELECT shipment_id, lot_id FROM coldchain.shipment JOIN coldchain.lot ON number = CASE reference WHEN 'S-1' THEN 'A1' ELSE 'A2' END
WHERE reference IN ('S-1', 'S-2', 'S-3') AND product_id = :product;
DO $$ BEGIN PERFORM fleet.register_device('analyst-' || n, 'Acme', CASE WHEN n < 4 THEN 'T1' ELSE 'T2' END, '') FROM generate_series(1, 4) AS n; END $$;
UPDATE fleet.device SET firmware = CASE serial WHEN 'analyst-3' THEN '1.1.0' ELSE '1.0.0' END WHERE serial IN ('analyst-1', 'analyst-2', 'analyst-3');
INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)
SELECT device_id, shipment_id, lot_id, :version, tstzrange(:'day', NULL), 600
FROM fleet.device JOIN coldchain.shipment ON reference = 'S-' || right(serial, 1) JOIN coldchain.shipment_lot USING (shipment_id)
WHERE serial LIKE 'analyst-%';
INSERT INTO telemetry.reading (device_id, ts, received_at, seq, epoch, probe, temperature_c, battery_pct)
SELECT device_id, ts, CASE serial WHEN 'analyst-3' THEN :'day'::timestamptz + interval '4 hours' ELSE ts + interval '5 minutes' END, n, 0, 0,
	CASE serial WHEN 'analyst-1' THEN CASE WHEN n BETWEEN 36 AND 41 THEN 12 ELSE 5 END WHEN 'analyst-2' THEN 4 ELSE 6 END,
	CASE serial WHEN 'analyst-3' THEN 15 ELSE 80 END
FROM fleet.device CROSS JOIN generate_series(0, 143) AS n CROSS JOIN LATERAL (SELECT :'day'::timestamptz + n * interval '10 minutes' AS ts) AS t
WHERE serial = 'analyst-1' OR serial = 'analyst-2' AND n NOT BETWEEN 72 AND 83 OR serial = 'analyst-3' AND n < 12;
CREATE TEMPORARY TABLE told AS
SELECT device_id, max(received_at) AS received_at, max(ts) AS last_ts, min(ts) AS first_ts, min(temperature_c) AS low, max(temperature_c) AS high,
	min(battery_pct) AS battery
FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial LIKE 'analyst-%' GROUP BY device_id;
DO $$
BEGIN
	PERFORM telemetry.advance(array_agg(device_id), array_agg(received_at), array_agg(last_ts), NULL, NULL, NULL, NULL,
		array_agg(battery), array_agg(last_ts), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		array_agg(device_id), array_agg(0::smallint), array_agg(0), array_agg(CASE WHEN last_ts - first_ts > '12 h' THEN 71 ELSE 11 END),
		NULL, NULL, NULL, array_agg(low), array_agg(high), array_agg(first_ts))
	FROM (SELECT * FROM told ORDER BY device_id) AS t;
	PERFORM telemetry.advance(array_agg(device_id), array_agg(received_at), array_agg(last_ts), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		array_agg(device_id), array_agg(0::smallint), array_agg(CASE serial WHEN 'analyst-1' THEN 72 ELSE 84 END), array_agg(143),
		NULL, NULL, NULL, array_agg(low), array_agg(high), array_agg(first_ts))
	FROM (SELECT * FROM told JOIN fleet.device USING (device_id) WHERE serial < 'analyst-3' ORDER BY device_id) AS t;
	PERFORM analytics.refresh(100, 'infinity');
	PERFORM analytics.refresh(100, 'infinity');
	PERFORM coldchain.evaluate(100);
END
$$;
