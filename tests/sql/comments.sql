-- SPDX-License-Identifier: Apache-2.0
-- Everything that an analyst or an engineer may meet in the catalog says what it is.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(6);

CREATE TEMP TABLE ours AS
SELECT oid, nspname FROM pg_namespace WHERE nspowner = 'coldfleet_owner'::regrole;

SELECT cmp_ok((SELECT count(*) FROM ours), '>=', 2::bigint, 'test_catalog_has_the_schemas_of_coldfleet');
SELECT is_empty($$
	SELECT nspname FROM ours WHERE obj_description(oid, 'pg_namespace') IS NULL
$$, 'test_every_schema_has_a_comment');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c JOIN ours ON ours.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'v', 'm') AND obj_description(c.oid, 'pg_class') IS NULL
$$, 'test_every_table_and_view_has_a_comment');
SELECT is_empty($$
	SELECT c.oid::regclass, a.attname FROM pg_class AS c JOIN ours ON ours.oid = c.relnamespace
	JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relkind IN ('r', 'p', 'v', 'm') AND col_description(c.oid, a.attnum) IS NULL
$$, 'test_every_column_has_a_comment');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p JOIN ours ON ours.oid = p.pronamespace
	WHERE obj_description(p.oid, 'pg_proc') IS NULL
$$, 'test_every_function_has_a_comment');
SELECT is_empty($$
	SELECT rolname FROM pg_roles WHERE rolname LIKE 'coldfleet\_%' AND shobj_description(oid, 'pg_authid') IS NULL
$$, 'test_every_role_has_a_comment');

SELECT * FROM finish();
ROLLBACK;
