-- SPDX-License-Identifier: Apache-2.0
-- A tagged device is found by its tag, joins a group, and its history has what was changed. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int;
	team int;
BEGIN
	tracker := fleet.register_device('verify.resources', 'verify', 'verify', 'A');
	UPDATE fleet.device SET tags = '{cold,north}' WHERE device_id = tracker;
	ASSERT EXISTS (SELECT FROM fleet.device_tag WHERE tag = 'cold' AND device_id = tracker), 'a tag does not find its device';
	INSERT INTO fleet.device_group (name) VALUES ('verify.resources') RETURNING group_id INTO team;
	INSERT INTO fleet.group_member (group_id, device_id) VALUES (team, tracker);
	ASSERT EXISTS (SELECT FROM fleet.history AS h WHERE h.device_id = tracker AND field = 'tags' AND new = '["cold", "north"]'),
		'a change is not in the history';
	INSERT INTO fleet.config (device_id, version, body, actor) VALUES (tracker, 1, '{}', 'verify');
	INSERT INTO fleet.operation (kind, format, actor, scope) VALUES ('devices-import', 'csv', 'verify', '*');
	PERFORM * FROM fleet.operation_row, fleet.module_type, fleet.config_report, fleet.summary;
END
$$;

ROLLBACK;
