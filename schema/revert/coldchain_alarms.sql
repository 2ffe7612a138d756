-- SPDX-License-Identifier: Apache-2.0
-- Excursions raise no alarms any more; those that were raised stay.
BEGIN;

REVOKE EXECUTE ON FUNCTION coldchain.evaluate(int) FROM coldfleet_notify;
DROP TRIGGER exposure_alarm_gone ON coldchain.exposure;
DROP TRIGGER exposure_alarm_again ON coldchain.exposure;
DROP TRIGGER exposure_alarm ON coldchain.exposure;
DROP TRIGGER excursion_alarm ON coldchain.excursion_revision;
DROP INDEX coldchain.alarm_lot;
DROP FUNCTION coldchain.exposure_alarm();
DROP FUNCTION coldchain.reached_late(int, text, timestamptz);
DROP FUNCTION coldchain.excursion_alarm();

COMMIT;
