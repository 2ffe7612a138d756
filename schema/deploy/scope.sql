-- SPDX-License-Identifier: Apache-2.0
-- Groups of devices, and tokens that see nothing beyond theirs. What REST asks runs as coldfleet_api_definer, which is
-- not the owner of any table: row-level security shows it a device and everything about it only within the scope that
-- the call has set (coldfleet.scope: '*', or numbers of groups with commas between), and nothing while none is set. So
-- a forgotten WHERE cannot leak. Every later table with a device_id gets its policies from fleet.guard().
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE fleet.device_group (
	group_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128)
);
COMMENT ON TABLE fleet.device_group IS 'Groups of devices, one row a group.';
COMMENT ON COLUMN fleet.device_group.group_id IS 'Number of the group; what scopes of tokens call it.';
COMMENT ON COLUMN fleet.device_group.name IS 'What people call it.';

CREATE TABLE fleet.group_member (
	device_id int NOT NULL REFERENCES fleet.device,
	group_id int NOT NULL REFERENCES fleet.device_group ON DELETE CASCADE,
	PRIMARY KEY (device_id, group_id)
);
CREATE INDEX group_member_group ON fleet.group_member (group_id, device_id);
COMMENT ON TABLE fleet.group_member IS 'Which device is in which group, one row each pair. What a scope is decided by.';
COMMENT ON COLUMN fleet.group_member.device_id IS 'The device.';
COMMENT ON COLUMN fleet.group_member.group_id IS 'The group.';

ALTER TABLE fleet.token
	ADD COLUMN groups int[] CHECK (cardinality(groups) BETWEEN 1 AND 64 AND array_position(groups, NULL) IS NULL),
	ADD COLUMN created_by text,
	ADD COLUMN created_why text,
	ADD COLUMN revoked_by text,
	ADD COLUMN revoked_why text;
COMMENT ON COLUMN fleet.token.groups IS 'Its scope: groups whose devices it sees; NULL: all devices.';
COMMENT ON COLUMN fleet.token.created_by IS 'Who made it over REST; NULL: it was made in SQL.';
COMMENT ON COLUMN fleet.token.created_why IS 'Why, in their words; NULL: not said.';
COMMENT ON COLUMN fleet.token.revoked_by IS 'Who revoked it over REST; NULL: nobody, or in SQL.';
COMMENT ON COLUMN fleet.token.revoked_why IS 'Why, in their words; NULL: not said.';

-- Bound when they are made, so that they need no search path of their own and the planner puts them in place of their calls:
-- each policy of each statement asks, which as calls made a tenth of a page of devices.
CREATE FUNCTION fleet.scope_all() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('coldfleet.scope', true) = '*', false);
COMMENT ON FUNCTION fleet.scope_all() IS 'Does the call see every device? False while no scope is set.';

CREATE FUNCTION fleet.scope_groups() RETURNS int[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(nullif(current_setting('coldfleet.scope', true), '*'), ',')::int[];
COMMENT ON FUNCTION fleet.scope_groups() IS 'The groups whose devices the call sees; NULL or empty: none by this way.';

CREATE FUNCTION fleet.scope_devices() RETURNS int[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(current_setting('coldfleet.devices', true), ',')::int[];
COMMENT ON FUNCTION fleet.scope_devices() IS
	'The devices that the call has found to be in its scope (coldfleet.devices) and asks more about; NULL or empty: none.';

CREATE FUNCTION fleet.guard(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Both calls in the policy are sub-selects: computed once a statement, not once a row. A scope of all devices never
	-- looks at the groups; PostgreSQL chooses between one index probe a row and one hash of all members by the number of rows.
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
	EXECUTE format('CREATE POLICY scope ON %s TO coldfleet_api_definer USING ((SELECT fleet.scope_all()) OR EXISTS ('
		       'SELECT FROM fleet.group_member AS m WHERE m.device_id = %s.device_id '
		       'AND m.group_id = ANY ((SELECT fleet.scope_groups())::int[])))',
		       target, (SELECT relname FROM pg_class WHERE oid = target));
	EXECUTE format('CREATE POLICY everything ON %s TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, '
		       'coldfleet_analyst USING (true) WITH CHECK (true)', target);
END
$$;
COMMENT ON FUNCTION fleet.guard(regclass) IS
	'Lets REST see rows of a table with a device_id only within the scope of the call; other roles have what they were granted.';

CREATE POLICY scope ON fleet.device_group TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR group_id = ANY ((SELECT fleet.scope_groups())::int[]));
CREATE POLICY everything ON fleet.device_group TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, coldfleet_analyst
	USING (true) WITH CHECK (true);
ALTER TABLE fleet.device_group ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.group_member TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR group_id = ANY ((SELECT fleet.scope_groups())::int[]));
CREATE POLICY everything ON fleet.group_member TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, coldfleet_analyst
	USING (true) WITH CHECK (true);
ALTER TABLE fleet.group_member ENABLE ROW LEVEL SECURITY;

DO $$
BEGIN
	PERFORM fleet.guard(target) FROM unnest(ARRAY['fleet.device', 'fleet.module', 'fleet.sim', 'fleet.certificate',
		'telemetry.device_state', 'telemetry.epoch', 'telemetry.gap',
		'telemetry.quarantine']::regclass[]) AS target;
END
$$;

-- Of readings only those of devices that were looked up first, which the policy of fleet.device decides. Asking for the
-- groups here would put sub-plans into each partition, all of which PostgreSQL sets up for each query: 1.9 ms instead of 0.1.
CREATE POLICY scope ON telemetry.measurement TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR device_id = ANY ((SELECT fleet.scope_devices())::int[]));
CREATE POLICY everything ON telemetry.measurement TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, coldfleet_analyst
	USING (true) WITH CHECK (true);
ALTER TABLE telemetry.measurement ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON FUNCTION fleet.scope_all(), fleet.scope_groups(), fleet.scope_devices(), fleet.guard(regclass) FROM PUBLIC;
GRANT USAGE ON SCHEMA fleet, telemetry TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION fleet.scope_all(), fleet.scope_groups(), fleet.scope_devices(), fleet.imei_valid(text),
	fleet.register_device(text, text, text, text, text, text), fleet.create_token(text, text, timestamptz),
	telemetry.first_missing(int, smallint), telemetry.complete_through(telemetry.device_state)
	TO coldfleet_api_definer;
-- Not ALL TABLES: a partition read directly would be read without the policies of telemetry.measurement.
GRANT SELECT ON fleet.device, fleet.model, fleet.module, fleet.sim, fleet.certificate, fleet.token, fleet.device_group,
	fleet.group_member, telemetry.reading, telemetry.measurement, telemetry.device_state, telemetry.epoch, telemetry.gap,
	telemetry.quarantine
	TO coldfleet_api_definer;
GRANT INSERT, UPDATE ON fleet.device, fleet.module, fleet.sim, fleet.model TO coldfleet_api_definer;
GRANT DELETE ON fleet.module TO coldfleet_api_definer;
GRANT INSERT, UPDATE, DELETE ON fleet.device_group, fleet.group_member TO coldfleet_api_definer;
GRANT UPDATE (last_used_at, groups, created_by, created_why, revoked_at, revoked_by, revoked_why) ON fleet.token
	TO coldfleet_api_definer;
GRANT SELECT ON fleet.device_group, fleet.group_member TO coldfleet_analyst;

COMMIT;
