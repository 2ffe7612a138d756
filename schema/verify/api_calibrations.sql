-- SPDX-License-Identifier: Apache-2.0
-- REST can record and void, and no other program calls these functions. Raises unless so.
BEGIN;

DO $$
BEGIN
	ASSERT has_function_privilege('coldfleet_api', 'api.calibration_create(text, jsonb)', 'EXECUTE'), 'coldfleet_api cannot record a calibration';
	ASSERT NOT has_function_privilege('coldfleet_analyst', 'api.calibration_void(int, jsonb)', 'EXECUTE'), 'analysts could void';
END
$$;

ROLLBACK;
