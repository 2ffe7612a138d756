-- SPDX-License-Identifier: Apache-2.0
-- The fleet as a list: filters, sorts, pages, export, and counts over all of it. A filter is a JSON object with the names
-- of the parameters; requests, exports and dynamic groups are the same to api.device_filter(), which writes it as SQL.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.filter_error(name text, expected text, got text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION '%: expected %, got ''%''', name, expected, left(got, 80) USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.filter_error(text, text, text) IS 'Refuses a value with CF422: which, what was expected, what came.';

CREATE FUNCTION api.duration(name text, value text) RETURNS interval
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN value ~ '^[1-9][0-9]{0,5}[smhd]$'
		THEN rtrim(value, 'smhd')::int * CASE right(value, 1) WHEN 's' THEN interval '1 s' WHEN 'm' THEN interval '1 min'
			WHEN 'h' THEN interval '1 h' ELSE interval '1 day' END
		ELSE api.filter_error(name, 'a duration like 90s, 30m, 12h or 7d', value)::interval END
$$;
COMMENT ON FUNCTION api.duration(text, text) IS 'A whole number of s, m, h or d as an interval; anything else: CF422.';

CREATE FUNCTION api.box_filter(value text, OUT condition text, OUT candidates text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b float8[];
BEGIN
	IF value ~ '^(-?[0-9]{1,3}(\.[0-9]{1,9})?(,|$)){4}$' AND value !~ ',$' THEN
		b := string_to_array(value, ',')::float8[];
	END IF;
	IF b IS NULL OR NOT (b[1] BETWEEN -180 AND 180 AND b[3] BETWEEN -180 AND 180 AND b[2] BETWEEN -90 AND b[4] AND b[4] <= 90) THEN
		PERFORM api.filter_error('bbox', 'west,south,east,north in degrees', value);
	END IF;
	condition := format(CASE WHEN b[1] > b[3] THEN '(s.longitude >= %s OR s.longitude <= %s) AND s.latitude BETWEEN %s AND %s'
		ELSE 's.longitude >= %s AND s.longitude <= %s AND s.latitude BETWEEN %s AND %s' END, b[1], b[3], b[2], b[4]);
	-- As numbers of squares, since arithmetic is not leakproof and row-level security would keep it away from the index.
	IF b[1] <= b[3] AND (b[3] - b[1] + 0.4) * (b[4] - b[2] + 0.4) * 25 <= 4000 THEN
		candidates := format('SELECT device_id FROM telemetry.device_state WHERE cell = ANY (%L)', ARRAY(
			SELECT y * 2000 + x FROM generate_series(floor((b[2] + 90) * 5)::int, floor((b[4] + 90) * 5)::int) AS y,
				generate_series(floor((b[1] + 180) * 5)::int, floor((b[3] + 180) * 5)::int) AS x));
	END IF;
END
$$;
COMMENT ON FUNCTION api.box_filter(text) IS 'A box, west,south,east,north, as in api.device_filter().';

CREATE FUNCTION api.prefix_filter(value text, OUT condition text, OUT candidates text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	bounds text;
BEGIN
	IF value !~ '^[A-Za-z0-9._-]{1,64}$' THEN
		PERFORM api.filter_error('q', 'the first 1 to 64 characters of a serial, an IMEI or an ICCID', value);
	END IF;
	bounds := format('>= %1$L AND %%1$s < %2$L', value, left(value, -1) || chr(ascii(right(value, 1)) + 1));
	condition := 'd.serial ' || format(bounds, 'd.serial');
	candidates := 'SELECT device_id FROM fleet.device WHERE serial ' || format(bounds, 'serial');
	IF value ~ '^[0-9]{1,20}$' THEN
		condition := format('(%s OR EXISTS (SELECT FROM fleet.module AS o WHERE o.device_id = d.device_id AND o.imei %s) OR '
			'EXISTS (SELECT FROM fleet.sim AS i WHERE i.device_id = d.device_id AND i.iccid %s))',
			condition, format(bounds, 'o.imei'), format(bounds, 'i.iccid'));
		candidates := format('%s UNION ALL SELECT device_id FROM fleet.module WHERE imei %s UNION ALL '
			'SELECT device_id FROM fleet.sim WHERE iccid %s AND device_id IS NOT NULL',
			candidates, format(bounds, 'imei'), format(bounds, 'iccid'));
	END IF;
END
$$;
COMMENT ON FUNCTION api.prefix_filter(text) IS 'The beginning of a serial, an IMEI or an ICCID, as in api.device_filter().';

CREATE FUNCTION api.one_of(name text, value text, allowed text DEFAULT '^[^,]{1,64}$') RETURNS text[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	words CONSTANT text[] := string_to_array(value, ',');
BEGIN
	IF cardinality(words) NOT BETWEEN 1 AND 16 OR EXISTS (SELECT FROM unnest(words) AS w WHERE w !~ allowed) THEN
		PERFORM api.filter_error(name, CASE WHEN name = 'state'
			THEN 'registered, active, disabled, quarantined, banned or decommissioned, up to 16 of them with commas between'
			ELSE '1 to 16 values with commas between' END, value);
	END IF;
	RETURN words;
END
$$;
COMMENT ON FUNCTION api.one_of(text, text, text) IS 'A list of values with commas between; CF422 when one is not allowed.';

CREATE FUNCTION api.device_filter(filter jsonb) RETURNS TABLE (condition text, candidates text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	name text;
	value text;
	team fleet.device_group;
	kinds text := '';
BEGIN
	FOR name, value IN SELECT * FROM jsonb_each_text(filter) LOOP
		CASE name
		WHEN 'state' THEN
			condition := format('state = ANY (%L)', api.one_of(name, value,
				'^(registered|active|disabled|quarantined|banned|decommissioned)$'));
		WHEN 'model' THEN
			condition := format('model_id = ANY (%L)', ARRAY(SELECT m.model_id FROM fleet.model AS m
				WHERE m.name = ANY (api.one_of('model', value))));
		WHEN 'firmware' THEN
			condition := format('firmware = ANY (%L)', api.one_of(name, value));
		WHEN 'tag' THEN
			RETURN QUERY SELECT format('(SELECT true FROM fleet.device_tag AS t WHERE t.device_id = d.device_id AND t.tag = %L)', w),
				format('SELECT device_id FROM fleet.device_tag WHERE tag = %L', w)
			FROM unnest(api.one_of(name, value)) AS w;
			CONTINUE;
		WHEN 'group' THEN
			SELECT * INTO team FROM fleet.device_group AS g WHERE g.name = value;
			IF team.group_id IS NULL THEN
				PERFORM api.filter_error('group', 'the name of a group', value);
			ELSIF team.filter IS NOT NULL THEN
				RETURN QUERY SELECT * FROM api.device_filter(team.filter);
			ELSE
				RETURN QUERY SELECT format('(SELECT true FROM fleet.group_member AS g WHERE g.device_id = d.device_id '
					'AND g.group_id = %s)', team.group_id),
					format('SELECT device_id FROM fleet.group_member WHERE group_id = %s', team.group_id);
			END IF;
			CONTINUE;
		WHEN 'q' THEN
			RETURN QUERY SELECT * FROM api.prefix_filter(value);
			CONTINUE;
		WHEN 'silent_for' THEN
			-- The index has minutes; who was never heard is silent since the registration.
			condition := format('coalesce(s.received_at, d.created_at) < %L', now() - api.duration(name, value));
			candidates := format('SELECT device_id FROM telemetry.device_state WHERE heard_minute <= %L',
				now() - api.duration(name, value));
			RETURN NEXT;
			CONTINUE;
		WHEN 'battery_below' THEN
			IF value !~ '^([1-9][0-9]?|100)$' THEN
				PERFORM api.filter_error(name, 'a whole number from 1 to 100', value);
			END IF;
			condition := format('s.battery_step < %s', value);
			candidates := format('SELECT device_id FROM telemetry.device_state WHERE battery_step < %s', value);
			RETURN NEXT;
			CONTINUE;
		WHEN 'bbox' THEN
			RETURN QUERY SELECT * FROM api.box_filter(value);
			CONTINUE;
		ELSE
			PERFORM api.filter_error('filter', 'state, model, firmware, tag, group, q, silent_for, battery_below or bbox', name);
		END CASE;
		kinds := kinds || ' AND d.' || condition;
	END LOOP;
	IF kinds <> '' THEN
		condition := substr(kinds, 6);
		candidates := format('SELECT device_id FROM fleet.device AS d WHERE %s%s%s', condition,
			CASE WHEN NOT filter ? 'state' THEN
				' AND d.state IN (''registered'', ''active'', ''disabled'', ''quarantined'', ''banned'', ''decommissioned'')' END,
			CASE WHEN NOT filter ? 'model' THEN
				format(' AND d.model_id = ANY (%L)', (SELECT array_agg(model_id) FROM fleet.model)) END);
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION api.device_filter(jsonb) IS
	'Filters of GET /v1/devices, all of which a device must meet: each as a condition on d, fleet.device, and s, telemetry.device_state, '
	'and as a statement that finds its devices by an index (NULL: none does). An unknown name or a wrong value: CF422.';

CREATE FUNCTION api.device_sort(sort text, OUT source text, OUT columns text, OUT way text, OUT key text, OUT types text[])
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	way := CASE WHEN sort LIKE '-%' THEN 'DESC' ELSE 'ASC' END;
	CASE ltrim(sort, '-')
	WHEN 'serial' THEN
		source := 'd'; columns := 'd.serial'; key := 'd.serial'; types := '{text}';
	WHEN 'last_seen' THEN
		source := 's'; columns := 's.heard_minute, s.device_id'; types := '{timestamptz,int}';
		key := $k$CASE WHEN s.heard_minute = '-infinity' THEN '-infinity' ELSE to_char(s.heard_minute AT TIME ZONE 'UTC',
			'YYYY-MM-DD"T"HH24:MI"Z"') END || ' ' || s.device_id$k$;
	WHEN 'battery' THEN
		source := 's'; columns := 's.battery_step, s.device_id'; types := '{smallint,int}';
		key := $k$s.battery_step || ' ' || s.device_id$k$;
	ELSE
		PERFORM api.filter_error('sort', 'serial, last_seen or battery, with - before it for the reverse', sort);
	END CASE;
END
$$;
COMMENT ON FUNCTION api.device_sort(text) IS
	'An order of devices as SQL: the table it comes from, its columns, its way, their values as one text, and the types to read it back.';

CREATE FUNCTION api.few_devices(filter jsonb, most int) RETURNS int[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	source text;
	found int[];
	fewest int[];
BEGIN
	FOR source IN
		SELECT f.candidates FROM api.device_filter(filter) AS f WHERE f.candidates IS NOT NULL
		UNION ALL SELECT 'SELECT DISTINCT device_id FROM fleet.group_member WHERE group_id = ANY ((SELECT fleet.scope_groups())::int[])'
		WHERE NOT fleet.scope_all()
	LOOP
		EXECUTE format('SELECT array_agg(device_id) FROM (%s LIMIT %s) AS u', source, most + 1) INTO found;
		IF coalesce(cardinality(found), 0) < coalesce(cardinality(fewest), most + 1) THEN
			fewest := coalesce(found, '{}');
		END IF;
		EXIT WHEN cardinality(fewest) <= most / 16;
	END LOOP;
	RETURN fewest;
END
$$;
COMMENT ON FUNCTION api.few_devices(jsonb, int) IS
	'The devices of the filter that has fewest, if those are at most so many; else NULL.';

-- Two ways to a page, each of bounded work, whatever is combined. Few devices meet one of the filters: look at all of
-- them. Many meet each: walk in the order of the list until the page is full, but past no more than `reach` devices;
-- then the page is short, and `next_key` goes on from there. The planner is not asked to choose: that combinations are
-- rare together, or sit at the far end of the order, is nothing that its statistics know.
CREATE FUNCTION api.device_ids(filter jsonb, sort text, after_key text, max_rows int, OUT ids int[], OUT next_key text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	-- OFFSET 0: one look at the primary key a device, and nothing else that the planner might think of.
	device CONSTANT text := 'CROSS JOIN LATERAL (SELECT * FROM fleet.device AS x WHERE x.device_id = %s.device_id OFFSET 0) AS d';
	state CONSTANT text := 'CROSS JOIN LATERAL (SELECT * FROM telemetry.device_state AS x WHERE x.device_id = d.device_id OFFSET 0) AS s';
	most CONSTANT int := 1500;
	reach CONSTANT int := 3000;
	o record;
	few CONSTANT int[] := api.few_devices(filter, most);
	conditions CONSTANT text := (SELECT coalesce(string_agg(f.condition, ' AND '), 'true') FROM api.device_filter(filter) AS f);
	beyond text := 'true';
	ordered text;
	walk text;
	shown int;
BEGIN
	SELECT * INTO o FROM api.device_sort(sort);
	ordered := replace(o.columns, ',', ' ' || o.way || ',') || ' ' || o.way;
	IF after_key IS NOT NULL THEN
		SELECT format('(%s) %s (%s)', o.columns, CASE o.way WHEN 'ASC' THEN '>' ELSE '<' END,
			string_agg(format('%L::%s', w, o.types[n]), ', ' ORDER BY n))
		INTO beyond FROM string_to_table(after_key, ' ') WITH ORDINALITY AS k (w, n);
	END IF;
	walk := format('SELECT * FROM %s AS %s WHERE %s ORDER BY %s LIMIT %s',
		CASE o.source WHEN 'd' THEN 'fleet.device' ELSE 'telemetry.device_state' END, o.source, beyond, ordered, reach);
	EXECUTE format('SELECT array_agg(device_id ORDER BY n) FILTER (WHERE n <= $2), count(*), max(page_key) FILTER (WHERE n = $2) '
		'FROM (SELECT row_number() OVER (ORDER BY %1$s) AS n, d.device_id, %2$s AS page_key FROM %3$s WHERE %4$s ORDER BY %1$s '
		'LIMIT $2 + 1) AS u', ordered, o.key,
		CASE WHEN few IS NOT NULL THEN
			concat_ws(' ', '(SELECT DISTINCT device_id FROM unnest($1) AS device_id) AS f', format(device, 'f'), state)
		WHEN o.source = 's' THEN concat_ws(' ', format('(%s) AS s', walk), format(device, 's'))
		ELSE concat_ws(' ', format('(%s) AS d', walk), CASE WHEN conditions LIKE '%s.%' THEN state END) END,
		conditions || CASE WHEN few IS NOT NULL THEN ' AND ' || beyond ELSE '' END)
	INTO ids, shown, next_key USING few, max_rows;
	IF shown <= max_rows THEN
		next_key := NULL;
		IF few IS NULL THEN
			EXECUTE format('SELECT %s FROM (%s) AS %s OFFSET %s', o.key, walk, o.source, reach - 1) INTO next_key;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION api.device_ids(jsonb, text, text, int) IS
	'The next devices that meet the filter, in an order, after a key: at most max_rows, maybe fewer, and where to go on (NULL: the end).';

CREATE FUNCTION api.devices(max_rows int, page text, sort text, filter jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	scope CONSTANT text := concat_ws(' ', 'devices', sort, filter);
	found record;
	items text;
BEGIN
	SELECT * INTO found FROM api.device_ids(filter, sort, api.cursor_key(scope, page), max_rows);
	SELECT string_agg(concat('{"serial":', to_json(d.serial), ',"state":', to_json(d.state),
			',"firmware":', api.json_or_null(d.firmware), ',"tags":', api.json_tags(d.tags),
			',"model":', api.json_model(m, d.hardware_revision), ',"latest":', api.json_latest(s), '}'), ',' ORDER BY n)
	INTO items
	FROM unnest(found.ids) WITH ORDINALITY AS f (device_id, n)
	JOIN fleet.device AS d USING (device_id)
	JOIN fleet.model AS m USING (model_id)
	LEFT JOIN telemetry.device_state AS s USING (device_id);
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(api.cursor(scope, found.next_key))::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.devices(int, text, text, jsonb) IS
	'GET /v1/devices: a page of at most max_rows devices that meet the filter, in the order of sort, with their latest state. last_seen '
	'sorts by the minute, battery by whole percents; devices that tie follow each other by number, so no page repeats or skips one '
	'that did not change in between. A cursor of another list: CF400; a wrong filter or sort: CF422.';

CREATE FUNCTION api.csv(value text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN value ~ '[",\n\r]' THEN '"' || replace(value, '"', '""') || '"' ELSE coalesce(value, '') END
$$;
COMMENT ON FUNCTION api.csv(text) IS 'A text as a field of CSV (RFC 4180).';

CREATE FUNCTION api.devices_export(format text, filter jsonb, after_serial text, OUT body text, OUT next text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	found record;
BEGIN
	SELECT * INTO found FROM api.device_ids(filter, 'serial', after_serial, 2000);
	SELECT concat(CASE WHEN format = 'csv' AND after_serial IS NULL THEN 'serial,state,manufacturer,model,hardware_revision,firmware,'
			|| E'tags,imei,iccid,imsi,apn,created_at,last_seen,battery_pct\r\n' END,
		string_agg(CASE format WHEN 'csv' THEN
			concat_ws(',', d.serial, d.state, api.csv(m.manufacturer), api.csv(m.name), api.csv(d.hardware_revision),
				api.csv(d.firmware), array_to_string(d.tags, ' '), coalesce(o.imei, ''), coalesce(i.iccid, ''),
				coalesce(i.imsi, ''), api.csv(i.apn), btrim(api.json_time(d.created_at), '"'),
				coalesce(btrim(api.json_time(s.received_at), '"'), ''), coalesce(s.battery_pct::text, '')) || E'\r\n'
		ELSE concat('{"serial":', to_json(d.serial), ',"state":', to_json(d.state),
			',"manufacturer":', to_json(m.manufacturer), ',"model":', to_json(m.name),
			',"hardware_revision":', api.json_or_null(d.hardware_revision), ',"firmware":', api.json_or_null(d.firmware),
			',"tags":', api.json_tags(d.tags), ',"imei":', api.json_or_null(o.imei), ',"iccid":', api.json_or_null(i.iccid),
			',"imsi":', api.json_or_null(i.imsi), ',"apn":', api.json_or_null(i.apn),
			',"created_at":', api.json_time(d.created_at), ',"last_seen":', coalesce(api.json_time(s.received_at), 'null'),
			',"battery_pct":', coalesce(to_json(s.battery_pct)::text, 'null'), E'}\n') END, '' ORDER BY n))
	INTO body
	FROM unnest(found.ids) WITH ORDINALITY AS f (device_id, n)
	JOIN fleet.device AS d USING (device_id)
	JOIN fleet.model AS m USING (model_id)
	LEFT JOIN fleet.module AS o USING (device_id)
	LEFT JOIN fleet.sim AS i USING (device_id)
	LEFT JOIN telemetry.device_state AS s USING (device_id);
	next := found.next_key;
END
$$;
COMMENT ON FUNCTION api.devices_export(text, jsonb, text) IS
	'GET /v1/devices:export: the next 2,000 devices that meet the filter, by serial number after after_serial (NULL: from the first), '
	'as ndjson or csv; next is where to go on, NULL at the end.';

-- What is counted, over one pass of the fleet. Each grouping set is one list of counts.
CREATE FUNCTION api.count_fleet() RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
-- One pass over each table: the sub-plans of row-level security, never run for a scope of all, lead the planner astray.
SET work_mem = '64MB'
SET enable_nestloop = off
SET enable_indexscan = off
SET enable_sort = off
AS $$
	WITH counted AS (
		SELECT d.state, d.model_id, d.firmware,
			CASE WHEN s.received_at IS NULL THEN 'never' WHEN age <= interval '15 min' THEN '15m' WHEN age <= interval '1 h' THEN '1h'
				WHEN age <= interval '12 h' THEN '12h' WHEN age <= interval '24 h' THEN '24h'
				WHEN age <= interval '7 days' THEN '7d' ELSE 'longer' END AS heard,
			CASE WHEN s.battery_step = 32767 THEN 'unknown' WHEN s.battery_step < 5 THEN '0-5' WHEN s.battery_step < 10 THEN '5-10'
				WHEN s.battery_step < 20 THEN '10-20' WHEN s.battery_step < 50 THEN '20-50' ELSE '50-100' END AS battery,
			count(*) AS n
		FROM fleet.device AS d
		LEFT JOIN telemetry.device_state AS s USING (device_id)
		CROSS JOIN LATERAL (SELECT now() - s.received_at) AS a (age)
		GROUP BY 1, 2, 3, 4, 5
	), served AS (SELECT * FROM counted WHERE state NOT IN ('decommissioned', 'banned'))
	SELECT json_build_object(
		'total', (SELECT coalesce(sum(n), 0) FROM counted),
		'by_state', (SELECT coalesce(json_object_agg(state, c ORDER BY state), '{}') FROM (SELECT state, sum(n) AS c FROM counted GROUP BY 1) AS u),
		'by_model', (SELECT coalesce(json_agg(json_build_object('manufacturer', m.manufacturer, 'name', m.name, 'devices', c,
				'end_of_support', m.end_of_support,
				'support_ended', coalesce(m.end_of_support < (now() AT TIME ZONE 'UTC')::date, false)) ORDER BY c DESC, m.model_id), '[]')
			FROM (SELECT model_id, sum(n) AS c FROM counted GROUP BY 1) AS u JOIN fleet.model AS m USING (model_id)),
		'by_firmware', (SELECT coalesce(json_agg(json_build_object('firmware', nullif(firmware, ''), 'devices', c) ORDER BY c DESC, firmware), '[]')
			FROM (SELECT firmware, sum(n) AS c FROM counted GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100) AS u),
		'last_seen', (SELECT json_object_agg(band, coalesce(c, 0) ORDER BY place)
			FROM unnest(ARRAY['15m', '1h', '12h', '24h', '7d', 'longer', 'never']) WITH ORDINALITY AS b (band, place)
			LEFT JOIN (SELECT heard, sum(n) AS c FROM served GROUP BY 1) AS u ON heard = band),
		'battery_pct', (SELECT json_object_agg(band, coalesce(c, 0) ORDER BY place)
			FROM unnest(ARRAY['0-5', '5-10', '10-20', '20-50', '50-100', 'unknown']) WITH ORDINALITY AS b (band, place)
			LEFT JOIN (SELECT battery, sum(n) AS c FROM served GROUP BY 1) AS u ON battery = band))
$$;
COMMENT ON FUNCTION api.count_fleet() IS
	'Counts the devices in scope by state, model, firmware (the 100 most frequent), time since last heard and battery; the last two '
	'without banned and decommissioned devices. A band of last_seen ends where its name says and begins where the one before ends.';

CREATE FUNCTION api.refresh_summary() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO fleet.summary AS s (scope, body, taken_at, took)
	SELECT fleet.setting('scope'), api.count_fleet(), now(), clock_timestamp() - statement_timestamp()
	ON CONFLICT (scope) DO UPDATE SET body = excluded.body, taken_at = excluded.taken_at,
		took = clock_timestamp() - statement_timestamp()
$$;
COMMENT ON FUNCTION api.refresh_summary() IS 'Counts the fleet in scope anew.';

CREATE FUNCTION api.fleet_summary() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept fleet.summary;
BEGIN
	SELECT * INTO kept FROM fleet.summary AS s WHERE s.scope = fleet.setting('scope');
	IF kept.scope IS NULL THEN
		PERFORM api.refresh_summary();
		SELECT * INTO STRICT kept FROM fleet.summary AS s WHERE s.scope = fleet.setting('scope');
	ELSIF kept.asked_at < now() - interval '1 minute' THEN
		UPDATE fleet.summary AS s SET asked_at = now()
		WHERE s.scope = (SELECT u.scope FROM fleet.summary AS u WHERE u.scope = kept.scope FOR UPDATE SKIP LOCKED);
	END IF;
	RETURN concat('{"taken_at":', api.json_time(kept.taken_at), ',"age_s":',
		round(extract(epoch FROM greatest(now() - kept.taken_at, interval '0')), 1), ',', substr(kept.body::text, 2));
END
$$;
COMMENT ON FUNCTION api.fleet_summary() IS
	'GET /v1/fleet/summary: counts over the fleet in scope as they were taken a moment ago, and how old they are. They are counted here '
	'the first time of a scope; afterwards the background keeps them fresh as long as somebody asks.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
GRANT EXECUTE ON FUNCTION api.devices(int, text, text, jsonb), api.devices_export(text, jsonb, text), api.fleet_summary()
	TO coldfleet_api;

COMMIT;
