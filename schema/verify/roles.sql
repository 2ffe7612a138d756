-- SPDX-License-Identifier: Apache-2.0
-- The roles exist, and none can do what is a superuser's.
BEGIN;

DO $$
BEGIN
	ASSERT (SELECT count(*) = 8
			AND bool_and(rolcanlogin = (rolname NOT IN ('coldfleet_owner', 'coldfleet_api_definer')))
		FROM pg_catalog.pg_roles
		WHERE rolname IN ('coldfleet_owner', 'coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify',
				  'coldfleet_api', 'coldfleet_analyst', 'coldfleet_api_definer')
			AND NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)),
		'expected coldfleet_owner and coldfleet_api_definer without login and six roles with it, none of them privileged';
	ASSERT (SELECT rolconfig @> ARRAY['statement_timeout=5min', 'idle_in_transaction_session_timeout=10min', 'default_transaction_read_only=on']
		FROM pg_catalog.pg_roles WHERE rolname = 'coldfleet_analyst'),
		'coldfleet_analyst lacks a timeout or is not read only';
	ASSERT (SELECT rolconfig @> ARRAY['jit=off', 'plan_cache_mode=force_generic_plan']
		FROM pg_catalog.pg_roles WHERE rolname = 'coldfleet_ingest'),
		'coldfleet_ingest would compile or plan its statements again and again';
END
$$;

ROLLBACK;
