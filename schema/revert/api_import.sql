-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.work();
DROP FUNCTION fleet.stale_summaries();
DROP FUNCTION api.work_import(fleet.operation);
DROP FUNCTION api.import_make(api.import_row[]);
DROP FUNCTION api.import_judge(fleet.operation, int);
DROP FUNCTION api.import_wrong(jsonb);
DROP FUNCTION api.import_read(text[], text);
DROP FUNCTION api.import_object(text);
DROP TYPE api.import_row;
DROP FUNCTION api.operation_rows(text, text, int, text);
DROP FUNCTION api.operation_get(text);
DROP FUNCTION api.operation_find(text);
DROP FUNCTION api.devices_import(text, text, text);
DROP FUNCTION api.json_operation(fleet.operation);
DROP FUNCTION api.import_names_wrong(text[]);
DROP FUNCTION api.csv_fields(text);

COMMIT;
