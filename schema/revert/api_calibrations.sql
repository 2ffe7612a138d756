-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.calibration_figures(int[], timestamptz, timestamptz);
DROP FUNCTION api.calibrations(timestamptz, int, text);
DROP FUNCTION api.device_calibrations(text, int, int, text);
DROP FUNCTION api.calibration_void(int, jsonb);
DROP FUNCTION api.calibration_create(text, jsonb);
DROP FUNCTION api.calibration_get(int);
DROP FUNCTION api.calibration_answer(int, int);
DROP FUNCTION api.json_calibration(coldchain.calibration);
DROP FUNCTION api.json_point(coldchain.calibration_point);

COMMIT;
