-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.tags_put(text, jsonb, text);
DROP FUNCTION api.device_history(text, int, text);
DROP FUNCTION api.config_history(text, int, text);
DROP FUNCTION api.config_put(text, jsonb, text);
DROP FUNCTION api.config_get(text);
DROP FUNCTION api.json_config(fleet.config);
DROP FUNCTION api.json_difference(jsonb, jsonb);
DROP FUNCTION api.group_member_set(int, text, boolean, text);
DROP FUNCTION api.group_delete(int, text);
DROP FUNCTION api.group_patch(int, jsonb, text);
DROP FUNCTION api.group_create(jsonb);
DROP FUNCTION api.check_group_filter(jsonb);
DROP FUNCTION api.group_lock(int);
DROP FUNCTION api.group_get(int);
DROP FUNCTION api.group_find(int);
DROP FUNCTION api.groups(int, text);
DROP FUNCTION api.group_answer(fleet.device_group, int);
DROP FUNCTION api.json_group(fleet.device_group);

COMMIT;
