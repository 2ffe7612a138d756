-- SPDX-License-Identifier: Apache-2.0
-- REST can make a geofence and ask for it. Rolled back.
BEGIN;

DO $$
BEGIN
	PERFORM api.enter('verify', NULL, 'admin', NULL, 'admin', NULL);
	ASSERT (api.geofence_create('{"place": "verify", "latitude": 1, "longitude": 2, "radius_m": 300}')).body::jsonb @> '{"radius_m": 300}',
		'expected the geofence that was made';
	ASSERT has_function_privilege('coldfleet_api', 'api.leg_change(int, int, jsonb, text)', 'EXECUTE'), 'coldfleet_api cannot change legs';
END
$$;

ROLLBACK;
