-- SPDX-License-Identifier: Apache-2.0
-- Products, profiles, shipments and assignments: what the tables accept and what they refuse.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(38);

CREATE FUNCTION pg_temp.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;

SELECT ok(coldchain.gtin_valid('09506000134352'), 'test_a_gtin_with_its_check_digit_is_valid');
SELECT ok(NOT coldchain.gtin_valid('09506000134353'), 'test_a_gtin_with_another_digit_is_not');
SELECT ok(coldchain.in_band(8.1, 8, false, NULL, false) AND NOT coldchain.in_band(8, 8, false, NULL, false),
	'test_a_strict_end_is_outside_of_its_band');
SELECT ok(coldchain.in_band(-0.5, NULL, false, -0.5, true) AND NOT coldchain.in_band(-0.4, NULL, false, -0.5, true),
	'test_an_inclusive_end_is_within_its_band');

INSERT INTO coldchain.product (name, gtin) VALUES ('t product', '09506000134352');
SELECT product_id AS product FROM coldchain.product WHERE name = 't product' \gset
INSERT INTO coldchain.profile (code, product_id, title) VALUES ('t-profile', :product, 'test');
SELECT profile_id AS profile FROM coldchain.profile WHERE code = 't-profile' \gset
INSERT INTO coldchain.profile_version (profile_id, version, storage_lower_c, storage_upper_c, effective_from, source)
VALUES (:profile, 1, 2, 8, '2026-01-01', 'test'), (:profile, 2, 2, 8, '2026-02-01', 'test');
SELECT profile_version_id AS v1 FROM coldchain.profile_version WHERE profile_id = :profile AND version = 1 \gset
SELECT profile_version_id AS v2 FROM coldchain.profile_version WHERE profile_id = :profile AND version = 2 \gset
INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, counting, allowed_s)
VALUES (:v1, 'hot', 'hot', 8, 'single', 600), (:v2, 'hot', 'hot', 8, 'single', 900);

SELECT is(pg_temp.state_of(format($$ INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, upper_c, counting, allowed_s)
	VALUES (%s, 'x', 'x', 5, 6, 'single', 1) $$, :v1)), '23514', 'test_a_band_within_the_storage_range_is_refused');
SELECT is(pg_temp.state_of(format($$ INSERT INTO coldchain.band (profile_version_id, code, title, counting, allowed_s)
	VALUES (%s, 'x', 'x', 'single', 1) $$, :v1)), '23514', 'test_a_band_without_ends_is_refused');
SELECT is(pg_temp.state_of(format($$ INSERT INTO coldchain.band (profile_version_id, code, title, upper_c, upper_inclusive, counting, allowed_s)
	VALUES (%s, 'x', 'x', 2, true, 'single', 1) $$, :v1)), '00000', 'test_a_band_may_touch_the_storage_range');
SELECT is(pg_temp.state_of(format($$ INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, upper_c, counting, allowed_s)
	VALUES (%s, 'y', 'x', 9, 9, 'single', 1) $$, :v1)), '23514', 'test_a_band_that_no_temperature_is_in_is_refused');

-- Shipments

SELECT fleet.register_device('coldchain-1', 'test', 'test', '') AS d1 \gset
SELECT fleet.register_device('coldchain-2', 'test', 'test', '') AS d2 \gset
INSERT INTO coldchain.shipment (reference) VALUES ('t-1'), ('t-2');
SELECT shipment_id AS s1 FROM coldchain.shipment WHERE reference = 't-1' \gset
SELECT shipment_id AS s2 FROM coldchain.shipment WHERE reference = 't-2' \gset
INSERT INTO coldchain.lot (product_id, number) VALUES (:product, 'A'), (:product, 'B');
SELECT lot_id AS la FROM coldchain.lot WHERE number = 'A' AND product_id = :product \gset
SELECT lot_id AS lb FROM coldchain.lot WHERE number = 'B' AND product_id = :product \gset
INSERT INTO coldchain.shipment_lot (shipment_id, lot_id) VALUES (:s1, :la), (:s1, :lb), (:s2, :la);
SELECT is(pg_temp.state_of(format('UPDATE coldchain.shipment SET state = %L WHERE shipment_id = %s', s, :s1)), e,
	'test_a_ready_shipment_cannot_be_' || s) FROM (VALUES ('delivered', '55000'), ('closed', '55000'), ('shipping', '23514')) AS v (s, e);
SELECT is(pg_temp.state_of(format($$ UPDATE coldchain.shipment SET decision = 'released', decided_by = 'anna', decided_at = now(),
	decision_reason = 'fine' WHERE shipment_id = %s $$, :s1)), '23514', 'test_nobody_decides_before_delivery');

-- Assignments

CREATE FUNCTION pg_temp.assign(device int, probe int, shipment int, lot int, version int, during tstzrange) RETURNS int LANGUAGE sql AS $$
	INSERT INTO coldchain.assignment (device_id, probe, shipment_id, lot_id, profile_version_id, during)
	VALUES (device, probe, shipment, lot, version, during) RETURNING assignment_id
$$;
SELECT set_config('coldfleet.actor', 'anna', true), set_config('coldfleet.reason', 'loaded', true);
SELECT pg_temp.assign(:d1, 0, :s1, :la, :v1, '[2026-09-01 00:00Z,)') AS a \gset
SELECT ok(isempty(judged), 'test_nothing_is_judged_before_the_start') FROM coldchain.assignment WHERE assignment_id = :a;
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 0, %s, %s, %s, '[2026-09-01 00:00Z,)') $$, :d1, :s1, :lb, :v1)), '00000',
	'test_a_probe_may_watch_two_lots');
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 0, %s, %s, %s, '[2026-09-05 00:00Z,)') $$, :d1, :s1, :la, :v1)), '23P01',
	'test_a_probe_is_assigned_to_a_lot_once_at_a_time');
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 1, %s, %s, %s, '[2026-08-01 00:00Z,2026-09-02 00:00Z)') $$, :d1, :s2, :la, :v1)),
	'23P01', 'test_a_device_is_in_one_shipment_at_a_time');
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 1, %s, %s, %s, '[2026-08-01 00:00Z,2026-09-01 00:00Z)') $$, :d1, :s2, :la, :v1)),
	'00000', 'test_a_device_may_go_from_one_shipment_to_the_next');
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 0, %s, %s, %s, '(2026-08-01 00:00Z,2026-09-01 00:00Z]') $$, :d2, :s2, :la, :v1)),
	'23514', 'test_an_interval_has_its_start_and_not_its_end');
SELECT is(pg_temp.state_of(format($$ SELECT pg_temp.assign(%s, 0, %s, %s, %s, '[2026-08-01 00:00Z,)') $$, :d2, :s2, :lb, :v1)),
	'23503', 'test_a_lot_that_is_not_in_the_shipment_cannot_be_watched_there');

UPDATE coldchain.shipment SET state = 'shipping', started_at = '2026-09-01 06:00Z' WHERE shipment_id = :s1;
SELECT is(judged, '[2026-09-01 06:10Z,)', 'test_readings_are_judged_after_the_ignore_period') FROM coldchain.assignment WHERE assignment_id = :a;
UPDATE coldchain.shipment SET state = 'delivered', delivered_at = '2026-09-03 06:00Z' WHERE shipment_id = :s1;
SELECT is(judged, '[2026-09-01 06:10Z,2026-09-03 06:00Z)', 'test_readings_are_judged_until_delivery')
	FROM coldchain.assignment WHERE assignment_id = :a;
UPDATE coldchain.shipment SET started_at = '2026-09-01 05:00Z' WHERE shipment_id = :s1;
SELECT is(judged, '[2026-09-01 05:10Z,2026-09-03 06:00Z)', 'test_a_corrected_start_changes_what_is_judged')
	FROM coldchain.assignment WHERE assignment_id = :a;
SELECT set_config('coldfleet.reason', 'moved earlier', true);
UPDATE coldchain.assignment SET during = '[2026-09-01 00:00Z,2026-09-02 00:00Z)' WHERE assignment_id = :a;
SELECT results_eq(format('SELECT version, during, actor, reason FROM coldchain.assignment_version WHERE assignment_id = %s ORDER BY version', :a),
	$$ VALUES (1, '[2026-09-01 00:00Z,)'::tstzrange, 'anna', 'loaded'),
		(2, '[2026-09-01 00:00Z,2026-09-02 00:00Z)', 'anna', 'moved earlier') $$,
	'test_a_corrected_assignment_keeps_its_versions_with_who_and_why');
SELECT is(judged, '[2026-09-01 05:10Z,2026-09-02 00:00Z)', 'test_a_corrected_assignment_is_judged_as_corrected')
	FROM coldchain.assignment WHERE assignment_id = :a;
SELECT is(pg_temp.state_of(format('UPDATE coldchain.assignment SET device_id = %s WHERE assignment_id = %s', :d2, :a)), '23000',
	'test_an_assignment_keeps_its_device');
SELECT is(pg_temp.state_of('DELETE FROM coldchain.assignment'), '23000', 'test_an_assignment_is_never_deleted');
SELECT is(pg_temp.state_of('UPDATE coldchain.assignment_version SET actor = actor'), '23000', 'test_versions_of_assignments_never_change');

-- Profiles in use

SELECT is(pg_temp.state_of(format('UPDATE coldchain.band SET allowed_s = 1 WHERE profile_version_id = %s', :v1)), '23000',
	'test_a_band_in_use_is_never_edited');
SELECT is(pg_temp.state_of(format($$ INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, counting, allowed_s)
	VALUES (%s, 'hotter', 'x', 20, 'single', 0) $$, :v1)), '23000', 'test_a_profile_in_use_gets_no_further_band');
SELECT is(pg_temp.state_of(format('DELETE FROM coldchain.band WHERE profile_version_id = %s', :v1)), '23000', 'test_a_band_in_use_is_never_removed');
SELECT is(pg_temp.state_of(format('UPDATE coldchain.profile_version SET storage_upper_c = 9 WHERE profile_version_id = %s', :v1)), '23000',
	'test_a_version_in_use_is_never_edited');
SELECT is(pg_temp.state_of(format($$ UPDATE coldchain.profile_version SET effective_to = '2026-02-01' WHERE profile_version_id = %s $$, :v1)), '00000',
	'test_a_version_in_use_is_superseded');
SELECT is(pg_temp.state_of(format('UPDATE coldchain.band SET allowed_s = 1 WHERE profile_version_id = %s', :v2)), '00000',
	'test_a_version_that_was_never_used_can_be_edited');

UPDATE coldchain.shipment SET decision = 'quarantined', decided_by = 'anna', decided_at = now(), decision_reason = 'to be looked at'
WHERE shipment_id = :s1;
UPDATE coldchain.shipment SET state = 'closed', closed_at = now() WHERE shipment_id = :s1;
SELECT is(pg_temp.state_of(format($$ UPDATE coldchain.shipment SET decision = 'released' WHERE shipment_id = %s $$, :s1)), '55000',
	'test_nothing_about_a_closed_shipment_changes');
SELECT is(pg_temp.state_of(format($$ UPDATE coldchain.assignment SET during = 'empty' WHERE assignment_id = %s $$, :a)), '55000',
	'test_nothing_about_the_assignments_of_a_closed_shipment_changes');
SELECT is(pg_temp.state_of(format($$ UPDATE coldchain.shipment SET state = 'cancelled', cancelled_at = now() WHERE shipment_id = %s $$, :s2)), '00000',
	'test_a_ready_shipment_can_be_cancelled');

SELECT is_empty($$
	SELECT role, c.oid::regclass, privilege FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_api',
		'coldfleet_analyst']) AS role
	CROSS JOIN pg_class AS c CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
	WHERE c.relnamespace = 'coldchain'::regnamespace AND c.relkind = 'r' AND has_table_privilege(role, c.oid, privilege)
$$, 'test_no_runtime_role_writes_a_table_of_the_cold_chain');
SELECT is_empty($$
	SELECT c.oid::regclass, privilege FROM pg_class AS c CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
	WHERE c.oid IN ('coldchain.excursion'::regclass, 'coldchain.excursion_revision'::regclass, 'coldchain.exposure'::regclass,
		'coldchain.due'::regclass, 'coldchain.assignment_version'::regclass)
		AND has_any_column_privilege('coldfleet_api_definer', c.oid, CASE WHEN privilege IN ('DELETE', 'TRUNCATE') THEN 'INSERT' ELSE privilege END)
$$, 'test_rest_cannot_write_what_was_found');

SELECT * FROM finish();
ROLLBACK;
