-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP TRIGGER calibration_renewed ON coldchain.calibration;
DROP FUNCTION coldchain.calibration_renewed();
DROP FUNCTION coldchain.watch_calibration(int);

COMMIT;
