-- SPDX-License-Identifier: Apache-2.0
-- A device is found by what it is, exported and counted. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'viewer'), 'UTF8')), 'viewer');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	ASSERT api.devices(10, NULL, '-battery', '{"state": "active", "model": "verify", "q": "verify.a"}')::json #>> '{items,0,serial}'
		= 'verify.api', 'a new device is not found';
	ASSERT (SELECT body LIKE '%verify.api,active,verify,verify,A%' FROM api.devices_export('csv', '{"q": "verify.api"}', NULL)),
		'a new device is not exported';
	ASSERT (api.fleet_summary()::json ->> 'total')::int > 0, 'a new device is not counted';
END
$$;

ROLLBACK;
