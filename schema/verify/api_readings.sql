-- SPDX-License-Identifier: Apache-2.0
-- A device without readings is told as such in every form. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'admin'), 'UTF8')), 'admin');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	ASSERT api.readings_page('verify.api', NULL, NULL, NULL, NULL, '1 day') = '{"items":[],"next":null}', 'expected no bucket';
	ASSERT (api.readings_chunk('verify.api', NULL, NULL, NULL, NULL, NULL, 'csv', NULL)).body = api.csv_reading_head(),
		'expected a heading alone';
	ASSERT (api.device_state('verify.api')).body::json ->> 'serial' = 'verify.api', 'expected a state';
	ASSERT api.device_gaps('verify.api', 10, NULL, 'all') = '{"items":[],"next":null}', 'expected no gap';
	ASSERT (api.quarantine(1, NULL, NULL, 'verify.api')) = '{"items":[],"next":null}', 'expected nothing in quarantine';
END
$$;

ROLLBACK;
