-- SPDX-License-Identifier: Apache-2.0
-- What REST may change: devices, tokens; what a scope hides; what an Idempotency-Key repeats.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(43);

CREATE TEMPORARY TABLE made AS SELECT name, fleet.create_token(name, 'admin') AS token FROM unnest(ARRAY['all', 'some']) AS name;
CREATE FUNCTION pg_temp.enter(who text) RETURNS void LANGUAGE sql AS
	$$ SELECT api.begin(sha256(convert_to(token, 'UTF8')), 'viewer', 'r-1') FROM made WHERE name = who $$;

SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-1", "model": {"manufacturer": "A", "name": "M"}}') $$, 'CF403', NULL,
	'test_without_a_call_nothing_is_registered');
SELECT pg_temp.enter('all');

-- Devices

SELECT is((SELECT (status, location) FROM api.device_create('{"serial": "d-1", "model": {"manufacturer": "A", "name": "M"},
	"module": {"imei": "490154203237518"}, "sim": {"iccid": "8949000000000000001", "expected_prefix": "10.1.0.0/16"},
	"reason": "new"}')), (201, '/v1/devices/d-1'::text), 'test_a_device_is_registered_with_its_parts');
SELECT is((SELECT body::json ->> 'state' FROM api.device_create('{"serial": "d-2", "model": {"manufacturer": "A", "name": "M"},
	"state": "registered"}')), 'registered', 'test_a_device_may_be_registered_without_being_active');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-1", "model": {"manufacturer": "A", "name": "M"}}') $$, 'CF409', NULL,
	'test_a_serial_is_registered_once');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-9", "model": {"manufacturer": "A", "name": "M"},
	"module": {"imei": "490154203237518"}}') $$, 'CF409', 'module.imei: belongs to another device',
	'test_an_imei_belongs_to_one_device');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-9", "model": {"manufacturer": "A", "name": "M"},
	"module": {"imei": "490154203237519"}}') $$, 'CF422', NULL, 'test_an_imei_with_a_wrong_check_digit_is_refused');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-9", "model": {"manufacturer": "A", "name": "M"},
	"sim": {"iccid": "8949000000000000001"}}') $$, 'CF409', NULL, 'test_a_sim_is_in_one_device');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-9", "model": {"manufacturer": "A", "name": "M"},
	"sim": {"iccid": "8949000000000000009", "expected_prefix": "ten"}}') $$, 'CF422', NULL,
	'test_addresses_that_are_none_are_refused');

SELECT is((SELECT body::jsonb #> '{module,firmware}' FROM api.device_patch('d-1', '{"module": {"firmware": "1.2"}}', '*')), '"1.2"',
	'test_a_part_of_a_part_is_merged');
SELECT is((SELECT body::jsonb #>> '{module,imei}' FROM api.device_get('d-1')), '490154203237518',
	'test_what_a_patch_does_not_name_stays');
SELECT is((SELECT body::jsonb -> 'module' FROM api.device_patch('d-1', '{"module": null}', '*')), 'null',
	'test_null_takes_a_module_away');
SELECT is((SELECT body::jsonb -> 'sim' FROM api.device_patch('d-1', '{"sim": null}', '*')), 'null', 'test_null_puts_a_sim_into_stock');
SELECT is((SELECT body::jsonb #>> '{sim,iccid}' FROM api.device_patch('d-2', '{"sim": {"iccid": "8949000000000000001"}}', '*')),
	'8949000000000000001', 'test_a_sim_in_stock_goes_into_another_device');
SELECT is((SELECT expected_prefix FROM fleet.sim WHERE iccid = '8949000000000000001'), '10.1.0.0/16'::cidr,
	'test_a_sim_keeps_what_is_known_of_it');
SELECT is((SELECT body::jsonb #>> '{sim,iccid}' FROM api.device_patch('d-2', '{"sim": {"iccid": "8949000000000000002"}}', '*')),
	'8949000000000000002', 'test_another_iccid_is_another_sim');
SELECT is((SELECT device_id FROM fleet.sim WHERE iccid = '8949000000000000001'), NULL, 'test_the_sim_before_goes_into_stock');
SELECT is((SELECT body::jsonb #>> '{model,name}' FROM api.device_patch('d-2',
	'{"model": {"manufacturer": "A", "name": "M2"}, "hardware_revision": "C"}', '*')), 'M2', 'test_a_model_is_corrected');
SELECT throws_ok($$ SELECT api.device_patch('d-2', '{"module": {"firmware": "1"}}', '*') $$, 'CF422', NULL,
	'test_a_module_needs_an_imei');
SELECT throws_ok($$ SELECT api.device_patch('nobody', '{}', '*') $$, 'CF404', NULL, 'test_an_unknown_device_is_not_edited');
SELECT throws_ok($$ SELECT api.device_patch('d-1', '{}', '"1.x", W/"2"') $$, 'CF412', NULL, 'test_another_revision_is_not_edited');
SELECT lives_ok(format($$ SELECT api.device_patch('d-1', '{}', %L) $$, format('"1.x", "%s"', etag)),
	'test_one_of_several_entity_tags_is_enough') FROM api.device_get('d-1');
UPDATE telemetry.device_state SET received_at = now() WHERE device_id = (SELECT device_id FROM fleet.device WHERE serial = 'd-1');
SELECT lives_ok($$ SELECT api.device_patch('d-1', '{}', (SELECT format('"%s.0"', split_part(etag, '.', 1)) FROM api.device_get('d-1'))) $$,
	'test_a_reading_is_no_obstacle_to_an_edit');

SELECT fleet.add_certificate('d-1', sha256('a'), sha256('b'), now(), now() + interval '1 year');
SELECT is((SELECT body::jsonb ->> 'state' FROM api.device_decommission('d-1', '{"reason": "broken"}')), 'decommissioned',
	'test_a_device_is_decommissioned');
SELECT ok((SELECT bool_and(revoked_at IS NOT NULL) FROM fleet.certificate WHERE sha256 = sha256('a')),
	'test_a_decommissioned_device_has_no_certificate_in_force');
SELECT throws_ok($$ SELECT api.device_decommission('d-1', '{"reason": "x"}') $$, 'CF409', NULL, 'test_a_device_is_decommissioned_once');
SELECT throws_ok($$ SELECT api.device_patch('d-1', '{}', '*') $$, 'CF409', NULL, 'test_nothing_of_a_decommissioned_device_is_edited');
SELECT is((SELECT (actor, reason, request_id) FROM fleet.history AS h JOIN fleet.device AS d USING (device_id)
	WHERE d.serial = 'd-1' AND h.field = 'state' AND h.new = '"decommissioned"'), ('all'::text, 'broken'::text, 'r-1'::text),
	'test_history_says_who_and_why_and_by_which_request');

-- Scopes

INSERT INTO fleet.device_group (name) VALUES ('pgtap') RETURNING group_id \gset
INSERT INTO fleet.group_member (device_id, group_id) SELECT device_id, :group_id FROM fleet.device WHERE serial = 'd-2';
SELECT is((SELECT (body::json ->> 'role', body::json #>> '{groups,0}') FROM api.token_create(
	format('{"name": "t", "role": "viewer", "groups": [%s]}', :group_id)::jsonb)), ('viewer'::text, :'group_id'::text),
	'test_a_token_is_made_with_a_scope');
SELECT throws_ok($$ SELECT api.token_create('{"name": "t", "role": "viewer", "groups": [2147483647]}') $$, 'CF422', NULL,
	'test_a_scope_of_no_group_is_refused');
SELECT throws_ok($$ SELECT api.token_create('{"name": "t", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}') $$, 'CF422', NULL,
	'test_a_token_does_not_end_before_it_begins');
UPDATE fleet.token SET groups = ARRAY[:group_id] WHERE name = 'some';
SELECT pg_temp.enter('some');
SELECT is((SELECT jsonb_agg(d -> 'serial') FROM jsonb_array_elements(api.devices(1000, NULL, 'serial', '{}')::jsonb -> 'items') AS d), '["d-2"]',
	'test_a_scope_is_all_that_a_list_shows');
SELECT throws_ok($$ SELECT api.device_get('d-1') $$, 'CF404', NULL, 'test_a_device_beyond_the_scope_is_unknown');
SELECT throws_ok($$ SELECT api.device_patch('d-1', '{}', '*') $$, 'CF404', NULL, 'test_a_device_beyond_the_scope_is_not_edited');
SELECT lives_ok($$ SELECT api.device_patch('d-2', '{"hardware_revision": "Z"}', '*') $$, 'test_a_device_in_the_scope_is_edited');
SELECT throws_ok($$ SELECT api.device_create('{"serial": "d-3", "model": {"manufacturer": "A", "name": "M"}}') $$, 'CF403', NULL,
	'test_a_scope_registers_no_device');
SELECT throws_ok($$ SELECT api.token_create('{"name": "t", "role": "admin"}') $$, 'CF403', NULL,
	'test_a_scope_makes_no_token_that_sees_more');
SELECT is((SELECT jsonb_agg(t -> 'name' ORDER BY t -> 'name') FROM jsonb_array_elements(api.tokens(1000, NULL)::jsonb -> 'items') AS t),
	'["some", "t"]', 'test_a_scope_sees_the_tokens_within_it');
SELECT throws_ok(format('SELECT api.token_revoke(%s, NULL)', token_id), 'CF404', NULL, 'test_a_scope_revokes_no_token_beyond_it')
	FROM fleet.token WHERE name = 'all';

-- Idempotency

SELECT pg_temp.enter('all');
SELECT api.idempotency('k', sha256('1'));
SELECT api.remember((201, '{"token":"cf_x","id":1}', 'e', '/l')::api.answer, api.without_secret('{"token":"cf_x","id":1}'));
CREATE FUNCTION pg_temp.again(hash bytea, OUT state text, OUT told text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM api.idempotency('k', hash);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, told = PG_EXCEPTION_DETAIL;
END
$$;
SELECT is(pg_temp.again(sha256('1')), ('CF208'::text, '{"status" : 201, "body" : "{\"token\":null,\"id\":1}", "etag" : "e", "location" : "/l"}'::text),
	'test_a_repeated_request_gets_its_first_answer_without_the_secret');
SELECT is((pg_temp.again(sha256('2'))).state, 'CF422', 'test_a_key_belongs_to_one_request');
SELECT pg_temp.enter('some');
SELECT is((pg_temp.again(sha256('2'))).state, NULL, 'test_a_key_belongs_to_whoever_asks');
SELECT pg_temp.enter('all');
UPDATE api.idempotency_key SET created_at = now() - interval '25 hours';
SELECT is((pg_temp.again(sha256('2'))).state, NULL, 'test_a_key_is_free_again_after_a_day');
SELECT is((SELECT count(*) FROM api.idempotency_key WHERE created_at < now() - interval '24 hours'), 0::bigint,
	'test_old_keys_are_taken_away_by_the_calls_that_add_new_ones');

SELECT finish();
ROLLBACK;
