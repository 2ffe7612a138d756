-- SPDX-License-Identifier: Apache-2.0
-- What ops/bench alarm asks: every device watches a lot of which a moment above 8 degrees is an alarm, ten devices a lot and shipment, and
-- was heard just now, with a full battery. Sets, not rows; triggers are off, so nobody is to be evaluated at first.
\set QUIET on
\set ON_ERROR_STOP on
SELECT coldchain.put_profile('bench', '{"source": "bench", "storage_lower_c": 2, "storage_upper_c": 8, "effective_from": "2020-01-01",
	"bands": [{"code": "hot", "lower_c": 8, "counting": "single", "allowed_s": 0}]}') AS version \gset
SET session_replication_role = replica;
SET synchronous_commit = off;
CREATE TEMPORARY TABLE watching AS SELECT device_id, (row_number() OVER (ORDER BY device_id) - 1) / 10 AS n FROM fleet.device;
INSERT INTO coldchain.product (name) VALUES ('Bench product');
INSERT INTO coldchain.lot (product_id, number) SELECT product_id, 'B' || n FROM coldchain.product,
	(SELECT DISTINCT n FROM watching) AS w WHERE name = 'Bench product';
INSERT INTO coldchain.shipment (reference, ignore_s, state, started_at)
SELECT DISTINCT 'bench-' || n, 0, 'shipping', now() - interval '1 hour' FROM watching;
INSERT INTO coldchain.shipment_lot (shipment_id, lot_id)
SELECT s.shipment_id, l.lot_id FROM coldchain.shipment AS s JOIN coldchain.lot AS l ON l.number = 'B' || substr(s.reference, 7);
INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s, judged)
SELECT w.device_id, s.shipment_id, l.lot_id, :version, tstzrange(s.started_at, NULL), 60, tstzrange(s.started_at, NULL)
FROM watching AS w JOIN coldchain.shipment AS s ON s.reference = 'bench-' || w.n JOIN coldchain.shipment_lot AS l USING (shipment_id);
UPDATE telemetry.device_state SET received_at = now(), battery_pct = 80, watch_low = 2, watch_high = 8, watch_from = now() - interval '1 hour', watch_to = 'infinity';
RESET session_replication_role;
VACUUM (ANALYZE) telemetry.device_state, coldchain.assignment, coldchain.shipment, coldchain.lot, coldchain.shipment_lot;
