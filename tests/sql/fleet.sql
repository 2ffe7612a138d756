-- SPDX-License-Identifier: Apache-2.0
-- Devices: what belongs to one belongs to no other, and caches miss no change.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(29);

SELECT ok(fleet.imei_valid('490154203237518'), 'test_imei_with_its_check_digit_is_valid');
SELECT ok(NOT fleet.imei_valid(imei), 'test_imei_' || what || '_is_not_valid') FROM (VALUES
	('490154203237517', 'with_another_check_digit'), ('49015420323751', 'of_14_digits'), ('4901542032375180', 'of_16_digits'),
	('49015420323751x', 'with_a_letter'), ('', 'that_is_empty')) AS v (imei, what);

SELECT fleet.register_device('test-1', 'acme', 'm1', 'B', '490154203237518', '8949000000000000001') AS one \gset
SELECT fleet.register_device('test-2', 'acme', 'm1', 'B') AS two \gset
SELECT is((SELECT state FROM fleet.device WHERE device_id = :one), 'active', 'test_registered_device_is_active');
SELECT is((SELECT count(*) FROM fleet.model WHERE manufacturer = 'acme'), 1::bigint, 'test_model_is_made_once');
SELECT is((SELECT count(*) FROM telemetry.device_state WHERE device_id IN (:one, :two)), 2::bigint,
	'test_registered_device_has_a_row_of_latest_state');
SELECT throws_ok($$ SELECT fleet.register_device('test-1', 'acme', 'm1', '') $$, '23505', NULL,
	'test_a_serial_cannot_be_registered_twice');
SELECT throws_ok($$ SELECT fleet.register_device('test-3', 'acme', 'm1', '', '490154203237518') $$, '23505', NULL,
	'test_an_imei_belongs_to_one_device');
SELECT throws_ok($$ SELECT fleet.register_device('test-3', 'acme', 'm1', '', NULL, '8949000000000000001') $$, '23505', NULL,
	'test_an_iccid_belongs_to_one_device');
SELECT is_empty($$ SELECT FROM fleet.device WHERE serial = 'test-3' $$, 'test_a_refused_registration_leaves_nothing');
SELECT throws_ok($$ SELECT fleet.register_device('a/b', 'acme', 'm1', '') $$, '23514', NULL,
	'test_a_serial_that_is_no_topic_level_is_refused');
SELECT throws_ok($$ SELECT fleet.register_device(repeat('x', 65), 'acme', 'm1', '') $$, '23514', NULL,
	'test_a_serial_of_65_characters_is_refused');
SELECT throws_ok($$ UPDATE fleet.device SET serial = 'test-9' WHERE serial = 'test-1' $$, '23000', NULL,
	'test_a_serial_never_changes');
SELECT throws_ok($$ UPDATE fleet.device SET state = 'lost' WHERE serial = 'test-1' $$, '23514', NULL,
	'test_an_unknown_state_is_refused');

CREATE FUNCTION pg_temp.add(serial text, certificate text, key text) RETURNS int LANGUAGE sql AS $$
	SELECT fleet.add_certificate(serial, sha256(certificate::bytea), sha256(key::bytea), now(), now() + interval '1 year')
$$;
SELECT lives_ok($$ SELECT pg_temp.add('test-1', 'c1', 'k1'), pg_temp.add('test-1', 'c2', 'k2') $$,
	'test_a_device_has_two_certificates_during_a_rotation');
SELECT throws_ok($$ SELECT pg_temp.add('test-1', 'c3', 'k3') $$, '23000', NULL,
	'test_a_third_certificate_in_force_is_refused');
SELECT lives_ok($$ UPDATE fleet.certificate SET revoked_at = now() WHERE sha256 = sha256('c1');
	SELECT pg_temp.add('test-1', 'c3', 'k3') $$, 'test_a_revoked_certificate_makes_room');
SELECT throws_ok($$ UPDATE fleet.certificate SET revoked_at = NULL WHERE sha256 = sha256('c1') $$, '23000', NULL,
	'test_a_revocation_cannot_be_undone_past_two');
SELECT throws_ok($$ SELECT pg_temp.add('test-2', 'c2', 'k4') $$, '23505', NULL,
	'test_no_two_devices_share_a_certificate');
SELECT throws_ok($$ SELECT pg_temp.add('test-2', 'c4', 'k2') $$, '23505', NULL, 'test_no_two_devices_share_a_key');
SELECT throws_ok($$ SELECT pg_temp.add('test-0', 'c5', 'k5') $$, 'P0002', NULL,
	'test_a_certificate_for_an_unknown_serial_is_refused');

SELECT fleet.create_token('ann', 'operator') AS token \gset
SELECT matches(:'token'::text, '^cf_[A-Za-z0-9_-]{43}$', 'test_a_token_is_256_bits_in_base64url');
SELECT is((SELECT role FROM fleet.token WHERE sha256 = sha256(convert_to(:'token', 'UTF8'))), 'operator',
	'test_a_token_is_found_by_its_hash');
SELECT isnt(fleet.create_token('ann', 'operator'), :'token'::text, 'test_no_two_tokens_are_equal');
SELECT throws_ok($$ SELECT fleet.create_token('ann', 'root') $$, '23514', NULL, 'test_an_unknown_role_is_refused');

SELECT results_eq(format('SELECT device_id FROM fleet.devices_changed(pg_current_xact_id(), %s, 1)', :one), ARRAY[:two],
	'test_changes_are_pulled_in_chunks_by_device_id');

SELECT * FROM finish();
ROLLBACK;
