-- SPDX-License-Identifier: Apache-2.0
-- The lists of the fleet are what the devices are: rows follow every change, the sweep follows latest state, and pages over
-- random fleets give what a plain query over the tables gives, for any filters, sorts and scopes, however they are found.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(26);
SELECT setseed(0.25);

-- A listing as it should be, from the tables alone.
CREATE VIEW pg_temp.wanted AS
SELECT d.device_id, g.group_id, fleet.heard_step(s.received_at) AS heard, d.model_id, fleet.battery_step(s.battery_pct) AS battery_step,
	fleet.place_step(s.latitude, 90) AS lat_step, fleet.place_step(s.longitude, 180) AS lon_step, d.created_at, d.serial, d.state,
	d.firmware, d.tags, d.device_id IN (SELECT fleet.in_excursion()) AS in_excursion,
	d.device_id IN (SELECT p.device_id FROM telemetry.gap AS p WHERE p.closed_at IS NULL) AS incomplete
FROM fleet.device AS d JOIN telemetry.device_state AS s USING (device_id)
CROSS JOIN LATERAL (SELECT 0 UNION ALL SELECT m.group_id FROM fleet.group_member AS m WHERE m.device_id = d.device_id) AS g (group_id);
CREATE FUNCTION pg_temp.wrong() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM ((TABLE pg_temp.wanted EXCEPT SELECT device_id, group_id, heard, model_id, battery_step, lat_step, lon_step, created_at,
		serial, state, firmware, tags, in_excursion, incomplete FROM fleet.listing)
		UNION ALL (SELECT device_id, group_id, heard, model_id, battery_step, lat_step, lon_step, created_at, serial, state, firmware, tags,
		in_excursion, incomplete FROM fleet.listing EXCEPT TABLE pg_temp.wanted)) AS u
$$;
CREATE FUNCTION pg_temp.round(width int DEFAULT 100000) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1..1000 LOOP
		IF fleet.sweep('0 s', width) THEN
			RETURN n;
		END IF;
	END LOOP;
END
$$;

INSERT INTO fleet.model (manufacturer, name) SELECT 'Maker', 'L' || n FROM generate_series(1, 3) AS n;
INSERT INTO fleet.device (serial, model_id, state, firmware, tags, created_at)
SELECT 'l-' || n, m.ids[1 + n % 3], (ARRAY['active', 'active', 'active', 'disabled', 'registered', 'banned'])[ceil(random() * 6)],
	(ARRAY['', '1.0', '1.1', '2.0'])[ceil(random() * 4)],
	CASE WHEN random() < 0.02 THEN '{rare,x}' WHEN random() < 0.5 THEN '{x}' ELSE '{}' END::text[], now() - random() * interval '9 days'
FROM generate_series(1, 1500) AS n, (SELECT array_agg(model_id ORDER BY model_id) AS ids FROM fleet.model WHERE name IN ('L1', 'L2', 'L3')) AS m;
SELECT is(pg_temp.wrong(), 0::bigint, 'test_new_devices_are_listed');

INSERT INTO fleet.device_group (name) SELECT 'lg' || n FROM generate_series(1, 3) AS n;
SELECT array_agg(group_id ORDER BY name) AS g FROM fleet.device_group WHERE name LIKE 'lg_' \gset
INSERT INTO fleet.group_member (group_id, device_id)
SELECT (:'g'::int[])[n], device_id FROM fleet.device, generate_series(1, 3) AS n WHERE serial LIKE 'l-%' AND random() < 0.5 / n;
SELECT is(pg_temp.wrong(), 0::bigint, 'test_members_of_groups_are_in_their_lists');
UPDATE fleet.device SET state = 'quarantined', firmware = '3.0', tags = '{z}' WHERE serial LIKE 'l-77%';
UPDATE fleet.device SET model_id = (SELECT model_id FROM fleet.model WHERE name = 'L3') WHERE serial LIKE 'l-5%';
SELECT is(pg_temp.wrong(), 0::bigint, 'test_what_people_change_is_listed_at_once');
DELETE FROM fleet.group_member WHERE device_id % 5 = 0;
INSERT INTO fleet.device_group (name) VALUES ('gone') RETURNING group_id AS gone \gset
INSERT INTO fleet.group_member (group_id, device_id) SELECT :gone, device_id FROM fleet.device;
SELECT is(pg_temp.wrong(), 0::bigint, 'test_a_group_of_all_devices_is_listed');
DELETE FROM fleet.device_group WHERE group_id = :gone;
SELECT is(pg_temp.wrong(), 0::bigint, 'test_who_leaves_a_group_leaves_its_list');

UPDATE telemetry.device_state SET received_at = CASE WHEN random() < 0.9 THEN now() - random() * random() * interval '8 days' END,
	battery_pct = CASE WHEN random() < 0.95 THEN random() * 101 - 0.5 END, latitude = CASE WHEN random() < 0.9 THEN -90 + random() * 180 END,
	longitude = -180 + random() * 360;
-- One device in eight misses something, one in four once did; some of either, of more than one epoch.
INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen, closed_at)
SELECT device_id, epoch, 10, 19, CASE WHEN n % 3 = 0 THEN '{[10,20)}' ELSE '{}' END::int4multirange, '{}', now(), CASE WHEN n % 3 > 0 THEN now() END
FROM (SELECT device_id, epoch, ceil(random() * 1000)::int AS n FROM fleet.device, generate_series(0, 1) AS epoch
      WHERE serial LIKE 'l-%' AND random() < 0.2) AS g;
SELECT cmp_ok(pg_temp.wrong(), '>', 2000::bigint, 'test_latest_state_alone_changes_no_list');
SELECT set_config('l.devices', (SELECT max(device_id) FROM fleet.device)::text, true);
SELECT is(pg_temp.round(250), ceil(current_setting('l.devices')::int / 250.0)::int, 'test_a_round_of_the_sweep_is_its_width_at_a_time');
SELECT is(pg_temp.wrong(), 0::bigint, 'test_after_a_round_the_lists_are_as_latest_state');
SELECT is(fleet.sweep('1 h'), false, 'test_a_sweep_keeps_its_pace');
SELECT is((SELECT as_of = began_at AND after_device_id = 0 FROM fleet.sweep_state), true, 'test_a_whole_round_says_when_it_began');
UPDATE telemetry.device_state SET battery_pct = -1e30, latitude = 'NaN', longitude = 'Infinity' WHERE device_id % 7 = 0;
SELECT lives_ok('SELECT fleet.sweep(''0 s'', 100000, 10)', 'test_no_value_of_a_channel_stops_the_sweep');
SELECT is((SELECT count(DISTINCT device_id) FROM fleet.listing WHERE lon_step IS NULL) BETWEEN 3 AND 10, true,
	'test_a_piece_of_the_sweep_changes_no_more_than_it_may');
SELECT is(pg_temp.round(), 1 + (SELECT count(*) FROM fleet.device WHERE device_id % 7 = 0)::int / 5000, 'test_the_sweep_goes_on_where_it_ended');
SELECT is(pg_temp.wrong(), 0::bigint, 'test_values_out_of_bounds_have_steps');

-- One device in six is in an excursion.
SELECT coldchain.put_profile('l', '{"source": "test", "storage_upper_c": 8, "bands": [{"code": "hot", "lower_c": 8, "allowed_s": 0}]}') AS version \gset
INSERT INTO coldchain.product (name) VALUES ('l');
INSERT INTO coldchain.lot (product_id, number) SELECT product_id, 'l' FROM coldchain.product WHERE name = 'l';
INSERT INTO coldchain.shipment (reference) VALUES ('l');
INSERT INTO coldchain.shipment_lot SELECT shipment_id, lot_id FROM coldchain.shipment, coldchain.lot WHERE reference = 'l' AND number = 'l';
INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during)
SELECT device_id, shipment_id, lot_id, :version, '[2026-01-01,)'
FROM coldchain.shipment_lot JOIN coldchain.lot USING (lot_id), (SELECT device_id FROM fleet.device WHERE serial LIKE 'l-%' AND random() < 0.17) AS d
WHERE number = 'l';
INSERT INTO coldchain.excursion (state, device_id, probe, assignment_id, band_id, algorithm, started_at, last_at, out_s, unobserved_s, min_c, max_c,
	samples, observed)
SELECT 'open', device_id, 0, assignment_id, band_id, 1, now(), now(), 0, 0, 9, 9, 1, '{}'
FROM coldchain.assignment AS a JOIN coldchain.shipment USING (shipment_id) JOIN coldchain.band USING (profile_version_id) WHERE reference = 'l';
SELECT cmp_ok(pg_temp.wrong(), '>', 150::bigint, 'test_excursions_alone_change_no_list');
SELECT fleet.relist_excursions(ARRAY(SELECT device_id FROM fleet.device), ARRAY(SELECT fleet.in_excursion()));
SELECT is(pg_temp.wrong(), 0::bigint, 'test_who_is_in_an_excursion_is_listed_so');
SELECT fleet.fill_listing();
SELECT is(pg_temp.wrong(), 0::bigint, 'test_lists_made_anew_are_the_same');

-- Pages, against a plain query. Random filters, each with one chance in three.

CREATE FUNCTION pg_temp.pick(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN random() < 0.34 THEN words[ceil(random() * cardinality(words))] END
$$;
CREATE FUNCTION pg_temp.random_filter() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('state', pg_temp.pick('active', 'disabled', 'active,banned', 'quarantined', 'decommissioned'),
		'model', pg_temp.pick('L1', 'L2,L3', 'L3', 'nosuch'), 'firmware', pg_temp.pick('1.0', '1.0,2.0', '1.1', '3.0'),
		'tag', pg_temp.pick('x', 'rare', 'rare,x', 'z', 'nosuch'), 'group', pg_temp.pick('lg1', 'lg2', 'lg3', 'weak'),
		'silent_for', pg_temp.pick('1m', '12h', '3d', '8d'), 'battery_below', pg_temp.pick('1', '20', '50', '100'),
		'bbox', pg_temp.pick('-10,30,40,70', '170,-90,-170,90', '-180,-90,180,90', '0,0,0.3,0.3'),
		'in_excursion', pg_temp.pick('true', 'false'), 'incomplete', pg_temp.pick('true', 'false'), 'q', pg_temp.pick('l-1', 'l-77', 'l-', '8949', '3')))
$$;
INSERT INTO fleet.sim (device_id, iccid) SELECT device_id, '89490' || lpad(device_id::text, 14, '0') FROM fleet.device WHERE device_id % 4 = 0;
INSERT INTO fleet.device_group (name, filter) VALUES ('weak', '{"battery_below": 30, "tag": "x"}');
CREATE FUNCTION pg_temp.naive(filter jsonb, sort text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	f jsonb;
	found int[];
BEGIN
	f := filter;
	SELECT array_agg(d.device_id ORDER BY CASE WHEN sort LIKE '%serial' THEN d.serial END COLLATE "C",
		CASE WHEN sort LIKE '%last_seen' THEN coalesce(floor(extract(epoch FROM s.received_at) / 60), -1) END,
		CASE WHEN sort LIKE '%battery' THEN coalesce(greatest(-1, least(101, floor(s.battery_pct))), 32767) END, d.device_id)
	INTO found
	FROM fleet.device AS d JOIN telemetry.device_state AS s USING (device_id) JOIN fleet.model AS m USING (model_id)
	WHERE (f ->> 'state' IS NULL OR d.state = ANY (string_to_array(f ->> 'state', ',')))
		AND (f ->> 'model' IS NULL OR m.name = ANY (string_to_array(f ->> 'model', ',')))
		AND (f ->> 'firmware' IS NULL OR d.firmware = ANY (string_to_array(f ->> 'firmware', ',')))
		AND (f ->> 'tag' IS NULL OR d.tags @> string_to_array(f ->> 'tag', ','))
		AND (f ->> 'group' IS NULL OR f ->> 'group' = 'weak' OR EXISTS (SELECT FROM fleet.group_member AS n
			JOIN fleet.device_group AS g USING (group_id) WHERE n.device_id = d.device_id AND g.name = f ->> 'group'))
		AND (f ->> 'group' IS DISTINCT FROM 'weak' OR s.battery_pct < 30 AND 'x' = ANY (d.tags))
		AND (f ->> 'silent_for' IS NULL OR coalesce(s.received_at, d.created_at) < now() - (f ->> 'silent_for')::interval)
		AND (f ->> 'battery_below' IS NULL OR s.battery_pct < (f ->> 'battery_below')::int)
		AND (f ->> 'bbox' IS NULL OR (SELECT s.latitude BETWEEN b[2] AND b[4] AND CASE WHEN b[1] <= b[3] THEN s.longitude BETWEEN b[1] AND b[3]
			ELSE s.longitude >= b[1] OR s.longitude <= b[3] END FROM (SELECT string_to_array(f ->> 'bbox', ',')::float8[]) AS v (b)))
		AND (f ->> 'in_excursion' IS NULL OR (f ->> 'in_excursion')::boolean = EXISTS (SELECT FROM coldchain.excursion AS e
			WHERE e.device_id = d.device_id AND e.state = 'open'))
		AND (f ->> 'incomplete' IS NULL OR (f ->> 'incomplete')::boolean = EXISTS (SELECT FROM telemetry.gap AS p
			WHERE p.device_id = d.device_id AND p.closed_at IS NULL))
		AND (f ->> 'q' IS NULL OR starts_with(d.serial, f ->> 'q') OR EXISTS (SELECT FROM fleet.sim AS i
			WHERE i.device_id = d.device_id AND starts_with(i.iccid, f ->> 'q')))
		AND (current_setting('coldfleet.scope') = '*' OR EXISTS (SELECT FROM fleet.group_member AS n
			WHERE n.device_id = d.device_id AND n.group_id = ANY (string_to_array(nullif(current_setting('coldfleet.scope'), '*'), ',')::int[])));
	RETURN CASE WHEN sort LIKE '-%' THEN (SELECT array_agg(i ORDER BY n DESC) FROM unnest(found) WITH ORDINALITY AS u (i, n)) ELSE found END;
END
$$;
CREATE FUNCTION pg_temp.walk(filter jsonb, sort text, size int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	page jsonb;
	next text;
	seen text[] := '{}';
BEGIN
	FOR n IN 1..4000 LOOP
		page := api.devices(size, next, sort, filter)::jsonb;
		seen := seen || ARRAY(SELECT d ->> 'serial' FROM jsonb_array_elements(page -> 'items') WITH ORDINALITY AS e (d, place) ORDER BY place);
		next := page ->> 'next';
		EXIT WHEN next IS NULL;
	END LOOP;
	RETURN (SELECT array_agg(d.device_id ORDER BY n) FROM unnest(seen) WITH ORDINALITY AS s (serial, n) JOIN fleet.device AS d USING (serial));
END
$$;
CREATE FUNCTION pg_temp.differ(rounds int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	groups CONSTANT int[] := (SELECT array_agg(group_id ORDER BY name) FROM fleet.device_group WHERE name LIKE 'lg_');
	filter jsonb;
	sort text;
	size int;
	wanted int[];
BEGIN
	FOR n IN 1..rounds LOOP
		PERFORM set_config('coldfleet.scope', CASE n % 4 WHEN 0 THEN '*' WHEN 1 THEN groups[1]::text WHEN 2 THEN groups[3]::text
			ELSE array_to_string(groups[2:], ',') END, true);
		filter := pg_temp.random_filter();
		sort := (ARRAY['serial', '-serial', 'last_seen', '-last_seen', 'battery', '-battery'])[ceil(random() * 6)];
		size := (ARRAY[3, 20, 100, 1000])[ceil(random() * 4)];
		-- The name of a group out of scope is no group.
		CONTINUE WHEN filter ? 'group' AND filter ->> 'group' <> 'weak' AND n % 4 <> 0;
		CONTINUE WHEN filter ->> 'group' = 'weak' AND n % 4 <> 0;
		wanted := pg_temp.naive(filter, sort);
		IF pg_temp.walk(filter, sort, size) IS DISTINCT FROM wanted THEN
			RETURN NEXT format('%s by %s, %s a page, in scope %s', filter, sort, size, current_setting('coldfleet.scope'));
		END IF;
	END LOOP;
END
$$;
SELECT is_empty('SELECT pg_temp.differ(200)', 'test_pages_give_what_a_plain_query_gives');

-- The same with fences every 20 devices, as if the fleet were large: at first never taken whole, then as statistics advise.
CREATE FUNCTION pg_temp.few_listed() RETURNS text LANGUAGE sql AS $$ SELECT prosrc FROM pg_proc WHERE oid = 'api.few_listed(text)'::regprocedure $$;
SELECT quote_literal(pg_temp.few_listed()) AS advised \gset
CREATE OR REPLACE FUNCTION api.few_listed(source text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
INSERT INTO fleet.fence (group_id, sort, serial, step, device_id)
SELECT group_id, 'serial', serial, 0, device_id FROM fleet.listing WHERE random() < 0.05
UNION ALL SELECT group_id, 'last_seen', '', heard, device_id FROM fleet.listing WHERE random() < 0.05
UNION ALL SELECT group_id, 'battery', '', battery_step, device_id FROM fleet.listing WHERE random() < 0.05;
SELECT is_empty('SELECT pg_temp.differ(120)', 'test_pages_that_end_at_fences_give_what_a_plain_query_gives');
ANALYZE fleet.listing;
CREATE OR REPLACE FUNCTION api.few_listed(source text) RETURNS boolean LANGUAGE plpgsql AS :advised;
SELECT is_empty('SELECT pg_temp.differ(120)', 'test_pages_of_few_devices_give_what_a_plain_query_gives');

-- Between two rounds of the sweep.

UPDATE telemetry.device_state SET received_at = now(), battery_pct = 90, latitude = 50, longitude = 10
FROM fleet.device AS d WHERE d.device_id = device_state.device_id AND serial LIKE 'l-1%';
SELECT set_config('coldfleet.scope', '*', true);
SELECT is((SELECT array_agg(u ORDER BY u) FROM unnest(pg_temp.walk('{"silent_for": "1h"}', 'serial', 100)) AS u),
	(SELECT array_agg(u ORDER BY u) FROM unnest(pg_temp.naive('{"silent_for": "1h"}', 'serial')) AS u), 'test_who_is_silent_is_exact_at_any_time');
SELECT is((SELECT count(*) FROM jsonb_array_elements(api.devices(1000, NULL, 'serial', '{"q": "l-1", "battery_below": 90}')::jsonb -> 'items')),
	0::bigint, 'test_a_device_that_no_longer_meets_the_filter_is_not_shown');
UPDATE telemetry.gap SET missing = '{}', closed_at = now() FROM fleet.device AS d WHERE d.device_id = gap.device_id AND serial LIKE 'l-1%' AND closed_at IS NULL;
INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen)
SELECT device_id, 2, 0, 9, '{[0,10)}', '{}', now() FROM fleet.device WHERE serial LIKE 'l-2%';
SELECT is((SELECT count(*) FROM unnest(pg_temp.walk('{"q": "l-1", "incomplete": "true"}', 'serial', 100))), 0::bigint,
	'test_a_device_that_misses_nothing_any_more_is_not_shown_as_incomplete');
SELECT is((SELECT count(*) FROM unnest(pg_temp.walk('{"q": "l-2", "incomplete": "false"}', 'serial', 100))), 0::bigint,
	'test_a_device_that_misses_something_is_not_shown_as_complete');
SELECT pg_temp.round();
SELECT is((SELECT count(*) FROM unnest(pg_temp.walk('{"q": "l-2", "incomplete": "true"}', 'serial', 100))),
	(SELECT count(*) FROM fleet.device WHERE serial LIKE 'l-2%'), 'test_who_misses_something_is_found_after_the_round');
SELECT is((SELECT count(*) FROM jsonb_array_elements(api.devices(1000, NULL, 'serial', '{"q": "l-1", "battery_below": 91, "bbox": "9,49,11,51"}')::jsonb
	-> 'items')), (SELECT count(*) FROM fleet.device WHERE serial LIKE 'l-1%'), 'test_one_that_meets_it_is_found_after_the_round');

SELECT * FROM finish();
ROLLBACK;
