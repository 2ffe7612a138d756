-- SPDX-License-Identifier: Apache-2.0
-- A device is registered, edited and decommissioned, a token made and revoked. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	made api.answer;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'admin'), 'UTF8')), 'admin');
	made := api.device_create('{"serial": "verify.api", "model": {"manufacturer": "verify", "name": "verify"}}');
	ASSERT made.status = 201, 'a device is not registered';
	made := api.device_patch('verify.api', '{"hardware_revision": "B"}', format('"%s"', made.etag));
	ASSERT (made.body::json #>> '{model,hardware_revision}') = 'B', 'a device is not edited';
	made := api.device_decommission('verify.api', '{"reason": "verify"}');
	ASSERT (made.body::json ->> 'state') = 'decommissioned', 'a device is not decommissioned';
	made := api.token_create('{"name": "verify", "role": "viewer"}');
	ASSERT (api.token_revoke((made.body::json ->> 'id')::int, NULL)).status = 204, 'a token is not revoked';
END
$$;

ROLLBACK;
