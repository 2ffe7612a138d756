-- SPDX-License-Identifier: Apache-2.0
-- The roles can do what REST needs, and no more. Raises unless so.
BEGIN;

DO $$
BEGIN
	ASSERT has_function_privilege('coldfleet_api', 'api.cce_import(jsonb, bytea)', 'EXECUTE'), 'coldfleet_api cannot take transfers';
	ASSERT has_function_privilege('coldfleet_api', 'api.cce_export(text, timestamptz, timestamptz, int)', 'EXECUTE'), 'coldfleet_api cannot give them';
	ASSERT NOT has_table_privilege('coldfleet_api_definer', 'coldchain.cce_record', 'UPDATE, DELETE'), 'evidence could be changed';
END
$$;

ROLLBACK;
