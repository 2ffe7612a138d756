-- SPDX-License-Identifier: Apache-2.0
-- An alarm is raised once, is told of, and is cleared; the roles can do what they need. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int;
	alarm bigint;
BEGIN
	tracker := fleet.register_device('verify.alarm', 'verify', 'verify', 'A');
	alarm := coldchain.alarm_raise('tamper', tracker, NULL, NULL, 'verify', now(), false, '{}');
	ASSERT alarm = coldchain.alarm_raise('tamper', tracker, NULL, NULL, 'verify', now(), false, '{}'), 'expected one alarm for one key';
	ASSERT coldchain.alarm_clear('tamper', tracker, 'verify', now()), 'expected it to be cleared';
	ASSERT (SELECT array_agg(type ORDER BY notice_id) FROM coldchain.notice WHERE alarm_id = alarm) = '{alarm.raised,alarm.cleared}',
		'expected two notices';
	ASSERT has_function_privilege('coldfleet_notify', 'coldchain.alarm_escalate(int)', 'EXECUTE'), 'coldfleet_notify cannot escalate';
END
$$;

ROLLBACK;
