-- SPDX-License-Identifier: Apache-2.0
-- Calls of people whom an identity provider has proved, and the record of tokens that did not hold.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(9);

INSERT INTO fleet.device_group (name) VALUES ('carrier a'), ('carrier b');

SELECT lives_ok($$ SELECT api.begin_oidc('ada', 'viewer', NULL, 'viewer', 'r-1') $$, 'test_a_subject_with_the_role_opens_a_call');
SELECT is(current_setting('coldfleet.actor') || current_setting('coldfleet.token_id') || current_setting('coldfleet.scope'), 'ada*',
	'test_the_subject_is_the_actor_and_sees_all_devices_without_a_claim_of_groups');
SELECT throws_ok($$ SELECT api.begin_oidc('ada', 'viewer', NULL, 'operator') $$, 'CF403', NULL, 'test_another_role_is_refused');
SELECT lives_ok($$ SELECT api.begin_oidc('ada', 'viewer', '["carrier a", "nobody"]', 'viewer') $$, 'test_groups_are_found_by_name');
SELECT is(current_setting('coldfleet.scope'), (SELECT group_id::text FROM fleet.device_group WHERE name = 'carrier a'),
	'test_the_scope_is_that_of_the_groups_that_exist');
SELECT throws_ok($$ SELECT api.begin_oidc('ada', 'admin', '["nobody"]', 'viewer') $$, 'CF403', NULL,
	'test_without_a_group_that_exists_nothing_is_seen');
SELECT throws_ok($$ SELECT api.begin_oidc('ada', 'admin', '[]', 'viewer') $$, 'CF403', NULL, 'test_no_group_is_not_every_group');

INSERT INTO fleet.refused_login (at, reason, detail, request_id) SELECT now() - interval '91 days', 'old', '', '' FROM generate_series(1, 3);
SELECT lives_ok($$ SELECT api.refused_login('audience', repeat('x', 999), '192.0.2.1', 'r-2') $$, 'test_a_refused_token_is_noted');
SELECT results_eq($$ SELECT reason, length(detail), count(*)::int FROM fleet.refused_login GROUP BY 1, 2 ORDER BY 1 $$,
	$$ VALUES ('audience', 300, 1), ('old', 0, 1) $$, 'test_each_new_row_takes_two_old_ones_away');

SELECT * FROM finish();
ROLLBACK;
