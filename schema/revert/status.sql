-- SPDX-License-Identifier: Apache-2.0
-- Drops what trackers said about themselves; what was taken over into fleet.device and the history stay.
BEGIN;

COMMENT ON COLUMN fleet.history.object IS 'What was changed: device, module, sim, model, module_type, device_group, group_member.';
COMMENT ON COLUMN fleet.history.actor IS 'Who changed it: the name of a token, the subject of an access token, or a role of the database.';
DROP FUNCTION telemetry.store_status(int[], timestamptz[], jsonb[]);
DROP FUNCTION fleet.take_reported(int[]);
DROP VIEW telemetry.identity_mismatch;
DROP TABLE telemetry.device_status;

COMMIT;
