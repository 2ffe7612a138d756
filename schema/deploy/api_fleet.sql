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

-- A filter as SQL. What a device must meet for it, said three times: `condition` of d, fleet.device, and s,
-- telemetry.device_state, exactly; `listed` of f, fleet.listing, within its indexes, whose steps may be a moment old; `checked`
-- of f and s, what is left to be looked at of a row that was found. condition = listed AND checked, once steps are fresh.
CREATE TYPE api.device_terms AS (condition text[], listed text[], checked text[], sources text[], team int);
COMMENT ON TYPE api.device_terms IS
	'Filters of GET /v1/devices as SQL: conditions, all of which a device must meet, exactly (condition) or in two steps (listed, then '
	'checked); statements each of which finds all that meet one of them; the group in whose list the devices are (NULL: any).';

CREATE FUNCTION api.box_terms(value text) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b float8[];
	t api.device_terms;
	over_line boolean;
BEGIN
	IF value ~ '^(-?[0-9]{1,3}(\.[0-9]{1,9})?(,|$)){4}$' AND value !~ ',$' THEN
		b := string_to_array(value, ',')::float8[];
	END IF;
	IF b IS NULL OR NOT (b[1] BETWEEN -180 AND 180 AND b[3] BETWEEN -180 AND 180 AND b[2] BETWEEN -90 AND b[4] AND b[4] <= 90) THEN
		PERFORM api.filter_error('bbox', 'west,south,east,north in degrees', value);
	END IF;
	over_line := b[1] > b[3];
	t.condition := ARRAY[format(CASE WHEN over_line THEN '(s.longitude >= %s OR s.longitude <= %s) AND s.latitude BETWEEN %s AND %s'
		ELSE 's.longitude >= %s AND s.longitude <= %s AND s.latitude BETWEEN %s AND %s' END, b[1], b[3], b[2], b[4])];
	t.checked := t.condition;
	t.listed := ARRAY[format(CASE WHEN over_line THEN '(f.lon_step >= %s OR f.lon_step <= %s) AND f.lat_step >= %s AND f.lat_step <= %s'
		ELSE 'f.lon_step >= %s AND f.lon_step <= %s AND f.lat_step >= %s AND f.lat_step <= %s' END,
		floor((b[1] + 180) * 5), floor((b[3] + 180) * 5), floor((b[2] + 90) * 5), floor((b[4] + 90) * 5))];
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.box_terms(text) IS 'A box, west,south,east,north, as in api.device_filter().';

CREATE FUNCTION api.prefix_terms(value text) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t api.device_terms;
	bounds text;
	meets text;
BEGIN
	IF value !~ '^[A-Za-z0-9._-]{1,64}$' THEN
		PERFORM api.filter_error('q', 'the first 1 to 64 characters of a serial, an IMEI or an ICCID', value);
	END IF;
	bounds := format('>= %1$L AND %%1$s < %2$L', value, left(value, -1) || chr(ascii(right(value, 1)) + 1));
	IF value !~ '^[0-9]{1,20}$' THEN
		t.listed := ARRAY['f.serial ' || format(bounds, 'f.serial')];
		t.condition := ARRAY['d.serial ' || format(bounds, 'd.serial')];
		RETURN t;
	END IF;
	meets := format('(%%1$s.serial %s OR EXISTS (SELECT FROM fleet.module AS o WHERE o.device_id = %%1$s.device_id AND o.imei %s) OR '
		'EXISTS (SELECT FROM fleet.sim AS i WHERE i.device_id = %%1$s.device_id AND i.iccid %s))',
		format(bounds, '%1$s.serial'), format(bounds, 'o.imei'), format(bounds, 'i.iccid'));
	t.condition := ARRAY[format(meets, 'd')];
	t.checked := ARRAY[format(meets, 'f')];
	t.sources := ARRAY[format('SELECT device_id FROM fleet.device WHERE serial %s UNION ALL '
		'SELECT device_id FROM fleet.module WHERE imei %s UNION ALL SELECT device_id FROM fleet.sim WHERE iccid %s AND device_id IS NOT NULL',
		format(bounds, 'serial'), format(bounds, 'imei'), format(bounds, 'iccid'))];
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.prefix_terms(text) IS 'The beginning of a serial, an IMEI or an ICCID, as in api.device_filter().';

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

-- One value is a place in an index. Of several, their range is looked for in the index and the values in the rows: a list of
-- values would make the scan begin anew for each, and so lose its order.
CREATE FUNCTION api.word_terms(field text, words text[]) RETURNS api.device_terms
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t api.device_terms;
BEGIN
	t.condition := ARRAY[format('d.%I = ANY (%L)', field, words)];
	t.listed := ARRAY[CASE WHEN cardinality(words) = 1 THEN format('f.%I = %L', field, words[1])
		ELSE format('f.%1$I >= %2$L AND f.%1$I <= %3$L', field, (SELECT min(w COLLATE "C") FROM unnest(words) AS w),
			(SELECT max(w COLLATE "C") FROM unnest(words) AS w)) END];
	IF cardinality(words) > 1 THEN
		t.checked := ARRAY[format('f.%I = ANY (%L)', field, words)];
	END IF;
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.word_terms(text, text[]) IS 'One of some values of a text column, as in api.device_filter().';

CREATE FUNCTION api.model_terms(names text[]) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t api.device_terms;
	ids CONSTANT int[] := ARRAY(SELECT m.model_id FROM fleet.model AS m WHERE m.name = ANY (names) ORDER BY 1);
	n CONSTANT int := cardinality(ids);
BEGIN
	t.condition := ARRAY[format('d.model_id = ANY (%L)', ids)];
	t.listed := ARRAY[CASE n WHEN 0 THEN 'false' WHEN 1 THEN format('f.model_id = %s', ids[1])
		ELSE format('f.model_id >= %s AND f.model_id <= %s', ids[1], ids[n]) END];
	IF n > 1 THEN
		t.checked := ARRAY[format('f.model_id = ANY (%L)', ids)];
	END IF;
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.model_terms(text[]) IS 'Models by name, as in api.device_filter().';

CREATE FUNCTION api.silent_terms(value text) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t api.device_terms;
	since CONSTANT timestamptz := now() - api.duration('silent_for', value);
BEGIN
	-- Who was never heard is silent since the registration.
	t.condition := ARRAY[format('coalesce(s.received_at, d.created_at) < %L', since)];
	t.checked := ARRAY[format('coalesce(s.received_at, f.created_at) < %L', since)];
	t.listed := ARRAY[format('f.heard <= %s', fleet.heard_step(since))];
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.silent_terms(text) IS 'Not heard for so long, as in api.device_filter().';

CREATE FUNCTION api.filter_terms(name text, value text) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t api.device_terms;
	team fleet.device_group;
	words text[];
	misses text;
BEGIN
	CASE name
	WHEN 'state' THEN
		RETURN api.word_terms(name, api.one_of(name, value, '^(registered|active|disabled|quarantined|banned|decommissioned)$'));
	WHEN 'model' THEN
		RETURN api.model_terms(api.one_of(name, value));
	WHEN 'firmware' THEN
		RETURN api.word_terms(name, api.one_of(name, value));
	WHEN 'tag' THEN
		words := api.one_of(name, value);
		t.condition := ARRAY[format('d.tags @> %L', words)];
		t.checked := ARRAY[format('f.tags @> %L', words)];
		t.sources := ARRAY(SELECT format('SELECT device_id FROM fleet.device_tag WHERE tag = %L', w) FROM unnest(words) AS w);
	WHEN 'group' THEN
		SELECT * INTO team FROM fleet.device_group AS g WHERE g.name = value;
		IF team.group_id IS NULL THEN
			PERFORM api.filter_error('group', 'the name of a group', value);
		ELSIF team.filter IS NOT NULL THEN
			RETURN api.device_filter(team.filter);
		END IF;
		t.team := team.group_id;
		t.condition := ARRAY[format('(SELECT true FROM fleet.group_member AS g WHERE g.device_id = d.device_id AND g.group_id = %s)', t.team)];
	WHEN 'q' THEN
		RETURN api.prefix_terms(value);
	WHEN 'silent_for' THEN
		RETURN api.silent_terms(value);
	WHEN 'battery_below' THEN
		IF value !~ '^([1-9][0-9]?|100)$' THEN
			PERFORM api.filter_error(name, 'a whole number from 1 to 100', value);
		END IF;
		t.condition := ARRAY[format('s.battery_pct < %s', value)];
		t.checked := t.condition;
		t.listed := ARRAY[format('f.battery_step < %s', value)];
	WHEN 'bbox' THEN
		RETURN api.box_terms(value);
	WHEN 'in_excursion' THEN
		IF value NOT IN ('true', 'false') THEN
			PERFORM api.filter_error(name, 'true or false', value);
		END IF;
		t.condition := ARRAY[format('%s EXISTS (SELECT FROM fleet.listing AS x WHERE x.device_id = d.device_id AND x.in_excursion)',
			CASE value WHEN 'false' THEN 'NOT' END)];
		t.listed := ARRAY[CASE value WHEN 'true' THEN 'f.in_excursion' ELSE 'NOT f.in_excursion' END];
	WHEN 'incomplete' THEN
		IF value NOT IN ('true', 'false') THEN
			PERFORM api.filter_error(name, 'true or false', value);
		END IF;
		-- One look into the index of open gaps a device; EXISTS could be planned as a hash of all that are open.
		misses := format('(SELECT true FROM telemetry.gap AS g WHERE g.device_id = %%s.device_id AND g.closed_at IS NULL LIMIT 1) IS %s NULL',
			CASE value WHEN 'true' THEN 'NOT' END);
		t.condition := ARRAY[format(misses, 'd')];
		t.listed := ARRAY[CASE value WHEN 'true' THEN 'f.incomplete' ELSE 'NOT f.incomplete' END];
		t.checked := ARRAY[format(misses, 'f')];
	ELSE
		PERFORM api.filter_error('filter', 'state, model, firmware, tag, group, q, silent_for, battery_below, bbox, in_excursion or incomplete', name);
	END CASE;
	RETURN t;
END
$$;
COMMENT ON FUNCTION api.filter_terms(text, text) IS 'One filter of GET /v1/devices as in api.device_filter(). An unknown name or a wrong value: CF422.';

CREATE FUNCTION api.device_filter(filter jsonb) RETURNS api.device_terms
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	whole api.device_terms;
	t api.device_terms;
	name text;
	value text;
BEGIN
	FOR name, value IN SELECT * FROM jsonb_each_text(filter) LOOP
		t := api.filter_terms(name, value);
		whole.condition := whole.condition || t.condition;
		whole.listed := whole.listed || t.listed;
		whole.checked := whole.checked || t.checked;
		whole.sources := whole.sources || t.sources;
		whole.team := coalesce(t.team, whole.team);
	END LOOP;
	RETURN whole;
END
$$;
COMMENT ON FUNCTION api.device_filter(jsonb) IS
	'Filters of GET /v1/devices, a JSON object with the names of the parameters, all of which a device must meet. An unknown name or a '
	'wrong value: CF422.';

CREATE FUNCTION api.device_sort(sort text, OUT columns text[], OUT way text, OUT key text, OUT kind text)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	way := CASE WHEN sort LIKE '-%' THEN 'DESC' ELSE 'ASC' END;
	kind := ltrim(sort, '-');
	CASE kind
	WHEN 'serial' THEN
		columns := '{f.serial}'; key := 'f.serial';
	WHEN 'last_seen' THEN
		columns := '{f.heard,f.device_id}'; key := $k$f.heard || ' ' || f.device_id$k$;
	WHEN 'battery' THEN
		columns := '{f.battery_step,f.device_id}'; key := $k$f.battery_step || ' ' || f.device_id$k$;
	ELSE
		PERFORM api.filter_error('sort', 'serial, last_seen or battery, with - before it for the reverse', sort);
	END CASE;
END
$$;
COMMENT ON FUNCTION api.device_sort(text) IS
	'An order of devices as SQL: columns of f, fleet.listing, the way they rise, their values as one text, and the name of the order.';

CREATE FUNCTION api.few_devices(sources text[], most int) RETURNS int[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	source text;
	found int[];
	fewest int[];
BEGIN
	FOREACH source IN ARRAY coalesce(sources, '{}') LOOP
		EXECUTE format('SELECT array_agg(device_id) FROM (%s LIMIT %s) AS u', source, most + 1) INTO found;
		IF coalesce(cardinality(found), 0) < coalesce(cardinality(fewest), most + 1) THEN
			fewest := coalesce(found, '{}');
		END IF;
		EXIT WHEN cardinality(fewest) <= most / 16;
	END LOOP;
	RETURN fewest;
END
$$;
COMMENT ON FUNCTION api.few_devices(text[], int) IS 'The devices of the source that has fewest, if those are at most so many; else NULL.';

CREATE FUNCTION api.next_fence(its_group int, its_sort text, way text, after_key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	fence fleet.fence;
	k CONSTANT text[] := string_to_array(after_key, ' ');
BEGIN
	IF its_sort = 'serial' THEN
		IF way = 'ASC' THEN
			SELECT * INTO fence FROM fleet.fence AS f WHERE f.group_id = its_group AND f.sort = 'serial'
				AND f.serial > coalesce(k[1], '') ORDER BY f.serial OFFSET 1 LIMIT 1;
		ELSE
			SELECT * INTO fence FROM fleet.fence AS f WHERE f.group_id = its_group AND f.sort = 'serial'
				AND f.serial < coalesce(k[1], '~') ORDER BY f.serial DESC OFFSET 1 LIMIT 1;
		END IF;
		RETURN fence.serial;
	END IF;
	IF way = 'ASC' THEN
		SELECT * INTO fence FROM fleet.fence AS f WHERE f.group_id = its_group AND f.sort = its_sort
			AND (k IS NULL OR (f.step, f.device_id) > (k[1]::int, k[2]::int)) ORDER BY f.step, f.device_id OFFSET 1 LIMIT 1;
	ELSE
		SELECT * INTO fence FROM fleet.fence AS f WHERE f.group_id = its_group AND f.sort = its_sort
			AND (k IS NULL OR (f.step, f.device_id) < (k[1]::int, k[2]::int)) ORDER BY f.step DESC, f.device_id DESC OFFSET 1 LIMIT 1;
	END IF;
	RETURN fence.step || ' ' || fence.device_id;
END
$$;
COMMENT ON FUNCTION api.next_fence(int, text, text, text) IS 'The second fence of a list after a key, as a key; NULL: the end of the list is nearer.';

CREATE FUNCTION api.few_listed(source text) RETURNS boolean
LANGUAGE plpgsql -- EXPLAIN is not allowed in a stable function, though it changes nothing
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || source INTO plan;
	RETURN (plan #>> '{0,Plan,Plan Rows}')::float8 <= 4000 AND (plan #>> '{0,Plan,Total Cost}')::float8 <= 600;
END
$$;
COMMENT ON FUNCTION api.few_listed(text) IS
	'Does PostgreSQL expect a statement to find few rows at little cost, by its statistics? About 3 ms in the units of api.device_ids().';

CREATE FUNCTION api.key_values(key text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(quote_literal(w), ', ' ORDER BY n) FROM string_to_table(key, ' ') WITH ORDINALITY AS k (w, n)
$$;
COMMENT ON FUNCTION api.key_values(text) IS 'The values of a key as SQL.';

-- A page of one list. Few devices meet the filter, as far as statistics know: all of them are taken by the best index and
-- sorted. Otherwise the list is walked in its order, as far as a fence. Either way rows that do not meet what an index can tell are
-- never visited, and of those that do at most `reach` are looked at closer.
CREATE FUNCTION api.list_page(its_group int, terms api.device_terms, few int[], sort text, after_key text, max_rows int,
			      OUT ids int[], OUT keys text[], OUT next_key text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	reach CONSTANT int := greatest(1000, max_rows + 1);
	o CONSTANT record := api.device_sort(sort);
	columns CONSTANT text := array_to_string(o.columns, ', ');
	checked CONSTANT text := array_to_string(terms.checked, ' AND ');
	source text := concat_ws(' AND ', format('SELECT * FROM fleet.listing AS f WHERE f.group_id = %s', its_group),
		array_to_string(terms.listed, ' AND '), 'f.device_id = ANY ($1)' || CASE WHEN few IS NULL THEN NULL ELSE '' END);
	fence text;
	all_of_it boolean := few IS NOT NULL;
	place record;
	looked int := 0;
BEGIN
	IF after_key IS NOT NULL THEN
		source := format('%s AND (%s) %s (%s)', source, columns, CASE o.way WHEN 'ASC' THEN '>' ELSE '<' END, api.key_values(after_key));
	END IF;
	IF few IS NULL AND (terms.listed IS NOT NULL OR terms.checked IS NOT NULL) THEN
		fence := api.next_fence(its_group, o.kind, o.way, after_key);
		all_of_it := fence IS NOT NULL AND terms.listed IS NOT NULL AND api.few_listed(source);
	END IF;
	IF all_of_it THEN
		fence := NULL;
		source := source || ' OFFSET 0'; -- keeps the order apart, which would tempt the planner to walk
	ELSIF fence IS NOT NULL THEN
		source := format('%s AND (%s) %s (%s)', source, columns, CASE o.way WHEN 'ASC' THEN '<=' ELSE '>=' END, api.key_values(fence));
	END IF;
	FOR place IN EXECUTE format('SELECT f.device_id, %s AS key, %s AS meets FROM (SELECT * FROM (%s) AS f ORDER BY %s LIMIT %s) AS f %s',
		o.key, coalesce(checked, 'true'), source, array_to_string(o.columns, ' ' || o.way || ', ') || ' ' || o.way, reach,
		CASE WHEN checked LIKE '%s.%' THEN
			'CROSS JOIN LATERAL (SELECT * FROM telemetry.device_state AS x WHERE x.device_id = f.device_id OFFSET 0) AS s' END)
		USING few
	LOOP
		looked := looked + 1;
		IF place.meets THEN
			IF cardinality(ids) = max_rows THEN
				next_key := keys[max_rows];
				RETURN;
			END IF;
			ids := ids || place.device_id;
			keys := keys || place.key;
		END IF;
	END LOOP;
	next_key := CASE WHEN looked = reach THEN place.key ELSE fence END;
END
$$;
COMMENT ON FUNCTION api.list_page(int, api.device_terms, int[], text, text, int) IS
	'The next devices of one list that meet the filter, in an order, after a key: at most max_rows with their keys, maybe fewer, and the '
	'key after which to go on (NULL: the end); up to it nothing is left out.';

CREATE TYPE api.list_place AS (key text, device_id int);
COMMENT ON TYPE api.list_place IS 'A place in a list: the key and the device; NULL: beyond the key the list is not known.';

CREATE FUNCTION api.merge_lists(places api.list_place[], sort text, max_rows int, OUT ids int[], OUT next_key text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH one AS (
		SELECT max(p.key) AS key, p.device_id FROM unnest(places) AS p WHERE p.device_id IS NOT NULL GROUP BY p.device_id
		UNION ALL SELECT p.key, NULL FROM unnest(places) AS p WHERE p.device_id IS NULL
	), placed AS (
		SELECT o.*, CASE WHEN sort LIKE '-%' THEN -1 ELSE 1 END * row_number() OVER (
			ORDER BY CASE WHEN sort LIKE '%serial' THEN o.key END COLLATE "C",
				CASE WHEN sort NOT LIKE '%serial' THEN string_to_array(o.key, ' ')::int[] END,
				(o.device_id IS NULL) <> (sort LIKE '-%')) AS n
		FROM one AS o
	), known AS (
		SELECT p.*, row_number() OVER (ORDER BY p.n) AS place FROM placed AS p
		WHERE p.device_id IS NOT NULL AND p.n < coalesce((SELECT min(e.n) FROM placed AS e WHERE e.device_id IS NULL), 9223372036854775807)
	)
	SELECT array_agg(k.device_id ORDER BY k.place) FILTER (WHERE k.place <= max_rows),
		coalesce(max(k.key) FILTER (WHERE k.place = max_rows AND EXISTS (SELECT FROM known AS l WHERE l.place > max_rows)),
			(SELECT e.key FROM placed AS e WHERE e.device_id IS NULL ORDER BY e.n LIMIT 1))
	FROM known AS k
$$;
COMMENT ON FUNCTION api.merge_lists(api.list_place[], text, int) IS
	'The first devices of several lists, each once, as far as all lists are known; and the key to go on after, NULL: the end of all.';

CREATE FUNCTION api.device_ids(filter jsonb, sort text, after_key text, max_rows int, OUT ids int[], OUT next_key text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_incremental_sort = off
-- Indexes and rows that are searched all the time are in memory: an entry of an index takes 0.07 us (0.0125 units), a visit to the table 0.3 to 1 us.
SET seq_page_cost = 0.01
SET random_page_cost = 0.1
AS $$
DECLARE
	terms CONSTANT api.device_terms := api.device_filter(filter);
	lists CONSTANT int[] := CASE WHEN terms.team IS NOT NULL THEN ARRAY[terms.team] WHEN fleet.scope_all() THEN '{0}' ELSE fleet.scope_groups() END;
	few CONSTANT int[] := api.few_devices(terms.sources, 1000);
	page record;
	places api.list_place[] := '{}';
BEGIN
	IF cardinality(lists) = 1 THEN
		SELECT * INTO page FROM api.list_page(lists[1], terms, few, sort, after_key, max_rows);
		ids := page.ids;
		next_key := page.next_key;
		RETURN;
	END IF;
	FOR page IN SELECT p.* FROM unnest(lists) AS g CROSS JOIN LATERAL api.list_page(g, terms, few, sort, after_key, max_rows) AS p LOOP
		places := places || ARRAY(SELECT (u.key, u.id)::api.list_place FROM unnest(page.keys, page.ids) AS u (key, id)
			UNION ALL SELECT (page.next_key, NULL)::api.list_place WHERE page.next_key IS NOT NULL);
	END LOOP;
	SELECT * INTO ids, next_key FROM api.merge_lists(places, sort, max_rows);
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
			',"model":', api.json_model(m, d.hardware_revision), ',"latest":', api.json_latest(s), ',"in_excursion":', (EXISTS (SELECT FROM fleet.listing AS x
				WHERE x.device_id = d.device_id AND x.in_excursion))::text,
			',"incomplete":', ((SELECT true FROM telemetry.gap AS g WHERE g.device_id = d.device_id AND g.closed_at IS NULL LIMIT 1) IS NOT NULL)::text,
			'}'), ',' ORDER BY n)
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
	'sorts by the minute, battery by whole percents, both as fleet.listing has them; devices that tie follow each other by number, so no '
	'page repeats or skips one that did not change in between. A cursor of another list: CF400; a wrong filter or sort: CF422.';

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

-- What is counted, over one pass of the list. Of several groups, a device that is in more than one counts once.
CREATE FUNCTION api.count_fleet() RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET work_mem = '64MB'
SET enable_sort = off
AS $$
	WITH mine AS (
		SELECT CASE WHEN fleet.scope_all() THEN '{0}' ELSE fleet.scope_groups() END AS lists
	), listed AS NOT MATERIALIZED (
		SELECT f.* FROM fleet.listing AS f
		WHERE f.group_id = ANY ((SELECT lists FROM mine)::int[])
			AND ((SELECT cardinality(lists) < 2 FROM mine) OR NOT EXISTS (SELECT FROM fleet.listing AS o
				WHERE o.device_id = f.device_id AND o.group_id < f.group_id AND o.group_id = ANY ((SELECT lists FROM mine)::int[])))
	), counted AS (
		SELECT f.state, f.model_id, f.firmware,
			CASE WHEN f.heard = fleet.heard_step(NULL) THEN 'never' WHEN age <= 15 THEN '15m' WHEN age <= 60 THEN '1h'
				WHEN age <= 12 * 60 THEN '12h' WHEN age <= 24 * 60 THEN '24h' WHEN age <= 7 * 24 * 60 THEN '7d' ELSE 'longer' END AS heard,
			CASE WHEN f.battery_step = 32767 THEN 'unknown' WHEN f.battery_step < 5 THEN '0-5' WHEN f.battery_step < 10 THEN '5-10'
				WHEN f.battery_step < 20 THEN '10-20' WHEN f.battery_step < 50 THEN '20-50' ELSE '50-100' END AS battery,
			count(*) AS n
		FROM listed AS f
		CROSS JOIN LATERAL (SELECT fleet.heard_step(now())::bigint - f.heard) AS a (age)
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
			LEFT JOIN (SELECT battery, sum(n) AS c FROM served GROUP BY 1) AS u ON battery = band),
		'in_excursion', (SELECT count(DISTINCT f.device_id) FROM fleet.listing AS f
			WHERE f.group_id = ANY ((SELECT lists FROM mine)::int[]) AND f.in_excursion),
		'incomplete', (SELECT count(DISTINCT f.device_id) FROM fleet.listing AS f
			WHERE f.group_id = ANY ((SELECT lists FROM mine)::int[]) AND f.incomplete))
$$;
COMMENT ON FUNCTION api.count_fleet() IS
	'Counts the devices in scope by state, model, firmware (the 100 most frequent), time since last heard and battery; these two '
	'without banned and decommissioned devices, by whole minutes and percents as fleet.listing has them. A band of last_seen ends where '
	'its name says and begins where the one before ends. in_excursion: with an open excursion; incomplete: that miss samples, as '
	'fleet.listing has it.';

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

CREATE FUNCTION api.sweep() RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT fleet.sweep()
$$;
COMMENT ON FUNCTION api.sweep() IS
	'Brings the next part of fleet.listing up to date, every second; see fleet.sweep(). For coldfleet-api itself; no token is asked.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
GRANT EXECUTE ON FUNCTION api.devices(int, text, text, jsonb), api.devices_export(text, jsonb, text), api.fleet_summary(), api.sweep()
	TO coldfleet_api;

COMMIT;
