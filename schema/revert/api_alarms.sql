-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.delivery_replay(bigint);
DROP FUNCTION api.deliveries(int, int, text, text);
DROP FUNCTION api.webhook_delete(int, text);
DROP FUNCTION api.webhook_patch(int, jsonb, text);
DROP FUNCTION api.without_webhook_secret(text);
DROP FUNCTION api.webhook_create(jsonb);
DROP FUNCTION api.webhook_check(text);
DROP FUNCTION api.webhook_wrong();
DROP FUNCTION api.webhook_get(int);
DROP FUNCTION api.webhooks(int, text);
DROP FUNCTION api.webhook_find(int);
DROP FUNCTION api.json_webhook(int);
DROP FUNCTION api.alarm_acknowledge(bigint, jsonb);
DROP FUNCTION api.alarms(int, text, text, text, text, int);

COMMIT;
