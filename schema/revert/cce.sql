-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.cce_export(text, timestamptz, timestamptz, int);
DROP FUNCTION api.cce_import(jsonb, bytea);
DROP FUNCTION api.cce_records_wrong(jsonb);
DROP FUNCTION api.cce_device(jsonb);
DROP FUNCTION coldchain.cce_transfer(int[], timestamptz[], timestamptz[], int, uuid);
DROP FUNCTION coldchain.cce_as_it_came(int, text, timestamptz, timestamptz, int);
DROP FUNCTION coldchain.cce_of_tracker(int, timestamptz, timestamptz, int);
DROP FUNCTION coldchain.cce_alarms(int, timestamptz);
DROP FUNCTION coldchain.cce_abst(timestamptz);
DROP FUNCTION coldchain.cce_time(text);
DROP TABLE coldchain.cce_record, coldchain.cce_report;

COMMIT;
