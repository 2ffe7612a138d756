-- SPDX-License-Identifier: Apache-2.0
-- Excursions and exposures are followed by alarms, and the daemon may evaluate.
BEGIN;

SELECT 1 / count(*) FROM pg_trigger WHERE tgrelid = 'coldchain.excursion_revision'::regclass AND tgname = 'excursion_alarm' AND tgenabled = 'O';
SELECT 1 / (count(*) = 3)::int FROM pg_trigger WHERE tgrelid = 'coldchain.exposure'::regclass AND tgname LIKE 'exposure\_alarm%' AND tgenabled = 'O';
SELECT 1 / has_function_privilege('coldfleet_notify', 'coldchain.evaluate(int)', 'EXECUTE')::int;

ROLLBACK;
