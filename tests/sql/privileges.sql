-- SPDX-License-Identifier: Apache-2.0
-- What each role must not be able to do is tried as that role, and the catalog is asked about everything else.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(61);

-- The SQLSTATE that a statement ends with under a role; '00000' when it goes through. It is undone either way.
CREATE FUNCTION pg_temp.try_as(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		SET LOCAL transaction_read_only = off;
		EXECUTE statement;
		RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN OTHERS THEN
		state := sqlstate;
	END;
	RETURN CASE state WHEN 'ZZ000' THEN '00000' ELSE state END;
END
$$;

CREATE TEMP TABLE runtime (role) AS VALUES
	('coldfleet_ingest'), ('coldfleet_bridge'), ('coldfleet_signer'), ('coldfleet_notify'), ('coldfleet_api'), ('coldfleet_analyst');
CREATE TEMP TABLE evidence (target) AS VALUES ('telemetry.measurement'), ('telemetry.quarantine');

SELECT fleet.register_device('privileges', 'test', 'test', '') AS device \gset
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe) VALUES (now(), now(), :device, 0, 0, 0);

SELECT is(pg_temp.try_as(role, 'UPDATE ' || target || ' SET device_id = device_id'), '42501',
	'test_' || role || '_cannot_update_' || target) FROM runtime, evidence;
SELECT is(pg_temp.try_as(role, 'DELETE FROM ' || target), '42501',
	'test_' || role || '_cannot_delete_from_' || target) FROM runtime, evidence;
SELECT is(pg_temp.try_as(role, 'TRUNCATE ' || target), '42501',
	'test_' || role || '_cannot_truncate_' || target) FROM runtime, evidence;

SELECT is(pg_temp.try_as(role, 'SELECT * FROM fleet.token'), '42501', 'test_' || role || '_cannot_read_tokens')
	FROM runtime;
SELECT is(pg_temp.try_as(role, 'SELECT fleet.create_token(''x'', ''admin'')'), '42501',
	'test_' || role || '_cannot_make_a_token') FROM runtime;
SELECT is(pg_temp.try_as('coldfleet_analyst', format('INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, '
	'probe) VALUES (now(), now(), %s, 1, 0, 0)', :device)), '42501', 'test_analyst_cannot_write_readings');
SELECT is(pg_temp.try_as('coldfleet_ingest', 'SELECT * FROM fleet.certificate'), '42501',
	'test_ingest_cannot_read_certificates');
SELECT is(pg_temp.try_as('coldfleet_ingest', format('DELETE FROM telemetry.%I', name)), '42501',
	'test_ingest_cannot_delete_from_a_partition_directly') FROM telemetry.partitions() LIMIT 1;
SELECT is(pg_temp.try_as('coldfleet_analyst', 'SELECT count(*) FROM telemetry.reading'), '00000',
	'test_analyst_reads_readings');

SELECT is_empty($$
	SELECT r.role, c.oid::regclass, privilege FROM runtime AS r
	CROSS JOIN pg_class AS c
	CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
	WHERE c.relnamespace IN ('fleet'::regnamespace, 'telemetry'::regnamespace) AND c.relkind IN ('r', 'p')
		AND (has_table_privilege(r.role, c.oid, privilege) OR (privilege IN ('UPDATE', 'REFERENCES')
			AND has_any_column_privilege(r.role, c.oid, privilege)))
$$, 'test_no_runtime_role_may_change_or_remove_rows_of_any_table');
SELECT is_empty($$
	SELECT r.role, c.oid::regclass::text FROM runtime AS r CROSS JOIN pg_class AS c
	WHERE c.relnamespace IN ('fleet'::regnamespace, 'telemetry'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
		AND (has_table_privilege(r.role, c.oid, 'INSERT') OR has_any_column_privilege(r.role, c.oid, 'INSERT'))
$$, 'test_no_runtime_role_inserts_into_any_table');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
	WHERE n.nspowner = 'coldfleet_owner'::regrole AND (p.proacl IS NULL
		OR EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0))
$$, 'test_no_function_is_open_to_public');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
	WHERE n.nspowner = 'coldfleet_owner'::regrole AND p.prosecdef
		AND NOT coalesce(array_to_string(p.proconfig, ' ') LIKE '%search_path=pg_catalog%pg_temp%', false)
$$, 'test_every_security_definer_function_fixes_its_search_path');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspowner = 'coldfleet_owner'::regrole AND c.relowner <> 'coldfleet_owner'::regrole AND c.relkind <> 'c'
	UNION ALL
	SELECT p.oid::regprocedure::oid::regclass FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
	WHERE n.nspowner = 'coldfleet_owner'::regrole AND p.proowner <> CASE n.nspname
		WHEN 'api' THEN 'coldfleet_api_definer'::regrole ELSE 'coldfleet_owner'::regrole END
$$, 'test_the_owner_owns_everything_but_the_functions_of_rest');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'device_id'
	WHERE c.relkind IN ('r', 'p') AND c.relowner = 'coldfleet_owner'::regrole AND NOT c.relispartition
		AND has_any_column_privilege('coldfleet_api_definer', c.oid, 'SELECT') AND NOT (c.relrowsecurity AND EXISTS (
			SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'scope' AND polroles = ARRAY['coldfleet_api_definer'::regrole::oid]))
$$, 'test_rest_sees_every_table_with_a_device_through_the_scope_of_the_call');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c WHERE relispartition AND has_table_privilege('coldfleet_api_definer', c.oid, 'SELECT')
$$, 'test_rest_reads_no_partition_around_the_policies_of_its_table');
SELECT ok(NOT has_database_privilege('coldfleet_analyst', current_database(), 'TEMPORARY, CREATE'),
	'test_analyst_cannot_create_objects_in_the_database');
SELECT results_eq($$
	SELECT unnest(rolconfig) COLLATE "default" FROM pg_roles WHERE rolname = 'coldfleet_analyst' ORDER BY 1
$$, ARRAY['default_transaction_read_only=on', 'idle_in_transaction_session_timeout=10min', 'statement_timeout=5min'],
	'test_analyst_has_timeouts_and_is_read_only');

SELECT * FROM finish();
ROLLBACK;
