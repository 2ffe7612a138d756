-- SPDX-License-Identifier: Apache-2.0
-- A device that tells of tampering is found and alarms. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int;
BEGIN
	tracker := fleet.register_device('verify.watch', 'verify', 'verify', 'A');
	PERFORM coldchain.condition_begins('tamper', tracker, -1::smallint, now(), '{}');
	PERFORM coldchain.watch_due(1000000);
	ASSERT EXISTS (SELECT FROM coldchain.alarm WHERE device_id = tracker AND kind = 'tamper'), 'expected an alarm';
	ASSERT has_function_privilege('coldfleet_notify', 'coldchain.watch(int)', 'EXECUTE'), 'coldfleet_notify cannot watch';
END
$$;

ROLLBACK;
