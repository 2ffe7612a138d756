-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.work();
DROP FUNCTION fleet.stale_summaries();
DROP FUNCTION api.import_row(text[], text);
DROP FUNCTION api.import_device(jsonb);
DROP FUNCTION api.import_fields(text[], text);
DROP FUNCTION api.operation_rows(text, text, int, text);
DROP FUNCTION api.operation_get(text);
DROP FUNCTION api.operation_find(text);
DROP FUNCTION api.devices_import(text, text, text);
DROP FUNCTION api.json_operation(fleet.operation);
DROP FUNCTION api.check_import_names(text[]);
DROP FUNCTION api.csv_fields(text);

COMMIT;
