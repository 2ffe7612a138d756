-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.leg_change(int, int, jsonb, text);
DROP FUNCTION api.geofence_delete(int, text);
DROP FUNCTION api.geofence_patch(int, jsonb, text);
DROP FUNCTION api.geofence_lock(int);
DROP FUNCTION api.geofence_create(jsonb);
DROP FUNCTION api.geofence_get(int);
DROP FUNCTION api.geofences(int, text);
DROP FUNCTION api.geofence_answer(int, int);
DROP FUNCTION api.json_geofence(coldchain.geofence);

COMMIT;
