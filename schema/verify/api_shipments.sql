-- SPDX-License-Identifier: Apache-2.0
-- A shipment is made, watched, sent, received and decided on. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	made api.answer;
	id int;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'admin'), 'UTF8')), 'admin');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A'), api.products(1, NULL), api.profiles(1, NULL);
	made := api.profile_put('verify-api', '{"source": "verify", "storage_lower_c": 2, "storage_upper_c": 8, "bands": []}', '"0"');
	ASSERT made.status = 201 AND (api.profile_get('verify-api', NULL)).etag = '1', 'a profile has no version';
	PERFORM api.profile_history('verify-api', 1, NULL), api.product_create('{"name": "verify.api"}');
	made := api.shipment_create('{"reference": "verify.api", "lots": [{"product": "verify.api", "number": "1"}]}');
	id := (made.body::json ->> 'id')::int;
	made := api.assignment_create(id, '{"serial": "verify.api", "profile": "verify-api"}');
	PERFORM api.assignment_change(id, (made.body::json ->> 'id')::int, '{"probe": 0, "role": "ambient"}', '"1"');
	PERFORM api.shipment_step(id, '{"at": "2026-01-01T00:00:00Z"}', 'depart'), api.shipment_step(id, '{}', 'arrive'),
		api.shipment_decide(id, '{"decision": "released", "reason": "verify"}');
	PERFORM api.excursions(1, NULL, 'standing', NULL, 'verify.api', '1', id, NULL, NULL);
	ASSERT (api.shipments(1, NULL, 'delivered', 'released', 'verify.api', '1', 'verify.api')::jsonb @? '$.items[0].decision ? (@.reason == "verify")'),
		'a shipment is not decided on';
END
$$;

ROLLBACK;
