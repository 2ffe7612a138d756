-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.logger_files(text, int, text);
DROP FUNCTION api.logger_import(text, text, text, jsonb, bytea);
DROP FUNCTION api.logger_keep(int, int, text, jsonb);
DROP FUNCTION api.json_logger_file(coldchain.logger_file);
DROP FUNCTION api.check_zone(text, text);
DROP FUNCTION api.local_time(text, text);
DROP FUNCTION coldchain.store_series(int, timestamptz[], smallint[], real[], boolean[], boolean[]);
DROP TABLE coldchain.logger_span, coldchain.logger_verdict, coldchain.logger_limit, coldchain.logger_file;

COMMIT;
