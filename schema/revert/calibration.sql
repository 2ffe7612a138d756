-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION coldchain.calibration_figures(int[], timestamptz, timestamptz);
DROP FUNCTION coldchain.calibration_nearest(int, double precision);
DROP FUNCTION coldchain.calibration_spans(int, smallint);
DROP FUNCTION coldchain.calibration_state(coldchain.calibration, timestamptz);
DROP FUNCTION coldchain.void_calibration(int, text);
DROP FUNCTION coldchain.put_calibration(int, jsonb);
DROP FUNCTION coldchain.calibration_said(coldchain.calibration);
DROP FUNCTION coldchain.calibration_check(coldchain.calibration, jsonb);
DROP FUNCTION coldchain.calibration_points(jsonb);
DROP TABLE coldchain.calibration_point, coldchain.calibration;
DROP FUNCTION coldchain.calibration_pointed();
DROP FUNCTION coldchain.calibration_order();
DROP FUNCTION coldchain.calibration_step();

COMMIT;
