-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions; devices and tokens stay as they are.
BEGIN;

GRANT EXECUTE ON FUNCTION api.device(text) TO coldfleet_api;
DROP FUNCTION api.token_revoke(int, text);
DROP FUNCTION api.without_secret(text);
DROP FUNCTION api.token_create(jsonb);
DROP FUNCTION api.tokens(int, text);
DROP FUNCTION api.token_in_scope(int[]);
DROP FUNCTION api.json_token(fleet.token);
DROP FUNCTION api.device_decommission(text, jsonb);
DROP FUNCTION api.device_patch(text, jsonb, text);
DROP FUNCTION api.device_lock(text);
DROP FUNCTION api.device_create(jsonb);
DROP FUNCTION api.device_parts(int, jsonb);
DROP FUNCTION api.set_sim(int, jsonb);
DROP FUNCTION api.set_module(int, jsonb);
DROP FUNCTION api.set_model(int, jsonb);
DROP FUNCTION api.device_get(text);
DROP FUNCTION api.device_answer(text, xid8, int);
REVOKE EXECUTE ON FUNCTION fleet.tags_valid(text[]) FROM coldfleet_api_definer;
REVOKE UPDATE (revoked_at) ON fleet.certificate FROM coldfleet_api_definer;

COMMIT;
