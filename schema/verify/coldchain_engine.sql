-- SPDX-License-Identifier: Apache-2.0
-- A probe that is too warm for ten minutes and then cold again is an excursion with its alarm. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	device CONSTANT int := fleet.register_device('verify.engine', 'verify', 'verify', 'A');
	start CONSTANT timestamptz := date_trunc('hour', now()) - interval '1 hour';
	its_version CONSTANT int := coldchain.put_profile('verify-engine', '{"source": "verify", "storage_upper_c": 8, "bands":
		[{"code": "hot", "lower_c": 8, "allowed_s": 600}]}');
	its_product int;
	its_lot int;
	its_shipment int;
BEGIN
	INSERT INTO coldchain.product (name) VALUES ('verify.engine') RETURNING product_id INTO its_product;
	INSERT INTO coldchain.lot (product_id, number) VALUES (its_product, 'V') RETURNING lot_id INTO its_lot;
	INSERT INTO coldchain.shipment (reference, state, started_at) VALUES ('verify.engine', 'shipping', start - interval '1 hour')
	RETURNING shipment_id INTO its_shipment;
	INSERT INTO coldchain.shipment_lot (shipment_id, lot_id) VALUES (its_shipment, its_lot);
	INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)
	VALUES (device, its_shipment, its_lot, its_version, tstzrange(start, NULL), 300);
	INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
	SELECT start + n * interval '5 minutes', now(), device, n, 0, 0, (ARRAY[5, 9, 10, 8])[n + 1] FROM generate_series(0, 3) AS n;
	ASSERT EXISTS (SELECT FROM coldchain.due AS d WHERE d.device_id = device), 'a new assignment is not due';
	PERFORM coldchain.evaluate_devices(ARRAY[device], ARRAY[timestamptz '-infinity']);
	ASSERT EXISTS (SELECT FROM coldchain.excursion AS e WHERE e.device_id = device AND e.state = 'ended'
		AND e.started_at = start + interval '5 minutes' AND e.alarm_at = start + interval '15 minutes'
		AND e.ended_at = start + interval '15 minutes' AND e.out_s = 600 AND e.max_c = 10), 'the excursion is not found';
END
$$;

ROLLBACK;
