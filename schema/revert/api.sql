-- SPDX-License-Identifier: Apache-2.0
-- Drops the schema by name of its parts, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.readings(text, timestamptz, timestamptz, int, text);
DROP FUNCTION api.device_number(text);
DROP FUNCTION api.json_reading(telemetry.reading);
DROP FUNCTION api.device(text);
DROP FUNCTION api.json_commands(int);
DROP FUNCTION api.json_reported(telemetry.device_status, boolean);
DROP FUNCTION api.json_mismatch(int);
DROP FUNCTION api.json_tags(text[]);
DROP FUNCTION api.json_model(fleet.model, text);
DROP FUNCTION api.json_or_null(text);
DROP FUNCTION api.json_latest(telemetry.device_state);
DROP FUNCTION api.cursor_key(text, text);
DROP FUNCTION api.cursor(text, text);
DROP FUNCTION api.json_time(timestamptz);
DROP FUNCTION api.check_match(text, text);
DROP FUNCTION api.remember(api.answer, text);
DROP FUNCTION api.idempotency(text, bytea);
DROP FUNCTION api.because(text);
DROP FUNCTION api.begin(bytea, text, text);
DROP FUNCTION api.enter(text, int, text, int[], text, text);
DROP FUNCTION api.role_allows(text, text);
DROP TYPE api.answer;
DROP TABLE api.idempotency_key;
DROP SCHEMA api;

COMMIT;
