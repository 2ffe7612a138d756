-- SPDX-License-Identifier: Apache-2.0
-- The owner of every object, the one that REST's functions run as, and the six roles that programs and people run under. Roles belong to the whole cluster, so
-- one that exists already is kept. None has a password: who may log in as whom is decided in pg_hba.conf.
BEGIN;

DO $$
DECLARE
	role text[];
BEGIN
	FOREACH role SLICE 1 IN ARRAY ARRAY[
		['coldfleet_owner', 'NOLOGIN'],
		['coldfleet_api_definer', 'NOLOGIN'],
		['coldfleet_ingest', 'LOGIN'],
		['coldfleet_bridge', 'LOGIN'],
		['coldfleet_signer', 'LOGIN'],
		['coldfleet_notify', 'LOGIN'],
		['coldfleet_api', 'LOGIN'],
		['coldfleet_analyst', 'LOGIN']]
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role[1]) THEN
			EXECUTE format('CREATE ROLE %I %s', role[1], role[2]);
		END IF;
	END LOOP;
	-- A deploying role without superuser's rights has to become the owner in order to create the objects.
	IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
		EXECUTE format('GRANT coldfleet_owner TO %I', current_user);
	END IF;
	GRANT coldfleet_api_definer TO coldfleet_owner;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, '
		       'coldfleet_notify, coldfleet_api, coldfleet_analyst', current_database());
END
$$;

-- An analyst's query ends by itself, and so does a transaction that is left open: while one sees the past, every version of the latest
-- states is kept. A session that means to write has to say so and is then refused by privileges. Members have to be given these too.
ALTER ROLE coldfleet_analyst SET statement_timeout = '5min';
ALTER ROLE coldfleet_analyst SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE coldfleet_analyst SET default_transaction_read_only = on;
-- Ingest runs a handful of short statements for ever: compiling them, or planning them anew for each small batch (0.4 ms),
-- costs more than running them.
ALTER ROLE coldfleet_ingest SET jit = off;
ALTER ROLE coldfleet_ingest SET plan_cache_mode = force_generic_plan;

COMMENT ON ROLE coldfleet_owner IS 'Owns every object of coldfleet. Nobody logs in as it.';
COMMENT ON ROLE coldfleet_api_definer IS
	'Owns the functions of schema api, so that row-level security binds them. Nobody logs in as it.';
COMMENT ON ROLE coldfleet_ingest IS 'coldfleet-ingest: stores telemetry. Sees neither commands nor tokens nor certificates.';
COMMENT ON ROLE coldfleet_bridge IS 'coldfleet-bridge: publishes signed commands, records replies and presence.';
COMMENT ON ROLE coldfleet_signer IS 'coldfleet-signer: reads approved commands and signs them.';
COMMENT ON ROLE coldfleet_notify IS 'coldfleet-notify: finds alarms and tells of them. Calls functions, reads and writes no table.';
COMMENT ON ROLE coldfleet_api IS 'coldfleet-api: calls the functions of schema api, writes no table.';
COMMENT ON ROLE coldfleet_analyst IS 'People with SQL: read only, five minutes a statement.';

COMMIT;
