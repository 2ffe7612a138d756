-- SPDX-License-Identifier: Apache-2.0
-- Drops the roles, except those that another database of the cluster still needs.
BEGIN;

DO $$
DECLARE
	role text;
BEGIN
	EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
	FOREACH role IN ARRAY ARRAY['coldfleet_analyst', 'coldfleet_api', 'coldfleet_notify', 'coldfleet_signer', 'coldfleet_bridge',
				    'coldfleet_ingest', 'coldfleet_owner', 'coldfleet_api_definer']
	LOOP
		EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), role);
		BEGIN
			EXECUTE format('DROP ROLE %I', role);
		EXCEPTION
			WHEN dependent_objects_still_exist THEN
				RAISE NOTICE 'role % is kept: another database needs it', role;
		END;
	END LOOP;
END
$$;

COMMIT;
