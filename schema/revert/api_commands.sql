-- SPDX-License-Identifier: Apache-2.0
-- Drops its triggers and functions by name.
BEGIN;

DROP TRIGGER drop_commands ON fleet.device;
DROP TRIGGER send_config ON fleet.config;
DROP FUNCTION api.drop_commands();
DROP FUNCTION api.send_config();
DROP FUNCTION api.command_cancel(text, jsonb);
DROP FUNCTION api.request_resume(text, jsonb);
DROP FUNCTION api.request_pause(text, jsonb);
DROP FUNCTION api.request_cancel(text, jsonb);
DROP FUNCTION api.request_edit(text, jsonb, text);
DROP FUNCTION api.request_refuse(text, jsonb);
DROP FUNCTION api.request_approve(text, jsonb);
DROP FUNCTION api.request_enter(command.request);
DROP FUNCTION api.decide(command.request, jsonb, text);
DROP FUNCTION api.requests(int, text, text);
DROP FUNCTION api.commands(int, text, text, text, text, text, timestamptz);
DROP FUNCTION api.request_get(text);
DROP FUNCTION api.command_get(text);
DROP FUNCTION api.command_find(text);
DROP FUNCTION api.commands_make(jsonb);
DROP FUNCTION api.target_devices(jsonb);
DROP FUNCTION api.devices_of(jsonb, int);
DROP FUNCTION api.command_make(text, jsonb);
DROP FUNCTION api.check_operator_may(text);
DROP FUNCTION api.command_answer(uuid, int);
DROP FUNCTION api.request_answer(uuid, int);
DROP FUNCTION api.request_find(text, boolean);
DROP FUNCTION api.json_request(command.request);
DROP FUNCTION api.json_command(command.command, command.request, text);
DROP FUNCTION api.json_moment(timestamptz);
DROP FUNCTION api.request_make(command.request, int[], jsonb, double precision, text);
DROP FUNCTION api.interlock(command.request, int[]);
DROP FUNCTION api.wish(jsonb, timestamptz);
CREATE OR REPLACE FUNCTION api.json_commands(device int) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT '{"open":0,"switched":null}' WHERE device IS NOT NULL
$$;
COMMENT ON FUNCTION api.json_commands(int) IS 'What a device is being told, as a JSON object; nothing, until the schema knows of commands.';
REVOKE EXECUTE ON FUNCTION command.hold(int[]), command.advance(int[]), command.let_go(int[]) FROM coldfleet_api_definer;

COMMIT;
