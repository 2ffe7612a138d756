-- SPDX-License-Identifier: Apache-2.0
-- A shipment goes its way with a lot and a device, judged after the ignore period; a profile in use stays as it is. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	device CONSTANT int := fleet.register_device('verify.coldchain', 'verify', 'verify', 'A');
	product int;
	profile int;
	profile_version int;
	shipment int;
	lot int;
BEGIN
	INSERT INTO coldchain.product (name) VALUES ('verify') RETURNING product_id INTO product;
	INSERT INTO coldchain.profile (code, product_id, title) VALUES ('verify', product, 'verify') RETURNING profile_id INTO profile;
	INSERT INTO coldchain.profile_version (profile_id, version, storage_lower_c, storage_upper_c, effective_from, source)
	VALUES (profile, 1, 2, 8, '2026-01-01', 'verify') RETURNING profile_version_id INTO profile_version;
	INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, counting, allowed_s)
	VALUES (profile_version, 'hot', 'hot', 8, 'single', 600);
	INSERT INTO coldchain.shipment (reference) VALUES ('verify') RETURNING shipment_id INTO shipment;
	INSERT INTO coldchain.lot (product_id, number) VALUES (product, 'V1') RETURNING lot_id INTO lot;
	INSERT INTO coldchain.shipment_lot (shipment_id, lot_id) VALUES (shipment, lot);
	INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during)
	VALUES (device, shipment, lot, profile_version, '[2026-09-01 00:00Z,)');
	UPDATE coldchain.shipment SET state = 'shipping', started_at = '2026-09-01 01:00Z' WHERE reference = 'verify';
	ASSERT (SELECT a.judged = '[2026-09-01 01:10Z,)' FROM coldchain.assignment AS a WHERE a.device_id = device), 'the ignore period is judged';
	BEGIN
		UPDATE coldchain.band AS b SET allowed_s = 1 WHERE b.profile_version_id = profile_version;
		RAISE 'a profile in use was edited';
	EXCEPTION WHEN integrity_constraint_violation THEN
		NULL;
	END;
END
$$;

ROLLBACK;
