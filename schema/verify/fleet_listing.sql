-- SPDX-License-Identifier: Apache-2.0
-- A device is listed from its registration on, in its groups too, follows its changes, and is swept. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int := fleet.register_device('verify.listing', 'verify', 'verify', 'A');
	team int;
BEGIN
	INSERT INTO fleet.device_group (name) VALUES ('verify.listing') RETURNING group_id INTO team;
	INSERT INTO fleet.group_member (group_id, device_id) VALUES (team, tracker);
	UPDATE fleet.device SET firmware = '1.2', tags = '{cold}' WHERE device_id = tracker;
	ASSERT (SELECT array_agg(group_id ORDER BY group_id) = ARRAY[0, team] AND bool_and(firmware = '1.2' AND tags = '{cold}')
		FROM fleet.listing WHERE device_id = tracker), 'a device is not listed as it is';
	UPDATE telemetry.device_state SET battery_pct = 19.9 WHERE device_id = tracker;
	INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen) VALUES (tracker, 0, 0, 9, '{[0,10)}', '{}', now());
	UPDATE fleet.sweep_state SET after_device_id = tracker - 1;
	PERFORM fleet.sweep('0 s', 1);
	ASSERT (SELECT bool_and(battery_step = 19 AND incomplete) FROM fleet.listing WHERE device_id = tracker), 'a list is not swept';
	DELETE FROM fleet.device_group WHERE group_id = team;
	ASSERT (SELECT count(*) = 1 FROM fleet.listing WHERE device_id = tracker), 'a list outlives its group';
	PERFORM * FROM fleet.fence;
END
$$;

ROLLBACK;
