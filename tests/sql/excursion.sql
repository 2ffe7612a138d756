-- SPDX-License-Identifier: Apache-2.0
-- Excursions, exposures, figures and their alarms by example; excursion_property.py compares any order with a naive reference.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(64);

SELECT coldchain.put_profile('t-excursion', '{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8, "effective_from": "2026-01-01", "bands": [
	{"code": "hot", "lower_c": 8, "counting": "single", "allowed_s": 1800},
	{"code": "hot-all", "lower_c": 8, "counting": "cumulative", "allowed_s": 3600},
	{"code": "freeze", "upper_c": -0.5, "upper_inclusive": true, "counting": "single", "allowed_s": 0, "irreversible": true}]}') AS version \gset
INSERT INTO coldchain.product (name) VALUES ('t excursion');
SELECT product_id AS product FROM coldchain.product WHERE name = 't excursion' \gset
SELECT telemetry.ensure_partition('2026-09-01 00:00Z');
SELECT telemetry.ensure_partition('2026-09-08 00:00Z');

-- A device in a shipment of a lot, judged from 2026-09-01 00:00 on, measuring every 10 minutes; and how its readings arrive.
CREATE FUNCTION pg_temp.watch(name text, lot text, product int, version int, during tstzrange DEFAULT '[2026-09-01 00:00Z,)') RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	device CONSTANT int := fleet.register_device('excursion-' || name, 'test', 'test', '');
BEGIN
	INSERT INTO coldchain.lot (product_id, number) VALUES (product, lot) ON CONFLICT DO NOTHING;
	INSERT INTO coldchain.shipment (reference, ignore_s, state, started_at) VALUES ('t excursion ' || name, 0, 'shipping', '2026-08-01');
	INSERT INTO coldchain.shipment_lot SELECT s.shipment_id, l.lot_id FROM coldchain.shipment AS s, coldchain.lot AS l
	WHERE s.reference = 't excursion ' || name AND l.product_id = product AND l.number = lot;
	INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)
	SELECT device, s.shipment_id, s.lot_id, version, watch.during, 600 FROM coldchain.shipment_lot AS s JOIN coldchain.shipment USING (shipment_id)
	WHERE reference = 't excursion ' || name;
	RETURN device;
END
$$;
CREATE FUNCTION pg_temp.say(device int, minutes int[], temperatures real[], probe int DEFAULT 0, flag int DEFAULT NULL) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	times CONSTANT timestamptz[] := ARRAY(SELECT timestamptz '2026-09-01 00:00Z' + m * interval '1 minute' FROM unnest(minutes) WITH ORDINALITY AS u (m, n) ORDER BY n);
BEGIN
	INSERT INTO telemetry.reading (device_id, ts, received_at, seq, epoch, probe, temperature_c, flags)
	SELECT device, t, clock_timestamp(), n, 0, probe, c, flag FROM unnest(times, temperatures) WITH ORDINALITY AS u (t, c, n);
	PERFORM telemetry.advance(ARRAY[device], ARRAY[now()], ARRAY[(SELECT max(t) FROM unnest(times) AS t)], NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		ARRAY[(SELECT min(c) FROM unnest(temperatures) AS c WHERE flag IS NULL)],
		ARRAY[(SELECT max(c) FROM unnest(temperatures) AS c WHERE flag IS NULL)], ARRAY[(SELECT min(t) FROM unnest(times) AS t)]);
	RETURN coldchain.evaluate(100);
END
$$;
CREATE FUNCTION pg_temp.stays(device int, band text DEFAULT 'hot') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', e.state, m.start, m.last, coalesce(m.ended::text, '-'), coalesce(m.alarm::text, '-'), e.out_s / 60, e.unobserved_s / 60)
	FROM coldchain.excursion AS e JOIN coldchain.band AS b USING (band_id)
	CROSS JOIN LATERAL (SELECT (extract(epoch FROM e.started_at - '2026-09-01 00:00Z') / 60)::int AS start,
		(extract(epoch FROM e.last_at - '2026-09-01 00:00Z') / 60)::int AS last,
		(extract(epoch FROM e.ended_at - '2026-09-01 00:00Z') / 60)::int AS ended,
		(extract(epoch FROM e.alarm_at - '2026-09-01 00:00Z') / 60)::int AS alarm) AS m
	WHERE e.device_id = device AND b.code = band AND e.state IN ('open', 'ended') ORDER BY e.started_at
$$;
CREATE FUNCTION pg_temp.alarms(device int) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', a.state, to_char(a.raised_at AT TIME ZONE 'UTC', 'HH24:MI'), a.late, a.body ->> 'band') FROM coldchain.alarm AS a
	WHERE a.device_id = device AND a.kind = 'excursion' ORDER BY a.alarm_id
$$;
CREATE FUNCTION pg_temp.changes(device int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(r.change, ' ' ORDER BY r.excursion_id, r.revision) FROM coldchain.excursion_revision AS r
	JOIN coldchain.excursion AS e USING (excursion_id) JOIN coldchain.band AS b USING (band_id) WHERE r.device_id = device AND b.code = 'hot'
$$;
CREATE FUNCTION pg_temp.listed(device int) RETURNS int[] LANGUAGE sql AS $$
	SELECT coalesce(array_agg(f.group_id ORDER BY f.group_id), '{}') FROM fleet.listing AS f WHERE f.device_id = device AND f.in_excursion
$$;

-- A stay that lasts

SELECT pg_temp.watch('a', 'A', :product, :version) AS a \gset
SELECT pg_temp.say(:a, '{0,10}', '{5,8}');
SELECT is_empty(format('SELECT pg_temp.stays(%s)', :a), 'test_a_temperature_at_a_strict_limit_is_within_it');
SELECT is(pg_temp.say(:a, '{20}', '{5}'), 0, 'test_readings_within_the_limits_are_not_evaluated');
SELECT is(pg_temp.say(:a, '{30}', '{9}'), 1, 'test_a_reading_outside_is_evaluated');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :a), ARRAY['open 30 30 - - 0 0'], 'test_a_stay_begins_with_its_first_sample');
SELECT pg_temp.say(:a, '{40,50}', '{9,10}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :a), ARRAY['open 30 50 - - 20 0'], 'test_an_open_stay_follows_its_readings');
SELECT is(pg_temp.changes(:a), 'found', 'test_what_only_goes_on_is_no_revision');
SELECT is(pg_temp.listed(:a), '{0}', 'test_a_device_with_an_open_excursion_is_listed_so');
INSERT INTO fleet.device_group (name) VALUES ('t excursion') RETURNING group_id AS team \gset
INSERT INTO fleet.group_member (group_id, device_id) VALUES (:team, :a);
SELECT is(pg_temp.listed(:a), ARRAY[0, :team], 'test_and_in_the_list_of_a_group_that_it_joins_then');
SELECT is_empty(format('SELECT pg_temp.alarms(%s)', :a), 'test_there_is_no_alarm_before_the_allowed_duration_is_over');
SELECT pg_temp.say(:a, '{60}', '{9}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :a), ARRAY['open 30 60 - 60 30 0'], 'test_the_alarm_is_the_start_plus_the_allowed_duration');
SELECT results_eq(format('SELECT pg_temp.alarms(%s)', :a), ARRAY['raised 01:00 f hot'], 'test_an_alarm_is_raised_at_the_time_of_measurement');
SELECT is(pg_temp.say(:a, '{70}', '{5}'), 1, 'test_while_a_stay_is_open_every_reading_is_evaluated');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :a), ARRAY['ended 30 60 70 60 40 0'], 'test_a_stay_ends_with_the_first_sample_back_in_range');
SELECT results_eq(format('SELECT pg_temp.alarms(%s)', :a), ARRAY['cleared 01:00 f hot'], 'test_the_end_clears_the_alarm');
SELECT is(pg_temp.listed(:a), '{}', 'test_after_its_end_it_is_in_no_list_as_in_an_excursion');
SELECT is(pg_temp.say(:a, '{80}', '{5}'), 0, 'test_after_its_end_readings_within_the_limits_are_not_evaluated');
SELECT is(pg_temp.changes(:a), 'found alarm ended', 'test_each_thing_that_was_said_is_a_revision');
SELECT pg_temp.say(:a, '{90,100,110,120}', '{9,9,9,5}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :a), ARRAY['ended 30 60 70 60 40 0', 'ended 90 110 120 120 30 0'],
	'test_a_single_count_begins_anew_and_reaches_its_limit_when_the_duration_is_over');

-- Judged to an end that readings have not reached

SELECT pg_temp.watch('j', 'J', :product, :version, '[2026-09-01 00:00Z,2026-09-01 02:00Z)') AS j \gset
SELECT pg_temp.say(:j, '{0,10}', '{5,9}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :j), ARRAY['ended 10 10 120 - 10 100'], 'test_a_stay_ends_at_the_latest_with_what_is_judged');
SELECT pg_temp.say(:j, '{20}', '{5}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :j), ARRAY['ended 10 10 20 - 10 0'], 'test_and_when_readings_show_it_it_ended_earlier');
SELECT is(pg_temp.say(:j, '{30}', '{5}'), 0, 'test_after_which_readings_within_the_limits_are_not_evaluated');

-- Late readings

SELECT pg_temp.watch('b', 'B', :product, :version) AS b \gset
SELECT pg_temp.say(:b, '{0,60,70}', '{5,5,5}');
SELECT pg_temp.say(:b, '{10,20,30,40,50}', '{9,9,9,9,9}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :b), ARRAY['ended 10 50 60 40 50 0'], 'test_late_readings_make_the_excursion_that_they_show');
SELECT results_eq(format('SELECT pg_temp.alarms(%s)', :b), ARRAY['cleared 00:40 t hot'], 'test_an_alarm_that_is_found_late_says_so');
SELECT is((SELECT count(*) FROM coldchain.notice WHERE device_id = :b AND type = 'alarm.raised'), 1::bigint, 'test_a_breach_found_late_is_told_once');
SELECT is(pg_temp.say(:b, '{12}', '{10}'), 1, 'test_a_late_reading_of_a_known_breach_is_evaluated');
SELECT is((SELECT count(*) FROM coldchain.notice WHERE device_id = :b AND type = 'alarm.raised'), 1::bigint, 'test_a_known_breach_is_never_told_again');
SELECT pg_temp.say(:b, '{25}', '{5}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :b), ARRAY['ended 10 20 25 - 15 0', 'ended 30 50 60 60 30 0'],
	'test_a_late_reading_in_range_splits_an_excursion');
SELECT is(pg_temp.changes(:b), 'found revised split found', 'test_a_split_is_a_revision_of_the_first_and_a_new_second');
SELECT is((SELECT count(*) FROM coldchain.notice WHERE device_id = :b AND type = 'alarm.raised'), 1::bigint,
	'test_a_part_of_a_known_breach_is_not_told_again');

-- Gaps

SELECT pg_temp.watch('c', 'C', :product, :version) AS c \gset
SELECT pg_temp.say(:c, '{0,10,110,120}', '{5,9,9,5}');
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :c), ARRAY['ended 10 110 120 - 20 90'], 'test_time_between_two_hot_samples_around_an_outage_does_not_count');
SELECT is((worst_alarm_at - timestamptz '2026-09-01 00:00Z')::text, '00:40:00', 'test_the_worst_that_an_outage_may_hide_is_said')
	FROM coldchain.excursion AS e JOIN coldchain.band AS b USING (band_id) WHERE e.device_id = :c AND b.code = 'hot';
SELECT pg_temp.say(:c, '{130,150,170}', '{9,9,5}');
SELECT results_eq(format('SELECT pg_temp.stays(%s) OFFSET 1', :c), ARRAY['ended 130 150 170 160 40 0'], 'test_one_missing_sample_is_no_gap');

-- Faults, probes, ambient

SELECT pg_temp.watch('d', 'D', :product, :version) AS d \gset
SELECT pg_temp.say(:d, '{0,10,20,30,40}', '{5,99,99,99,5}', 0, 1);
SELECT pg_temp.say(:d, '{5,15,25,35}', '{9,9,9,9}', 1);
SELECT is_empty(format('SELECT pg_temp.stays(%s)', :d), 'test_a_fault_is_not_a_temperature_and_another_probe_is_another_matter');
INSERT INTO coldchain.assignment (device_id, probe, shipment_id, lot_id, profile_version_id, role, during, sample_interval_s)
SELECT device_id, 1, shipment_id, lot_id, profile_version_id, 'ambient', during, 600 FROM coldchain.assignment WHERE device_id = :d;
SELECT coldchain.evaluate(10);
SELECT is_empty(format('SELECT pg_temp.stays(%s)', :d), 'test_an_ambient_probe_never_fails_the_product');
UPDATE coldchain.assignment SET role = 'product' WHERE device_id = :d AND probe = 1;
SELECT coldchain.evaluate(10);
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :d), ARRAY['open 5 35 - 35 30 0'], 'test_a_corrected_role_has_everything_computed_anew');
SELECT results_eq(format('SELECT pg_temp.alarms(%s)', :d), ARRAY['raised 00:35 t hot'], 'test_an_assignment_made_after_the_breach_is_a_late_find');
UPDATE coldchain.assignment SET during = '[2026-09-01 00:30Z,)' WHERE device_id = :d AND probe = 1;
SELECT coldchain.evaluate(10);
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :d), ARRAY['open 35 35 - - 0 0'], 'test_an_excursion_begins_with_the_association');
SELECT is(pg_temp.listed(:d), '{0}', 'test_one_found_late_is_listed_too');
SELECT is(pg_temp.changes(:d), 'found revised', 'test_and_its_correction_is_a_revision');
UPDATE coldchain.assignment SET during = 'empty' WHERE device_id = :d AND probe = 1;
SELECT coldchain.evaluate(10);
SELECT is_empty(format('SELECT pg_temp.stays(%s)', :d), 'test_a_withdrawn_association_leaves_none');
SELECT is(pg_temp.changes(:d), 'found revised retracted', 'test_and_is_kept_as_retracted');
SELECT is(pg_temp.listed(:d), '{}', 'test_and_is_not_listed');

-- Cumulative, of a lot

SELECT results_eq(format($$ SELECT band_code COLLATE "default", out_s, alarm_at FROM coldchain.exposure AS x JOIN coldchain.lot AS l USING (lot_id)
	WHERE l.product_id = %s AND l.number = 'A' ORDER BY 1 $$, :product),
	$$ VALUES ('hot', 4200::float8, timestamptz '2026-09-01 01:00Z'), ('hot-all', 4200, '2026-09-01 01:50Z') $$,
	'test_cumulative_time_goes_on_counting_after_a_return');
SELECT pg_temp.watch('e', 'E', :product, :version, '[2026-09-01 00:00Z,2026-09-02 00:00Z)') AS e \gset
SELECT pg_temp.watch('f', 'E', :product, :version, '[2026-09-01 00:00Z,)') AS f \gset
SELECT pg_temp.say(:e, '{0,10,20,30,40}', '{9,9,9,9,5}');
SELECT is((SELECT count(*) FROM coldchain.alarm WHERE device_id IN (:e, :f) AND key LIKE 'lot %'), 0::bigint, 'test_forty_minutes_of_sixty_are_no_alarm');
SELECT pg_temp.say(:f, '{20,30,40,50,60}', '{9,9,9,9,5}');
SELECT results_eq(format($$ SELECT band_code COLLATE "default", out_s, excursions, alarm_at FROM coldchain.exposure AS x JOIN coldchain.lot AS l USING (lot_id)
	WHERE l.product_id = %s AND l.number = 'E' AND band_code = 'hot-all' $$, :product),
	$$ VALUES ('hot-all', 3600::float8, 2, timestamptz '2026-09-01 01:00Z') $$,
	'test_what_two_devices_saw_at_once_counts_once_and_what_each_saw_counts');
SELECT results_eq(format($$ SELECT device_id, to_char(raised_at AT TIME ZONE 'UTC', 'HH24:MI'), late FROM coldchain.alarm
	WHERE device_id IN (%s, %s) AND key LIKE 'lot %%' $$, :e, :f), format($$ VALUES (%s, '01:00', false) $$, :f), 'test_a_lot_that_has_used_up_its_time_is_an_alarm');
SELECT pg_temp.say(:f, '{100,110,120}', '{9,9,5}');
SELECT is((SELECT count(*) FROM coldchain.alarm WHERE device_id IN (:e, :f) AND key LIKE 'lot %'), 1::bigint, 'test_and_one_only');
SELECT results_eq(format($$ SELECT remaining_s, out_s FROM coldchain.lot_figures((SELECT lot_id FROM coldchain.lot WHERE product_id = %s AND number = 'E'))
	WHERE band_code IN ('hot', 'hot-all') ORDER BY band_code $$, :product), $$ VALUES (0::float8, 4800::float8), (0, 4800) $$,
	'test_nothing_is_left_of_the_budget_of_the_lot');
SELECT pg_temp.watch('g-late', 'G', :product, :version) AS g \gset
SELECT pg_temp.say(:g, '{100,110,120,130,140,150}', '{9,9,9,9,5,5}');
SELECT pg_temp.say(:g, '{10,20,30,40}', '{9,9,9,5}');
SELECT results_eq(format($$ SELECT a FROM pg_temp.alarms(%s) AS a WHERE a LIKE '%% hot-all' $$, :g), ARRAY['raised 02:10 t hot-all'],
	'test_a_lot_that_late_readings_show_to_have_used_up_its_time_is_a_late_find');
SELECT pg_temp.watch('h-late', 'H', :product, :version) AS h \gset
SELECT pg_temp.say(:h, '{100,110,120,130}', '{9,9,9,5}');
SELECT pg_temp.say(:h, '{10,20,30}', '{9,9,5}');
SELECT pg_temp.say(:h, '{200,210}', '{9,9}');
SELECT results_eq(format($$ SELECT a FROM pg_temp.alarms(%s) AS a WHERE a LIKE '%% hot-all' $$, :h), ARRAY['raised 03:30 f hot-all'],
	'test_a_stay_that_was_late_and_known_before_does_not_make_it_one');

-- A profile that is superseded

SELECT coldchain.put_profile('t-excursion', '{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8, "effective_from": "2026-02-01", "bands": [
	{"code": "hot", "lower_c": 8, "counting": "single", "allowed_s": 6000}]}') AS version2 \gset
UPDATE coldchain.assignment SET profile_version_id = :version2 WHERE device_id = :b;
SELECT coldchain.evaluate(10);
SELECT results_eq(format('SELECT pg_temp.stays(%s)', :b), ARRAY['ended 10 20 25 - 15 0', 'ended 30 50 60 - 30 0'],
	'test_a_corrected_profile_version_judges_anew');
SELECT is(r.profile_version_id, :version2, 'test_and_the_verdict_names_it') FROM coldchain.excursion_revision AS r
	JOIN coldchain.excursion AS e USING (excursion_id, revision) WHERE e.device_id = :b AND e.state = 'ended' LIMIT 1;

-- Figures

SELECT is(round(coldchain.mkt_c('{20,25,30}')::numeric, 6), 25.858208, 'test_mkt_of_20_25_30');
SELECT is(round(coldchain.mkt_c('{2,8}')::numeric, 6), 5.536425, 'test_mkt_of_2_8');
SELECT is(round(coldchain.mkt_c('{5,25}', '{23,1}')::numeric, 6), 7.756422, 'test_mkt_of_samples_that_stand_for_unequal_times');
SELECT is(round(coldchain.mkt_c('{5,25}')::numeric, 6), 19.697721, 'test_mkt_without_their_weights');
SELECT is(round(coldchain.mkt_c('{-273.15,-273}')::numeric, 2), -253.15, 'test_near_absolute_zero_mkt_says_20_kelvin_and_does_not_underflow');
SELECT assignment_id AS aa FROM coldchain.assignment WHERE device_id = :a \gset
SELECT assignment_id AS ac FROM coldchain.assignment WHERE device_id = :c \gset
SELECT results_eq(format($$ SELECT observed_s, unobserved_s, coverage, samples, gaps, min_c, max_c, round(mean_c::numeric, 4), mkt_missing
	FROM coldchain.figures(ARRAY[%s], '2026-09-01 00:00Z', '2026-09-01 01:00Z') $$, :aa),
	$$ VALUES (3600::float8, 0::float8, 1::float8, 6::bigint, 0::bigint, 5::real, 10::real, 7.6667, NULL) $$, 'test_figures_of_an_hour');
SELECT results_eq(format($$ SELECT observed_s / 60, unobserved_s / 60, gaps, mkt_c, mkt_missing FROM coldchain.figures(ARRAY[%s]) $$, :ac),
	$$ VALUES (80::float8, 90::float8, 1::bigint, NULL::float8, 'coverage') $$, 'test_too_little_was_observed_for_a_mean_kinetic_temperature');
SELECT is(round(mkt_c::numeric, 4) IS NOT NULL, true, 'test_unless_one_asks_for_it') FROM coldchain.figures(ARRAY[:ac], NULL, NULL, 0.3);
SELECT results_eq(format($$ SELECT band_code, in_range_s / 60, out_s / 60, unobserved_s / 60, longest_s / 60, remaining_s / 60, worst_out_s / 60,
		worst_longest_s / 60, worst_remaining_s / 60 FROM coldchain.total WHERE assignment_id = %s ORDER BY 1 $$, :ac),
	$$ VALUES ('freeze', 80::float8, 0::float8, 90::float8, 0::float8, 0::float8, 90::float8, 90::float8, 0::float8),
		('hot', 20, 60, 90, 40, 0, 150, 110, 0), ('hot-all', 20, 60, 90, 40, 0, 150, 110, 0) $$,
	'test_minutes_in_out_and_unobserved_the_rest_and_the_worst');
SELECT is(sum(out_s), (SELECT out_s FROM coldchain.band_figures(ARRAY[:ac]) WHERE band_code = 'hot'), 'test_figures_of_parts_add_up')
	FROM generate_series(0, 6) AS n CROSS JOIN LATERAL coldchain.band_figures(ARRAY[:ac], timestamptz '2026-09-01 00:00Z' + n * interval '25 minutes',
		timestamptz '2026-09-01 00:25Z' + n * interval '25 minutes') AS f WHERE band_code = 'hot';

-- A device that cannot be evaluated

SELECT pg_temp.watch('g', 'G', :product, :version) AS g \gset
SELECT pg_temp.watch('h', 'H', :product, :version) AS h \gset
SELECT coldchain.evaluate(10);
SELECT format($$ CREATE FUNCTION pg_temp.fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.device_id = %s THEN RAISE ''no''; END IF; RETURN new; END' $$, :g) \gexec
CREATE TRIGGER fails BEFORE INSERT ON coldchain.excursion FOR EACH ROW EXECUTE FUNCTION pg_temp.fails();
SET client_min_messages = error;
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
SELECT timestamptz '2026-09-01 00:00Z', now(), d, 0, 0, 0, 9 FROM unnest(ARRAY[:g, :h]) AS d;
SELECT coldchain.mark(ARRAY[:g, :h], array_fill(timestamptz '2026-09-01 00:00Z', ARRAY[2]));
SELECT is(coldchain.evaluate(10), 1, 'test_a_device_that_cannot_be_evaluated_holds_up_no_other');
SELECT results_eq('SELECT device_id FROM coldchain.due', ARRAY[:g], 'test_and_stays_due');

SELECT * FROM finish();
ROLLBACK;
