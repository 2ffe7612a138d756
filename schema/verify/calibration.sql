-- SPDX-License-Identifier: Apache-2.0
-- Records are added and voided by functions alone, and analysts read them. Raises unless so.
BEGIN;

DO $$
BEGIN
	ASSERT has_function_privilege('coldfleet_api_definer', 'coldchain.put_calibration(int, jsonb)', 'EXECUTE'), 'REST cannot record a calibration';
	ASSERT NOT has_any_column_privilege('coldfleet_api_definer', 'coldchain.calibration', 'INSERT, UPDATE'), 'evidence could be changed';
	ASSERT has_table_privilege('coldfleet_analyst', 'coldchain.calibration_point', 'SELECT'), 'analysts cannot read points';
END
$$;

ROLLBACK;
