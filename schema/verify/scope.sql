-- SPDX-License-Identifier: Apache-2.0
-- Without a scope REST's functions see no device, in the scope of a group its devices alone. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	device int := fleet.register_device('verify.scope', 'verify', 'verify', 'A');
	its_group int;
BEGIN
	INSERT INTO fleet.device_group (name) VALUES ('verify.scope') RETURNING group_id INTO its_group;
	INSERT INTO fleet.group_member VALUES (device, its_group);
	PERFORM set_config('coldfleet.verify', its_group::text, true);
END
$$;
SET LOCAL ROLE coldfleet_api_definer;
DO $$
BEGIN
	ASSERT NOT EXISTS (SELECT FROM fleet.device), 'a device is seen without a scope';
	PERFORM set_config('coldfleet.scope', current_setting('coldfleet.verify'), true);
	ASSERT (SELECT array_agg(serial) = '{verify.scope}' FROM fleet.device), 'the scope of a group is not its devices';
END
$$;

ROLLBACK;
