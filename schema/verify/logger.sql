-- SPDX-License-Identifier: Apache-2.0
-- The roles can do what REST needs, and no more. Raises unless so.
BEGIN;

DO $$
BEGIN
	ASSERT has_function_privilege('coldfleet_api', 'api.logger_import(text, text, text, jsonb, bytea)', 'EXECUTE'), 'coldfleet_api cannot import';
	ASSERT NOT has_table_privilege('coldfleet_api_definer', 'coldchain.logger_file', 'UPDATE, DELETE'), 'evidence could be changed';
	ASSERT has_table_privilege('coldfleet_analyst', 'coldchain.logger_verdict', 'SELECT'), 'analysts cannot read verdicts';
END
$$;

ROLLBACK;
