-- SPDX-License-Identifier: Apache-2.0
-- A registered device, its other state and its configuration are events; what is old is forgotten. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int;
BEGIN
	tracker := fleet.register_device('verify.events', 'verify', 'verify', 'A');
	UPDATE fleet.device SET state = 'disabled' WHERE device_id = tracker;
	INSERT INTO fleet.config (device_id, version, body, actor) VALUES (tracker, 1, '{}', 'verify');
	ASSERT (SELECT array_agg(type ORDER BY event_id) FROM fleet.event WHERE device_id = tracker)
		= '{device.lifecycle,device.lifecycle,config}', 'expected three events';
	PERFORM fleet.forget_events(1);
END
$$;

ROLLBACK;
