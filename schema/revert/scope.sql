-- SPDX-License-Identifier: Apache-2.0
-- Takes the policies off the tables and drops the groups.
BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA fleet, telemetry FROM coldfleet_api_definer;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fleet, telemetry FROM coldfleet_api_definer;
REVOKE ALL ON SCHEMA fleet, telemetry FROM coldfleet_api_definer;
DO $$
DECLARE
	target regclass;
BEGIN
	FOREACH target IN ARRAY ARRAY['fleet.device', 'fleet.module', 'fleet.sim', 'fleet.certificate', 'telemetry.measurement',
		'telemetry.device_state', 'telemetry.epoch', 'telemetry.gap', 'telemetry.quarantine',
		'fleet.device_group', 'fleet.group_member']
	LOOP
		EXECUTE format('DROP POLICY scope ON %s', target);
		EXECUTE format('DROP POLICY everything ON %s', target);
		EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', target);
	END LOOP;
END
$$;
ALTER TABLE fleet.token DROP COLUMN groups, DROP COLUMN created_by, DROP COLUMN created_why, DROP COLUMN revoked_by,
	DROP COLUMN revoked_why;
DROP TABLE fleet.group_member, fleet.device_group;
DROP FUNCTION fleet.guard(regclass);
DROP FUNCTION fleet.scope_devices();
DROP FUNCTION fleet.scope_groups();
DROP FUNCTION fleet.scope_all();

COMMIT;
