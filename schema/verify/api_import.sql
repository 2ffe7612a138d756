-- SPDX-License-Identifier: Apache-2.0
-- A device is imported. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	made api.answer;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'operator'), 'UTF8')), 'operator');
	made := api.devices_import(NULL, 'csv', E'serial,manufacturer,model\nverify.api,verify,verify\n');
	ASSERT made.status = 202, 'an import is not taken';
	WHILE (api.operation_get(made.body::json ->> 'id')::json ->> 'state') <> 'done' LOOP
		ASSERT api.work(), 'there is nothing to do';
	END LOOP;
	ASSERT (api.device('verify.api')::json #>> '{model,name}') = 'verify', 'a device is not imported';
	PERFORM api.operation_rows(made.body::json ->> 'id', 'failed', 1, NULL);
END
$$;

ROLLBACK;
