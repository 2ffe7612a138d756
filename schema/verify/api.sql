-- SPDX-License-Identifier: Apache-2.0
-- A new token opens a call, its device is found. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'auditor'), 'UTF8')), 'viewer');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	ASSERT (api.device('verify.api')::json #>> '{model,name}') = 'verify', 'a new device is not found';
	ASSERT api.readings('verify.api', NULL, NULL, 1, NULL) = '{"items":[],"next":null}', 'expected no reading yet';
END
$$;

ROLLBACK;
