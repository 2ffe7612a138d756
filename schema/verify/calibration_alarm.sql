-- SPDX-License-Identifier: Apache-2.0
-- Who looks for what is due can. Raises unless so.
BEGIN;

DO $$
BEGIN
	ASSERT has_function_privilege('coldfleet_notify', 'coldchain.watch_calibration(int)', 'EXECUTE'), 'coldfleet_notify cannot look';
END
$$;

ROLLBACK;
