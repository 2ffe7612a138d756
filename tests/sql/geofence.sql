-- SPDX-License-Identifier: Apache-2.0
-- Stages of a shipment that begin and end where its trackers have been, in whatever order their positions come.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(28);

SELECT fleet.register_device('geofence-1', 'geofence', 'x', '') AS a \gset
SELECT date_trunc('hour', now()) - interval '2 days' AS began \gset
SELECT telemetry.ensure_partition(:'began'::timestamptz + n * interval '12 hours') FROM generate_series(0, 4) AS n;
SELECT api.enter('geofence', NULL, 'admin', NULL, 'admin', NULL);
SELECT api.geofence_create('{"place": "Lagos", "latitude": 6.5, "longitude": 3.3, "radius_m": 500}'),
	api.geofence_create('{"place": "4012345000016", "latitude": 6.6, "longitude": 3.3, "radius_m": 500}'),
	api.geofence_create('{"place": "Ikorodu", "latitude": 6.7, "longitude": 3.3, "radius_m": 500}');

CREATE FUNCTION pg_temp.made(reference text, legs text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	id CONSTANT int := ((api.shipment_create(jsonb_build_object('reference', reference, 'geofenced', true, 'ignore_s', 0, 'legs', legs::jsonb,
		'lane', '{"origin": "Lagos", "destination": "Ikorodu"}'::jsonb,
		'lots', jsonb_build_array(jsonb_build_object('product', 'Hepatitis B vaccine', 'number', reference))))).body::jsonb ->> 'id')::int;
BEGIN
	RETURN id;
END
$$;
CREATE FUNCTION pg_temp.watch(id int, serial text, starts timestamptz, ends timestamptz) RETURNS void LANGUAGE sql AS $$
	SELECT api.assignment_create(id, jsonb_build_object('serial', serial, 'profile', 'hepatitis-b', 'from', starts, 'to', ends))
$$;
-- A position so many minutes after the beginning, so far from Lagos as this latitude says.
CREATE FUNCTION pg_temp.at(minutes int, north double precision, blur real DEFAULT 10) RETURNS void LANGUAGE sql AS $$
	INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, latitude, longitude, accuracy_m)
	SELECT date_trunc('hour', now()) - interval '2 days' + minutes * interval '1 minute', now(), device_id, minutes, 0, 0, north, 3.3, blur
	FROM fleet.device WHERE serial = 'geofence-1';
	SELECT coldchain.stages_move(array_agg(device_id)) FROM fleet.device WHERE serial = 'geofence-1'
$$;
-- State, and by which minute it left and arrived.
CREATE FUNCTION pg_temp.stands(id int) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', state, extract(epoch FROM started_at - (date_trunc('hour', now()) - interval '2 days'))::int / 60,
		extract(epoch FROM delivered_at - (date_trunc('hour', now()) - interval '2 days'))::int / 60) FROM coldchain.shipment WHERE shipment_id = id
$$;
CREATE FUNCTION pg_temp.legs(id int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', leg, extract(epoch FROM started_at - (date_trunc('hour', now()) - interval '2 days'))::int / 60, started_how,
		extract(epoch FROM ended_at - (date_trunc('hour', now()) - interval '2 days'))::int / 60, ended_how), ', ' ORDER BY leg)
	FROM coldchain.leg WHERE shipment_id = id
$$;

-- One stage

SELECT pg_temp.made('one', '[]') AS one \gset
SELECT pg_temp.watch(:one, 'geofence-1', :'began', :'began'::timestamptz + interval '10 hours');
SELECT pg_temp.at(5, 6.4);
SELECT is(pg_temp.stands(:one), 'ready', 'test_who_was_never_at_the_origin_has_not_left_it');
SELECT pg_temp.at(10, 6.5), pg_temp.at(20, 6.503);
SELECT is(pg_temp.stands(:one), 'ready', 'test_within_the_circle_it_waits');
SELECT pg_temp.at(25, 6.51, 2000);
SELECT is(pg_temp.stands(:one), 'ready', 'test_a_position_that_may_be_within_does_not_begin_it');
SELECT pg_temp.at(40, 6.55);
SELECT is(pg_temp.stands(:one), 'shipping 40', 'test_it_leaves_at_the_moment_of_the_position_that_shows_it');
SELECT pg_temp.at(35, 6.52);
SELECT is(pg_temp.stands(:one), 'shipping 40', 'test_what_comes_late_does_not_move_what_was_said');
SELECT pg_temp.at(50, 6.5);
SELECT is(pg_temp.stands(:one), 'shipping 40', 'test_back_at_the_origin_it_is_still_under_way');
SELECT pg_temp.at(38, 6.7);
SELECT is(pg_temp.stands(:one), 'shipping 40', 'test_what_was_measured_before_it_left_does_not_deliver_it');
SELECT pg_temp.at(90, 6.701);
SELECT is(pg_temp.stands(:one), 'delivered 40 90', 'test_it_arrives_within_the_circle_of_the_destination');
SELECT pg_temp.at(85, 6.7), pg_temp.at(120, 6.5), pg_temp.at(130, 6.55);
SELECT is(pg_temp.stands(:one), 'delivered 40 90', 'test_and_stays_delivered');
SET CONSTRAINTS audit.chain IMMEDIATE;
SELECT is((SELECT array_agg(DISTINCT c ->> 'reason' ORDER BY c ->> 'reason') FROM (SELECT convert_from(canonical, 'UTF8')::jsonb AS c FROM audit.entry WHERE kind = 'shipment') AS e
	WHERE c ->> 'reason' LIKE '%geofence of%'), '{geofence-1 entered the geofence of Ikorodu,geofence-1 left the geofence of Lagos}', 'test_the_trail_says_why');

-- Two legs, all of whose positions come at once, a person between

SELECT pg_temp.made('two', '[{"origin": "Lagos", "destination": "4012345000016"}, {"origin": "4012345000016", "destination": "Ikorodu"}]') AS two \gset
SELECT pg_temp.watch(:two, 'geofence-1', :'began'::timestamptz + interval '10 hours', NULL);
SELECT is(pg_temp.legs(:two), '1, 2', 'test_no_leg_has_begun');
SELECT (api.shipment_get(:two)).body::jsonb ->> 'geofenced' AS geofenced \gset
SELECT is(:'geofenced'::text, 'true', 'test_rest_tells_that_it_is_geofenced');
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, latitude, longitude)
SELECT :'began'::timestamptz + n * interval '1 minute', now(), :a, n, 0, 0, north, 3.3 FROM (VALUES (700, 6.5), (710, 6.55), (720, 6.6), (725, 6.6), (730, 6.65)) AS v (n, north);
SELECT coldchain.stages_move(ARRAY[:a]);
SELECT is(pg_temp.legs(:two), '1 710 geofence 720 geofence, 2 730 geofence', 'test_several_stages_move_at_once');
SELECT is(pg_temp.stands(:two), 'shipping 710', 'test_the_first_leg_begins_the_shipment');
SELECT throws_ok(format('SELECT api.leg_change(%s, 2, ''{"started_at": "%s"}'', ''*'')', :two, :'began'::timestamptz + interval '715 minutes'), 'CF422', NULL,
	'test_a_leg_begins_after_the_one_before');
SELECT api.leg_change(:two, 2, jsonb_build_object('started_at', :'began'::timestamptz + interval '726 minutes', 'reason', 'seen at the gate'), '*');
SELECT is(pg_temp.legs(:two), '1 710 geofence 720 geofence, 2 726 person', 'test_a_person_corrects_it');
SELECT pg_temp.at(780, 6.7);
SELECT is(pg_temp.legs(:two), '1 710 geofence 720 geofence, 2 726 person 780 geofence', 'test_and_the_geofence_goes_on_from_there');
SELECT is(pg_temp.stands(:two), 'delivered 710 780', 'test_the_end_of_the_last_leg_delivers_it');

-- Whatever people correct, it must not fail: the job that looks would fail again and again, and with it all conditions

SELECT pg_temp.made('three', '[{"origin": "Lagos", "destination": "Ikorodu"}]') AS three \gset
SELECT api.assignment_change(:two, assignment_id, jsonb_build_object('to', :'began'::timestamptz + interval '800 minutes', 'reason', 'x'), '*')
FROM coldchain.assignment WHERE shipment_id = :two;
SELECT pg_temp.watch(:three, 'geofence-1', :'began'::timestamptz + interval '800 minutes', NULL);
SELECT pg_temp.at(810, 6.5), pg_temp.at(820, 6.55);
SELECT is(pg_temp.stands(:three), 'shipping 820', 'test_a_third_leaves');
SELECT api.shipment_change(:three, jsonb_build_object('started_at', :'began'::timestamptz + interval '900 minutes', 'reason', 'x'), '*');
SELECT pg_temp.at(850, 6.7);
SELECT pg_temp.at(910, 6.7);
SELECT is(pg_temp.stands(:three), 'delivered 900 910', 'test_it_arrives_after_the_start_that_a_person_said');

-- A leg that nobody ended does not hold up those after it that a person began, and none begins before what came before it ended

SELECT api.assignment_change(:three, assignment_id, jsonb_build_object('to', :'began'::timestamptz + interval '1000 minutes', 'reason', 'x'), '*')
FROM coldchain.assignment WHERE shipment_id = :three;
SELECT pg_temp.made('four', '[{"origin": "Lagos", "destination": "Sagamu"}, {"origin": "Sagamu", "destination": "Ikorodu"}, {"origin": "Ikorodu", "destination": "4012345000016"}]') AS four \gset
SELECT pg_temp.watch(:four, 'geofence-1', :'began'::timestamptz + interval '1000 minutes', NULL);
SELECT pg_temp.at(1010, 6.5), pg_temp.at(1020, 6.55);
SELECT api.leg_change(:four, 2, jsonb_build_object('started_at', :'began'::timestamptz + interval '1060 minutes', 'reason', 'nobody said when it came'), '*');
SELECT pg_temp.at(1080, 6.7);
SELECT is(pg_temp.legs(:four), '1 1020 geofence, 2 1060 person 1080 geofence, 3', 'test_a_leg_that_a_person_began_ends_though_the_one_before_was_left_open');
SELECT throws_ok(format('SELECT api.leg_change(%s, 1, ''{"ended_at": "%s"}'', ''*'')', :four, :'began'::timestamptz + interval '1070 minutes'), 'CF422', NULL,
	'test_the_open_one_does_not_end_after_the_next_began');
SELECT api.leg_change(:four, 2, '{"started_at": null, "ended_at": null, "reason": "it went past"}', '*');
SELECT throws_ok(format('SELECT api.leg_change(%s, 3, ''{"started_at": "%s"}'', ''*'')', :four, :'began'::timestamptz + interval '1015 minutes'), 'CF422', NULL,
	'test_a_leg_that_was_left_out_does_not_let_the_next_begin_before_the_first');
SELECT api.leg_change(:four, 3, jsonb_build_object('started_at', :'began'::timestamptz + interval '1090 minutes', 'reason', 'x'), '*');
SELECT pg_temp.at(1085, 6.6), pg_temp.at(1100, 6.6);
SELECT is(pg_temp.stands(:four), 'delivered 1020 1100', 'test_the_last_leg_delivers_it_past_those_that_are_open');
SELECT api.assignment_change(:four, assignment_id, jsonb_build_object('to', :'began'::timestamptz + interval '1200 minutes', 'reason', 'x'), '*')
FROM coldchain.assignment WHERE shipment_id = :four;
SELECT pg_temp.made('five', '[{"origin": "Lagos", "destination": "4012345000016"}, {"origin": "4012345000016", "destination": "Ikorodu"}]') AS five \gset
SELECT pg_temp.watch(:five, 'geofence-1', :'began'::timestamptz + interval '1200 minutes', NULL);
SELECT pg_temp.at(1210, 6.5), pg_temp.at(1220, 6.55);
SELECT api.leg_change(:five, 2, jsonb_build_object('started_at', :'began'::timestamptz + interval '1230 minutes', 'ended_at', :'began'::timestamptz + interval '1240 minutes',
	'reason', 'told by telephone'), '*');
SELECT pg_temp.at(1250, 6.6);
SELECT is(pg_temp.legs(:five), '1 1220 geofence, 2 1230 person 1240 person', 'test_a_leg_does_not_end_after_a_later_one_that_a_person_ended');

-- Of whom a look asks

CREATE FUNCTION pg_temp.moved() RETURNS SETOF int LANGUAGE sql AS $$
	SELECT unnest(n.moved) FROM coldchain.watch_state AS w, coldchain.watch_news(w.seen) AS n
$$;
UPDATE telemetry.device_state SET received_at = now() WHERE device_id = :a;
SELECT is_empty('SELECT pg_temp.moved()', 'test_a_tracker_that_never_told_its_position_moves_nothing');
UPDATE telemetry.device_state SET position_ts = now() WHERE device_id = :a;
SELECT results_eq('SELECT pg_temp.moved()', ARRAY[:a], 'test_one_that_did_is_looked_at_while_its_shipment_is_under_way');
UPDATE coldchain.shipment SET geofenced = false WHERE shipment_id = :five;
SELECT is_empty('SELECT pg_temp.moved()', 'test_and_geofenced');

SELECT * FROM finish();
ROLLBACK;
