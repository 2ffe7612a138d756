-- SPDX-License-Identifier: Apache-2.0
-- Calibration records: which one holds when, what was measured without one or beyond what it covers, that none is ever edited, and who
-- may record and see them.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(84);
SET LOCAL TimeZone = 'Asia/Tokyo';

CREATE FUNCTION pg_temp.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || CASE WHEN sqlstate = '23514' THEN ' ' || split_part(sqlerrm, ':', 1) ELSE '' END;
END
$$;
-- A certificate of two points, and whatever else.
CREATE FUNCTION pg_temp.body(certificate text, day text, until text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('certificate', certificate, 'laboratory', 'Lab', 'calibrated_on', day, 'valid_until', until,
		'points', '[{"reference_c": 2, "indicated_c": 2.1, "uncertainty_c": 0.12}, {"reference_c": 8, "indicated_c": 7.8, "uncertainty_c": 0.12}]'::jsonb)
		|| more)
$$;
CREATE FUNCTION pg_temp.put(device int, certificate text, day text, until text, more jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
	SELECT id FROM coldchain.put_calibration(device, pg_temp.body(certificate, day, until, more))
$$;
CREATE FUNCTION pg_temp.valid(id int) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', to_char(lower(valid) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), to_char(upper(valid) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), CASE WHEN latest THEN 'latest' END)
	FROM coldchain.calibration WHERE calibration_id = id
$$;
CREATE FUNCTION pg_temp.at(device int, at timestamptz) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT c.certificate FROM coldchain.calibration AS c WHERE c.calibration_id = s.calibration_id), s.lack)
	FROM coldchain.calibration_spans(device, 0::smallint) AS s WHERE s.during @> at
$$;

SELECT fleet.register_device('calibration-1', 'test', 'test', '') AS d1 \gset
SELECT fleet.register_device('calibration-2', 'test', 'test', '') AS d2 \gset
SELECT set_config('coldfleet.actor', 'anna', true), set_config('coldfleet.reason', 'yearly', true);

-- Which one holds

SELECT is(pg_temp.at(:d1, '2026-01-01Z'), 'never', 'test_a_probe_that_was_never_calibrated_has_no_calibration');
SELECT pg_temp.put(:d1, 'C-1', '2024-03-01', '2025-02-28') AS c1 \gset
SELECT is(pg_temp.valid(:c1), '2024-03-01 2025-03-01 latest', 'test_a_calibration_holds_from_its_day_to_the_end_of_its_last_day_in_utc');
SELECT is(pg_temp.at(:d1, '2024-02-29 23:59:59Z'), 'not-yet', 'test_before_the_first_calibration_there_is_none_yet');
SELECT is(pg_temp.at(:d1, '2025-02-28 23:59:59Z'), 'C-1', 'test_the_last_day_counts_to_its_end');
SELECT is(pg_temp.at(:d1, '2025-03-01 00:00Z'), 'expired', 'test_a_calibration_expires');
SELECT pg_temp.put(:d1, 'C-2', '2024-12-01', '2025-11-30') AS c2 \gset
SELECT is(pg_temp.valid(:c1), '2024-03-01 2024-12-01', 'test_a_newer_calibration_ends_the_one_before');
SELECT is(pg_temp.valid(:c2), '2024-12-01 2025-12-01 latest', 'test_the_newest_is_the_latest');
SELECT pg_temp.put(:d1, 'C-0', '2023-06-01', '2024-05-31') AS c0 \gset
SELECT is(pg_temp.valid(:c0), '2023-06-01 2024-03-01', 'test_one_that_is_recorded_late_holds_until_the_next_began');
SELECT is(coldchain.calibration_state(c, '2024-12-02Z'), CASE c.certificate WHEN 'C-2' THEN 'valid' ELSE 'superseded' END,
	'test_the_state_of_' || c.certificate) FROM coldchain.calibration AS c WHERE c.device_id = :d1;
SELECT is(coldchain.calibration_state(c, '2027-01-01Z'), 'expired', 'test_the_latest_expires') FROM coldchain.calibration AS c WHERE calibration_id = :c2;
SELECT pg_temp.put(:d1, 'C-2b', '2024-12-01', '2025-10-31') AS c2b \gset
SELECT is(pg_temp.valid(:c2) || '/' || pg_temp.valid(:c2b), '/2024-12-01 2025-11-01 latest', 'test_of_two_of_one_day_the_one_recorded_last_holds');
SELECT coldchain.void_calibration(:c2b, 'of another probe');
SELECT is(pg_temp.valid(:c2b) || '/' || pg_temp.valid(:c2), '/2024-12-01 2025-12-01 latest', 'test_a_void_record_holds_never_and_gives_way_to_the_one_before');
SELECT coldchain.void_calibration(:c2, 'scanned badly');
SELECT is(pg_temp.valid(:c1), '2024-03-01 2025-03-01 latest', 'test_what_the_void_one_ended_goes_on');
SELECT is(pg_temp.at(:d1, '2025-05-01Z'), 'void', 'test_where_only_a_void_record_would_hold_it_says_so');
SELECT is(pg_temp.at(:d1, '2026-05-01Z'), 'expired', 'test_after_the_void_record_it_is_expired');
SELECT is_empty($$ SELECT FROM coldchain.calibration AS a JOIN coldchain.calibration AS b USING (device_id, probe)
	WHERE a.calibration_id < b.calibration_id AND a.valid && b.valid $$, 'test_no_two_calibrations_of_a_probe_overlap');
SELECT pg_temp.put(:d1, 'P-1', '2024-01-01', '2024-12-31', '{"probe": 1, "probe_serial": "PT-77", "fitted_on": "2024-04-01"}') AS p1 \gset
SELECT is(pg_temp.valid(:p1), '2024-04-01 2025-01-01 latest', 'test_a_probe_that_was_fitted_later_is_calibrated_from_then_on');
SELECT is(pg_temp.valid(:c1), '2024-03-01 2025-03-01 latest', 'test_probes_are_calibrated_each_for_itself');
SELECT pg_temp.put(:d2, 'M', '2024-03-01', NULL, '{"interval_months": 12}') AS m \gset
SELECT is(valid_until, '2025-02-28', 'test_an_interval_ends_on_the_day_before') FROM coldchain.calibration WHERE calibration_id = :m;

-- The same again, and something else

SELECT is(pg_temp.put(:d1, 'C-1', '2024-03-01', '2025-02-28'), :c1, 'test_the_same_certificate_again_is_the_record_that_is_there');
SELECT is((SELECT count(*) FROM coldchain.calibration_point WHERE calibration_id = :c1), 2::bigint, 'test_and_adds_no_point');
SELECT is(pg_temp.state_of(format('SELECT pg_temp.put(%s, %L, %L, %L, %L)', :d1, 'C-1', '2024-03-01', '2025-02-28', m)), '23505',
	'test_the_same_certificate_with_other_' || m || '_is_refused')
FROM unnest(ARRAY['{"method": "bath"}', '{"upper_c": 9}', '{"points": [{"reference_c": 2, "indicated_c": 2, "uncertainty_c": 0.12}, {"reference_c": 8, "indicated_c": 7.8, "uncertainty_c": 0.12}]}']) AS m;

-- What no certificate says

SELECT is(pg_temp.state_of(format('SELECT pg_temp.put(%s, %L, %L, %L, %L)', :d1, 'X', day, until, more)), '23514 ' || field, 'test_' || field || '_is_refused: ' || more)
FROM (VALUES ('calibrated_on', '1999-12-31', '2001-01-01', '{}'), ('calibrated_on', '2199-01-01', '2199-12-01', '{}'),
	('valid_until', '2024-01-01', NULL, '{}'), ('valid_until', '2024-01-02', '2024-01-01', '{}'), ('valid_until', '2024-01-02', '2035-01-01', '{}'),
	('interval_months', '2024-01-01', '2025-01-01', '{"interval_months": 12}'), ('fitted_on', '2024-01-02', '2025-01-01', '{"fitted_on": "2024-01-01"}'),
	('points', '2024-01-01', '2025-01-01', '{"points": []}'),
	('points', '2024-01-01', '2025-01-01', '{"points": [{"status": "as-found", "reference_c": 2, "indicated_c": 2, "uncertainty_c": 0.1}]}'),
	('points.reference_c', '2024-01-01', '2025-01-01', '{"lower_c": 3}'),
	('points.uncertainty_c', '2024-01-01', '2025-01-01', '{"points": [{"reference_c": 2, "indicated_c": 2, "uncertainty_c": 0.00001}]}'),
	('lower_c', '2024-01-01', '2025-01-01', '{"lower_c": 9}')) AS v (field, day, until, more);

-- Nobody edits one

SELECT is(pg_temp.state_of(statement), '23000', 'test_refused: ' || statement) FROM unnest(ARRAY[
	format('UPDATE coldchain.calibration SET valid_until = valid_until + 1 WHERE calibration_id = %s', :c1),
	format('UPDATE coldchain.calibration SET void_reason = ''x'' WHERE calibration_id = %s', :c2),
	'DELETE FROM coldchain.calibration', 'UPDATE coldchain.calibration_point SET indicated_c = 2']) AS statement;
SELECT is(pg_temp.state_of(format('SELECT coldchain.void_calibration(%s, ''again'')', :c2)), 'P0002', 'test_a_record_is_voided_once');
SELECT is(pg_temp.state_of(format('SELECT coldchain.void_calibration(%s, '' '')', :c1)), '23514 reason', 'test_voiding_needs_a_reason');

-- Points

SELECT results_eq(format('SELECT error_c::text, coverage_factor::text FROM coldchain.calibration_point WHERE calibration_id = %s ORDER BY point', :c1),
	$$ VALUES ('0.1000', '2.0000'), ('-0.2000', '2.0000') $$, 'test_an_error_is_what_was_indicated_less_the_reference_and_k_is_2_unless_said');
SELECT is((coldchain.calibration_nearest(:c1, t)).reference_c::int, e, 'test_the_point_nearest_to_' || t) FROM (VALUES (-20.0, 2), (5, 2), (5.1, 8)) AS v (t, e);
SELECT is(coldchain.calibration_nearest(:c1, NULL), NULL, 'test_no_temperature_has_no_nearest_point');

-- What was measured without one, or beyond it: two days of an hour each sample; the calibration ends with the first

SELECT date_trunc('day', now() - interval '3 days', 'UTC') AS day \gset
SELECT telemetry.ensure_partition(:'day'), telemetry.ensure_partition(:'day'::timestamptz + interval '1 day');
SELECT coldchain.put_profile('calibration-test', '{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8,
	"bands": [{"code": "warm", "lower_c": 8, "counting": "single", "allowed_s": 3600}]}') AS profile \gset
INSERT INTO coldchain.product (name) VALUES ('calibration test') RETURNING product_id AS product \gset
INSERT INTO coldchain.lot (product_id, number) VALUES (:product, 'C1') RETURNING lot_id AS lot \gset
INSERT INTO coldchain.shipment (reference, ignore_s, state, started_at, delivered_at)
VALUES ('calibration', 0, 'delivered', :'day', :'day'::timestamptz + interval '2 days') RETURNING shipment_id AS shipment \gset
INSERT INTO coldchain.shipment_lot (shipment_id, lot_id) VALUES (:shipment, :lot);
INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)
VALUES (:d2, :shipment, :lot, :profile, tstzrange(:'day', NULL), 3600) RETURNING assignment_id AS assignment \gset
INSERT INTO telemetry.reading (device_id, ts, received_at, seq, epoch, probe, temperature_c)
SELECT :d2, :'day'::timestamptz + n * interval '1 hour', now(), n, 0, 0, CASE WHEN n IN (5, 6) THEN 8.5 WHEN n = 7 THEN 8 ELSE 5 END FROM generate_series(0, 47) AS n;
-- Excursions, told apart by the hour they begin in: within the first day, beyond the range, to the end of the day, past it, after it.
INSERT INTO coldchain.excursion (state, device_id, probe, assignment_id, band_id, algorithm, started_at, last_at, ended_at, out_s, unobserved_s, min_c, max_c, samples, observed)
SELECT 'ended', :d2, 0, :assignment, (SELECT band_id FROM coldchain.band WHERE profile_version_id = :profile), 1, :'day'::timestamptz + h.first * interval '1 hour',
	:'day'::timestamptz + h.last * interval '1 hour', :'day'::timestamptz + (h.last + 1) * interval '1 hour', 3600, 0, 5, h.max_c, 1, '{}'
FROM (VALUES (4, 4, 5), (5, 6, 8.5), (22, 23, 5), (23, 24, 5), (30, 31, 5)) AS h (first, last, max_c);
CREATE FUNCTION pg_temp.excursions(device int) RETURNS TABLE (hour int, without boolean) LANGUAGE sql AS $$
	SELECT (extract(epoch FROM started_at) / 3600)::int - min((extract(epoch FROM started_at) / 3600)::int) OVER () + 4, outside_calibration
	FROM analytics.excursion WHERE device_id = device ORDER BY started_at
$$;
CREATE FUNCTION pg_temp.figures(assignment int) RETURNS TABLE (what text, samples bigint, observed_h float8, beyond bigint, beyond_h float8) LANGUAGE sql AS $$
	SELECT coalesce((SELECT c.certificate FROM coldchain.calibration AS c WHERE c.calibration_id = f.calibration_id), f.lack), f.samples, f.observed_s / 3600,
		f.beyond_samples, f.beyond_s / 3600
	FROM coldchain.calibration_figures(ARRAY[assignment]) AS f ORDER BY f.first_at
$$;
SELECT results_eq(format('SELECT * FROM pg_temp.figures(%s)', :assignment), $$ VALUES ('expired', 48::bigint, 48::float8, 0::bigint, 0::float8) $$,
	'test_everything_is_measured_without_a_calibration_that_expired_long_ago');
SELECT pg_temp.put(:d2, 'N', (:'day'::timestamptz AT TIME ZONE 'UTC' - interval '100 days')::date::text, (:'day'::timestamptz AT TIME ZONE 'UTC')::date::text) AS n \gset
SELECT results_eq(format('SELECT * FROM pg_temp.figures(%s)', :assignment),
	$$ VALUES ('N', 24::bigint, 24::float8, 2::bigint, 2::float8), ('expired', 24, 24, 0, 0) $$,
	'test_what_was_measured_after_the_end_and_beyond_the_range_is_told_and_the_end_of_the_range_is_within');
CREATE FUNCTION pg_temp.flags(device int) RETURNS TABLE (within bigint, beyond bigint, without bigint) LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE NOT outside_calibration), count(*) FILTER (WHERE outside_calibration AND calibration_id IS NOT NULL),
		count(*) FILTER (WHERE outside_calibration AND calibration_id IS NULL)
	FROM analytics.reading WHERE device_id = device
$$;
SELECT results_eq(format('SELECT * FROM pg_temp.flags(%s)', :d2), $$ VALUES (22::bigint, 2::bigint, 24::bigint) $$,
	'test_analysts_see_of_each_reading_whether_it_is_within_a_calibration');
SELECT results_eq(format('SELECT hour, without FROM pg_temp.excursions(%s)', :d2), $$ VALUES (4, false), (5, true), (22, false), (23, true), (30, true) $$,
	'test_and_of_each_excursion_whether_all_of_it_is');
SELECT pg_temp.put(:d2, 'O', (:'day'::timestamptz AT TIME ZONE 'UTC')::date::text, (:'day'::timestamptz AT TIME ZONE 'UTC' + interval '1 year')::date::text, '{"upper_c": 8.5}') AS o \gset
SELECT results_eq(format('SELECT * FROM pg_temp.figures(%s)', :assignment), $$ VALUES ('O', 48::bigint, 48::float8, 0::bigint, 0::float8) $$,
	'test_a_record_that_comes_after_the_readings_covers_them');
SELECT results_eq(format('SELECT * FROM pg_temp.flags(%s)', :d2), $$ VALUES (48::bigint, 0::bigint, 0::bigint) $$, 'test_for_analysts_too');
SELECT pg_temp.put(:d2, 'O-2', (:'day'::timestamptz AT TIME ZONE 'UTC' + interval '1 day')::date::text,
	(:'day'::timestamptz AT TIME ZONE 'UTC' + interval '1 year')::date::text, '{"upper_c": 8.5}') AS o2 \gset
SELECT results_eq(format('SELECT hour, without FROM pg_temp.excursions(%s)', :d2), $$ VALUES (4, false), (5, false), (22, false), (23, false), (30, false) $$,
	'test_an_excursion_may_begin_under_one_calibration_and_go_on_under_the_next');
SELECT coldchain.void_calibration(:o2, 'no more of it');
SELECT results_eq(format('SELECT mean_c::numeric(5,2), min_c, max_c FROM coldchain.calibration_figures(ARRAY[%s])', :assignment),
	$$ VALUES (5.21, 5::real, 8.5::real) $$, 'test_temperatures_stay_as_the_device_gave_them');

-- For analysts

INSERT INTO analytics.day (day, device_id, probe, samples, faults, min_c, max_c, observed_s, weighted_cs, kinetic_s)
SELECT :'day'::timestamptz + n * interval '1 day', :d2, 0, 24 * (1 - n / 3), 0, 5, CASE n WHEN 1 THEN 9 ELSE 8.5 END, 86400, 432000, 0 FROM generate_series(-200, 3) AS n
WHERE n IN (-200, -1, 0, 1, 3);
SELECT results_eq(format($$ SELECT extract(day FROM day - %L::timestamptz)::int, why FROM analytics.outside_calibration WHERE device_id = %s ORDER BY day $$, :'day', :d2),
	$$ VALUES (-200, 'expired'), (-1, 'beyond'), (1, 'beyond') $$, 'test_days_without_a_calibration_or_beyond_it_are_found');
SELECT pg_temp.put(:d2, 'D-1', '2024-06-01', '2025-05-31', '{"probe": 3}'), pg_temp.put(:d2, 'D-2', '2025-06-01', '2026-05-31', '{"probe": 3, "points": [
	{"status": "as-found", "reference_c": 2, "indicated_c": 2.5, "uncertainty_c": 0.1}, {"status": "as-found", "reference_c": 8, "indicated_c": 7.7, "uncertainty_c": 0.1},
	{"reference_c": 2, "indicated_c": 2, "uncertainty_c": 0.1}, {"reference_c": 5, "indicated_c": 5.05, "uncertainty_c": 0.2}]}');
SELECT results_eq(format('SELECT certificate COLLATE "default", points, worst_error_c::text, worst_uncertainty_c::text, drift_c::text FROM analytics.calibration WHERE device_id = %s AND probe = 3 '
	'ORDER BY valid_from', :d2), $$ VALUES ('D-1', 2, '-0.2', '0.12', NULL), ('D-2', 4, '0.05', '0.2', '0.4') $$,
	'test_drift_is_what_was_found_less_what_was_left_by_the_calibration_before');

-- Audit, and who sees and records

SELECT set_config('coldfleet.actor', 'bert', true), set_config('coldfleet.reason', 'wrong probe', true);
SELECT coldchain.void_calibration(:o, 'wrong probe');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT results_eq(format($$ SELECT e ->> 'action', e ->> 'kind', e ->> 'actor', e ->> 'reason', e #>> '{new,certificate}', e #>> '{new,void_reason}'
	FROM (SELECT number, convert_from(canonical, 'UTF8')::jsonb AS e FROM audit.entry WHERE kind = 'calibration' AND id = '%s') AS t ORDER BY number $$, :o),
	$$ VALUES ('created', 'calibration', 'anna', 'yearly', 'O', NULL), ('changed', 'calibration', 'bert', 'wrong probe', NULL, 'wrong probe') $$,
	'test_recording_and_voiding_are_in_the_audit_trail_with_who_and_why');
SELECT is((SELECT count(*) FROM audit.entry WHERE kind = 'calibration_point' AND id LIKE :'o' || '/%'), 2::bigint, 'test_so_are_its_points');
SELECT is_empty($$
	SELECT r, t, p FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api', 'coldfleet_analyst',
		'coldfleet_api_definer']) AS r, unnest(ARRAY['coldchain.calibration', 'coldchain.calibration_point']) AS t,
		unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p
	WHERE has_table_privilege(r, t, p) OR (p IN ('INSERT', 'UPDATE') AND has_any_column_privilege(r, t, p))
$$, 'test_no_program_writes_records_but_through_functions');
SELECT set_config('coldfleet.scope', '999999', true);
SET LOCAL ROLE coldfleet_api_definer;
SELECT (SELECT count(*) FROM coldchain.calibration) + (SELECT count(*) FROM coldchain.calibration_point) AS seen \gset
RESET ROLE;
SELECT is(:seen, 0, 'test_records_of_devices_outside_the_scope_of_a_call_are_not_seen');
SET LOCAL ROLE coldfleet_analyst;
SELECT count(*) AS seen FROM coldchain.calibration_figures(ARRAY[:assignment]) \gset
RESET ROLE;
SELECT is(:seen, 2, 'test_analysts_ask_for_the_figures');
SELECT is_empty($$ SELECT r, f FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api',
	'coldfleet_analyst']) AS r, unnest(ARRAY['coldchain.put_calibration(int, jsonb)', 'coldchain.void_calibration(int, text)']) AS f
	WHERE has_function_privilege(r, f, 'EXECUTE') $$, 'test_no_program_records_or_voids_but_through_rest');

-- What is due soon alarms

SELECT fleet.register_device('calibration-9', 'test', 'due', '') AS d9 \gset
CREATE FUNCTION pg_temp.due(device int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM coldchain.watch_calibration(1000), coldchain.watch_due(1000);
	RETURN (SELECT string_agg(concat_ws(' ', a.body ->> 'certificate', 'p' || a.probe, a.state, (a.body ->> 'valid_until')::date - a.raised_at::date), ', ' ORDER BY a.alarm_id)
		FROM coldchain.alarm AS a WHERE a.kind = 'calibration' AND a.device_id = device);
END
$$;
SET LOCAL TimeZone = 'UTC';
SELECT pg_temp.put(:d9, 'A-1', (current_date - 300)::text, (current_date + 40)::text, '{"probe": 2}') AS a1 \gset
SELECT is(pg_temp.due(:d9), NULL, 'test_a_calibration_that_holds_for_40_days_is_not_due');
INSERT INTO coldchain.alarm_rule (kind, device_id, below) VALUES ('calibration', :d9, 60);
SELECT is(pg_temp.due(:d9), 'A-1 p2 raised 59', 'test_where_the_rule_says_60_days_it_is_due_from_60_days_before_its_end');
SELECT is(pg_temp.due(:d9), 'A-1 p2 raised 59', 'test_and_alarms_once');
SELECT pg_temp.put(:d9, 'A-2', current_date::text, (current_date + 300)::text, '{"probe": 2}') AS a2 \gset
SELECT is(state, 'cleared', 'test_a_new_record_clears_it_at_once') FROM coldchain.alarm WHERE kind = 'calibration' AND device_id = :d9;
SELECT coldchain.void_calibration(:a2, 'of another probe');
SELECT is(pg_temp.due(:d9), 'A-1 p2 raised 59', 'test_when_that_is_void_the_one_before_is_due_still');
SELECT pg_temp.put(:d9, 'A-3', (current_date - 400)::text, (current_date - 40)::text) AS a3 \gset
SELECT is(pg_temp.due(:d9), 'A-1 p2 raised 59, A-3 p0 raised 59', 'test_one_that_is_over_alarms_too_each_probe_for_itself');
UPDATE fleet.device SET state = 'decommissioned' WHERE device_id = :d9;
SELECT coldchain.void_calibration(:a1, 'x'), pg_temp.put(:d9, 'A-4', (current_date - 390)::text, (current_date - 30)::text, '{"probe": 2}');
SELECT is(pg_temp.due(:d9), 'A-1 p2 cleared 59, A-3 p0 cleared 59', 'test_devices_out_of_service_are_not_due');
SET LOCAL TimeZone = 'Asia/Tokyo';

-- REST

SELECT fleet.register_device('calibration-' || n, 'test', 'test', '') FROM generate_series(3, 5) AS n;
SELECT api.begin(sha256(convert_to(fleet.create_token('olga', 'operator'), 'UTF8')), 'operator', 'req-1');
CREATE FUNCTION pg_temp.post(serial text, certificate text, until date, more jsonb DEFAULT '{}') RETURNS api.answer LANGUAGE sql AS $$
	SELECT api.calibration_create(serial, pg_temp.body(certificate, (current_date - 300)::text, until::text, more))
$$;
SELECT (a).* FROM pg_temp.post('calibration-3', 'R/1', current_date + 10, '{"reason": "new"}') AS a \gset r_
SELECT is(:'r_status' || :'r_location', '201/v1/calibrations/' || (:'r_body'::jsonb ->> 'id'), 'test_a_record_is_made_over_rest');
SELECT is(:'r_body'::jsonb #> '{points,1}', '{"status": "as-left", "reference_c": 8, "indicated_c": 7.8, "error_c": -0.2, "correction_c": 0.2,
	"uncertainty_c": 0.12, "coverage_factor": 2}', 'test_a_point_is_told_with_its_error_and_correction');
SELECT is((pg_temp.post('calibration-3', 'R/1', current_date + 10, '{"reason": "again"}')).status, 200, 'test_the_same_again_is_the_same');
SELECT throws_ok($$ SELECT pg_temp.post('calibration-3', 'R/1', current_date + 11) $$, 'CF409', NULL, 'test_another_under_its_number_is_refused');
SELECT throws_ok($$ SELECT pg_temp.post('calibration-3', 'R/2', current_date - 400) $$, 'CF422', NULL, 'test_a_wrong_one_is_refused');
SELECT throws_ok($$ SELECT pg_temp.post('calibration-0', 'R/2', current_date) $$, 'CF404', NULL, 'test_of_an_unknown_device_there_is_none');
SELECT pg_temp.post('calibration-4', 'R/4', current_date - 20), pg_temp.post('calibration-4', 'R/5', current_date - 30, '{"probe": 1}'),
	pg_temp.post('calibration-5', 'R/6', current_date - 40);
UPDATE fleet.device SET state = 'decommissioned' WHERE serial = 'calibration-5';
SELECT coldchain.void_calibration(id, 'not for this list') FROM unnest(ARRAY[:n, :c1, :c0]) AS id;
CREATE FUNCTION pg_temp.walk(due timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	page text;
	told text;
	cursor_ text;
BEGIN
	LOOP
		page := api.calibrations(due, 1, cursor_);
		told := concat_ws(' ', told, page::jsonb #>> '{items,0,certificate}');
		cursor_ := page::jsonb ->> 'next';
		EXIT WHEN cursor_ IS NULL;
	END LOOP;
	RETURN told;
END
$$;
SELECT is(pg_temp.walk(NULL), 'P-1 M D-2 R/5 R/4 R/1', 'test_what_is_due_is_listed_page_by_page_without_devices_that_are_gone');
SELECT is(pg_temp.walk(now() + interval '5 days'), 'P-1 M D-2 R/5 R/4', 'test_what_is_due_by_then_is_listed');
SELECT is(string_agg(i ->> 'certificate', ' '), e, 'test_records_of_a_device_' || coalesce('of probe ' || probe, 'are listed'))
FROM (VALUES (NULL::int, 'R/5 R/4'), (1, 'R/5'), (7, NULL)) AS v (probe, e)
LEFT JOIN LATERAL jsonb_array_elements(api.device_calibrations('calibration-4', probe, 10, NULL)::jsonb -> 'items') AS i ON true GROUP BY probe, e;
SELECT is((api.calibration_void((:'r_body'::jsonb ->> 'id')::int, '{"reason": "typing error"}')).body::jsonb -> 'state', '"void"', 'test_a_record_is_voided');

SELECT * FROM finish();
ROLLBACK;
