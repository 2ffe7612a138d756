-- SPDX-License-Identifier: Apache-2.0
-- The live stream, GET /v1/stream. api.stream_open() admits a reader; from then on one connection of each coldfleet-api
-- asks for all of its readers at once, by views: what tokens with the same scope want of the same device or group. Who
-- sees a device is decided here, by the policies of fleet.device, anew for each piece that is sent.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

-- These two look at all devices; what becomes of what they find is up to the policies.
CREATE FUNCTION fleet.events_after(after_xid xid8, after_id bigint, most int) RETURNS SETOF fleet.event
LANGUAGE sql SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM fleet.event AS e
	WHERE (e.xid, e.event_id) > (after_xid, after_id) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
	ORDER BY e.xid, e.event_id LIMIT most
$$;
COMMENT ON FUNCTION fleet.events_after(xid8, bigint, int) IS
	'The next events, in order, of transactions older than any that still runs: none can come later that would stand before them.';

CREATE FUNCTION telemetry.states_changed(devices int[], of_groups int[], after_device int, seen pg_snapshot, look int, most int,
	OUT changed int[], OUT xids xid8[], OUT last_device int)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
	-- A row's xmin is the lower half of the number of the transaction that wrote it; its age gives the whole.
	base CONSTANT xid8 := pg_snapshot_xmin(pg_current_snapshot());
	newest CONSTANT bigint := base::text::bigint + age(base::xid);
	reach CONSTANT bigint := newest - pg_snapshot_xmin(seen)::text::bigint;
BEGIN
	WITH looked AS MATERIALIZED (
		(SELECT s.device_id, s.xmin AS x FROM telemetry.device_state AS s
		 WHERE devices IS NULL AND of_groups IS NULL AND s.device_id > after_device ORDER BY s.device_id LIMIT look)
		UNION ALL
		(SELECT s.device_id, s.xmin FROM (
			SELECT DISTINCT m.device_id AS id FROM fleet.group_member AS m
			WHERE devices IS NULL AND m.group_id = ANY (of_groups) AND m.device_id > after_device ORDER BY 1 LIMIT look) AS d
		 CROSS JOIN LATERAL (SELECT y.device_id, y.xmin FROM telemetry.device_state AS y WHERE y.device_id = d.id OFFSET 0) AS s)
		UNION ALL
		(SELECT s.device_id, s.xmin FROM unnest(devices) AS d (id)
		 CROSS JOIN LATERAL (SELECT y.device_id, y.xmin FROM telemetry.device_state AS y WHERE y.device_id = d.id OFFSET 0) AS s)
	), news AS (
		SELECT l.device_id, (greatest(newest - age(l.x), 3)::text)::xid8 AS xid
		FROM looked AS l
		WHERE age(l.x) <= reach AND NOT pg_visible_in_snapshot((greatest(newest - age(l.x), 3)::text)::xid8, seen)
		ORDER BY 1 LIMIT most
	)
	SELECT coalesce(array_agg(n.device_id ORDER BY n.device_id), '{}'), coalesce(array_agg(n.xid ORDER BY n.device_id), '{}'),
		CASE WHEN count(*) = most THEN max(n.device_id)
			WHEN (SELECT count(*) FROM looked) >= look THEN (SELECT max(l.device_id) FROM looked AS l) END
	INTO changed, xids, last_device FROM news AS n;
END
$$;
COMMENT ON FUNCTION telemetry.states_changed(int[], int[], int, pg_snapshot, int, int) IS
	'Which rows of telemetry.device_state were written by transactions that the snapshot did not see, and by which, of these devices, else '
	'of the members of these groups, else of all, in the order of device_id after after_device: up to `most`, among up to `look` that are '
	'looked at. last_device: go on after it; NULL: that was all. The table needs no index, column or trigger for it.';

REVOKE ALL ON FUNCTION fleet.events_after(xid8, bigint, int),
	telemetry.states_changed(int[], int[], int, pg_snapshot, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.events_after(xid8, bigint, int),
	telemetry.states_changed(int[], int[], int, pg_snapshot, int, int) TO coldfleet_api_definer;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_event(type text, at timestamptz, serial text, body text) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"type":', to_json(type), ',"at":', api.json_time(at), ',"device":', coalesce(to_json(serial)::text, 'null'),
		',"body":', body, '}')
$$;
COMMENT ON FUNCTION api.json_event(text, timestamptz, text, text) IS 'An event as a JSON object.';

CREATE FUNCTION api.of_group(name text, devices int[]) RETURNS int[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	conditions text;
	found int[];
BEGIN
	IF EXISTS (SELECT FROM fleet.device_group AS g WHERE g.name = of_group.name) THEN
		SELECT string_agg(format('(%s)', w), ' AND ') INTO conditions
		FROM api.device_filter(jsonb_build_object('group', name)) AS f
		CROSS JOIN LATERAL jsonb_array_elements_text(jsonb_path_query_array(to_jsonb(f.condition), '$[*]')) AS w;
		EXECUTE format('SELECT array_agg(d.device_id) FROM fleet.device AS d JOIN telemetry.device_state AS s USING (device_id) '
			'WHERE d.device_id = ANY ($1) AND %s', conditions) INTO found USING devices;
	END IF;
	RETURN coalesce(found, '{}');
END
$$;
COMMENT ON FUNCTION api.of_group(text, int[]) IS 'Those of the devices that are in a group, static or dynamic; none when there is no such group.';

CREATE TYPE api.stream_view AS (n int, scope text, serial text, team text);
COMMENT ON TYPE api.stream_view IS
	'What readers may see and want: its number, a scope as in coldfleet.scope, a serial or '''' for any, the name of a group or '''' for none.';

CREATE FUNCTION api.stream_views(scopes text[], serials text[], groups text[]) RETURNS api.stream_view[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg((v.n, v.scope, v.serial, v.team)::api.stream_view)
	FROM unnest(scopes, serials, groups) WITH ORDINALITY AS v (scope, serial, team, n)
$$;
COMMENT ON FUNCTION api.stream_views(text[], text[], text[]) IS 'Views, numbered from 1, of three arrays of equal length.';

CREATE TYPE api.stream_sight AS (device_id int, n int);
COMMENT ON TYPE api.stream_sight IS 'A device, 0 for none in particular, and the number of a view that sees it.';

CREATE FUNCTION api.stream_seen(views api.stream_view[], devices int[]) RETURNS api.stream_sight[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	seen api.stream_sight[] := '{}';
	visible int[];
	members int[];
	its_scope text;
	its_team text;
BEGIN
	FOR its_scope IN SELECT DISTINCT v.scope FROM unnest(views) AS v LOOP
		PERFORM set_config('coldfleet.scope', its_scope, true);
		visible := ARRAY(SELECT d.device_id FROM fleet.device AS d WHERE d.device_id = ANY (devices))
			|| CASE WHEN fleet.scope_all() AND 0 = ANY (devices) THEN 0 END;
		FOR its_team IN SELECT DISTINCT v.team FROM unnest(views) AS v WHERE v.scope = its_scope LOOP
			members := CASE WHEN its_team = '' THEN visible ELSE api.of_group(its_team, visible) END;
			seen := seen || ARRAY(
				SELECT (m.id, v.n)::api.stream_sight FROM unnest(members) AS m (id)
				CROSS JOIN unnest(views) AS v WHERE v.scope = its_scope AND v.team = its_team AND v.serial = '' AND m.id IS NOT NULL
				UNION ALL
				SELECT (d.device_id, v.n)::api.stream_sight FROM unnest(views) AS v JOIN fleet.device AS d ON d.serial = v.serial
				WHERE v.scope = its_scope AND v.team = its_team AND v.serial <> '' AND d.device_id = ANY (members));
		END LOOP;
	END LOOP;
	PERFORM set_config('coldfleet.scope', '', true);
	RETURN seen;
END
$$;
COMMENT ON FUNCTION api.stream_seen(api.stream_view[], int[]) IS
	'Which of the devices which views see: those in the scope, in the group, and with the serial, as of now.';

CREATE TYPE api.stream_piece AS (xid text, id bigint, type text, data text, views int[]);
COMMENT ON TYPE api.stream_piece IS
	'An event for these views: its transaction, its number or that of the device, its type, its JSON. The last one has no type: where to '
	'go on, xid (of states a snapshot) and id.';

CREATE FUNCTION api.feed_events(after_xid xid8, after_id bigint, most int, scopes text[], serials text[], groups text[])
RETURNS SETOF api.stream_piece
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	horizon CONSTANT xid8 := pg_snapshot_xmin(pg_current_snapshot());
	-- Each statement here has a snapshot of its own, a later one: what only that sees comes with the next call, once.
	batch CONSTANT fleet.event[] := ARRAY(SELECT e FROM fleet.events_after(after_xid, after_id, most) AS e WHERE e.xid < horizon);
	seen api.stream_sight[];
BEGIN
	IF cardinality(batch) > 0 THEN
		seen := api.stream_seen(api.stream_views(scopes, serials, groups),
			ARRAY(SELECT DISTINCT coalesce(e.device_id, 0) FROM unnest(batch) AS e));
		PERFORM set_config('coldfleet.scope', '*', true);
		RETURN QUERY
			SELECT e.xid::text, e.event_id, e.type, api.json_event(e.type, e.at, d.serial, e.body::text), array_agg(s.n ORDER BY s.n)
			FROM unnest(batch) AS e JOIN unnest(seen) AS s ON s.device_id = coalesce(e.device_id, 0)
			LEFT JOIN fleet.device AS d ON d.device_id = e.device_id
			GROUP BY e.xid, e.event_id, e.type, e.at, d.serial, e.body ORDER BY e.xid, e.event_id;
	END IF;
	IF cardinality(batch) = most THEN
		RETURN NEXT (batch[most].xid::text, batch[most].event_id, NULL, NULL, NULL)::api.stream_piece;
	ELSE
		RETURN NEXT (greatest(horizon::text::bigint, after_xid::text::bigint)::text,
			CASE WHEN horizon > after_xid THEN 0 ELSE after_id END, NULL, NULL, NULL)::api.stream_piece;
	END IF;
END
$$;
COMMENT ON FUNCTION api.feed_events(xid8, bigint, int, text[], text[], text[]) IS
	'The next events after a place, for the views that see them. For coldfleet-api itself; no token is asked.';

CREATE FUNCTION api.feed_states(changed int[], xids xid8[], views api.stream_view[]) RETURNS SETOF api.stream_piece
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	seen CONSTANT api.stream_sight[] := CASE WHEN cardinality(changed) > 0 THEN api.stream_seen(views, changed) END;
BEGIN
	PERFORM set_config('coldfleet.scope', '*', true);
	RETURN QUERY
		SELECT c.xid::text, d.device_id::bigint, 'device.state',
			api.json_event('device.state', coalesce(s.received_at, now()), d.serial, api.json_latest(s)),
			(SELECT array_agg(w.n ORDER BY w.n) FROM unnest(seen) AS w WHERE w.device_id = c.id)
		FROM unnest(changed, xids) AS c (id, xid) JOIN fleet.device AS d ON d.device_id = c.id
		JOIN telemetry.device_state AS s ON s.device_id = c.id
		WHERE c.id IN (SELECT w.device_id FROM unnest(seen) AS w);
END
$$;
COMMENT ON FUNCTION api.feed_states(int[], xid8[], api.stream_view[]) IS 'The latest state of these devices, for the views that see them.';

CREATE FUNCTION api.feed_watched(seen text[], scopes text[], serials text[], groups text[]) RETURNS SETOF api.stream_piece
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at_start CONSTANT pg_snapshot := pg_current_snapshot();
	before text;
	found record;
	changed int[] := '{}';
	xids xid8[] := '{}';
BEGIN
	FOR before IN SELECT DISTINCT s FROM unnest(seen) AS s LOOP
		PERFORM set_config('coldfleet.scope', '*', true);
		SELECT * INTO found FROM telemetry.states_changed(ARRAY(SELECT DISTINCT d.device_id FROM unnest(seen, serials) AS v (s, serial)
			JOIN fleet.device AS d ON d.serial = v.serial WHERE v.s = before), NULL, 0, before::pg_snapshot, 2147483647, 2147483647);
		xids := xids || ARRAY(SELECT c.xid FROM unnest(found.changed, found.xids) AS c (id, xid) WHERE c.id <> ALL (changed));
		changed := changed || ARRAY(SELECT c FROM unnest(found.changed) AS c WHERE c <> ALL (changed));
	END LOOP;
	RETURN QUERY SELECT * FROM api.feed_states(changed, xids, api.stream_views(scopes, serials, groups));
	RETURN NEXT (at_start::text, NULL, NULL, NULL, NULL)::api.stream_piece;
END
$$;
COMMENT ON FUNCTION api.feed_watched(text[], text[], text[], text[]) IS
	'The latest state of the devices that views name, as far as the snapshot of each did not see it. For coldfleet-api itself; no token is '
	'asked.';

CREATE FUNCTION api.feed_sweep(seen text, after_device int, look int, most int, scopes text[], groups text[]) RETURNS SETOF api.stream_piece
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at_start CONSTANT pg_snapshot := pg_current_snapshot();
	everywhere boolean;
	teams int[];
	found record;
BEGIN
	PERFORM set_config('coldfleet.scope', '*', true);
	-- Where to look: at the members of the groups that somebody wants, as long as nobody wants more than those.
	SELECT bool_or(CASE WHEN v.team = '' THEN v.scope = '*' ELSE g.filter IS NOT NULL END),
		array_agg(DISTINCT CASE WHEN v.team = '' THEN member ELSE g.group_id END)
	INTO everywhere, teams
	FROM unnest(scopes, groups) AS v (scope, team) LEFT JOIN fleet.device_group AS g ON g.name = v.team
	LEFT JOIN LATERAL unnest(string_to_array(nullif(v.scope, '*'), ',')::int[]) AS member ON v.team = '';
	SELECT * INTO found FROM telemetry.states_changed(NULL, CASE WHEN NOT everywhere THEN teams END, after_device, seen::pg_snapshot,
		look, most);
	RETURN QUERY SELECT * FROM api.feed_states(found.changed, found.xids,
		api.stream_views(scopes, array_fill(''::text, ARRAY[cardinality(scopes)]), groups));
	RETURN NEXT (at_start::text, found.last_device, NULL, NULL, NULL)::api.stream_piece;
END
$$;
COMMENT ON FUNCTION api.feed_sweep(text, int, int, int, text[], text[]) IS
	'The latest state of the next devices after after_device that the snapshot did not see, for views of groups, scopes or all devices. '
	'For coldfleet-api itself; no token is asked.';

CREATE FUNCTION api.stream_open(device text, team text, types text, last_id text,
	OUT scope text, OUT xid text, OUT id bigint, OUT since text, OUT reset text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	now_at CONSTANT pg_snapshot := pg_current_snapshot();
	known text;
	log fleet.event_log;
	parts text[];
BEGIN
	IF device IS NOT NULL THEN
		PERFORM api.device_number(device);
	END IF;
	IF team IS NOT NULL THEN
		PERFORM api.device_filter(jsonb_build_object('group', team));
	END IF;
	SELECT string_agg(t.type, ', ' ORDER BY t.type) INTO known FROM fleet.event_type AS t;
	IF NOT string_to_array(types, ',') <@ (SELECT array_agg(t.type) FROM fleet.event_type AS t) THEN
		RAISE EXCEPTION 'type: expected some of %, with commas between', known USING ERRCODE = 'CF422';
	END IF;
	scope := current_setting('coldfleet.scope');
	xid := pg_snapshot_xmin(now_at);
	id := 0;
	since := xid;
	IF last_id IS NULL THEN
		RETURN;
	END IF;
	IF last_id !~ '^[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,18}$' THEN
		RAISE EXCEPTION 'Last-Event-ID: expected the id of an event of this stream' USING ERRCODE = 'CF400';
	END IF;
	parts := string_to_array(last_id, '-');
	SELECT * INTO log FROM fleet.event_log;
	IF greatest(parts[1]::bigint, parts[3]::bigint) > pg_snapshot_xmax(now_at)::text::bigint THEN
		reset := 'the id is of another database, or of this one before it was restored';
	ELSIF (parts[1]::xid8, parts[2]::bigint) < (log.gone_xid, log.gone_id) THEN
		reset := 'events are kept for ' || log.kept || '; this goes on from the oldest one';
		xid := log.gone_xid;
		id := log.gone_id;
		since := parts[3];
	ELSE
		xid := parts[1];
		id := parts[2];
		since := parts[3];
	END IF;
	IF reset IS NOT NULL THEN
		reset := api.json_event('reset', now(), NULL, jsonb_build_object('reason', reset)::text);
	END IF;
END
$$;
COMMENT ON FUNCTION api.stream_open(text, text, text, text) IS
	'GET /v1/stream: admits a reader of the events of a device, of a group, of types, from now on or after the event with that id. Its '
	'scope, its place, since when it wants states, and when events are missing an event that says so. Unknown device: CF404; unknown group '
	'or type: CF422; an id that is none: CF400.';

REVOKE ALL ON FUNCTION api.json_event(text, timestamptz, text, text), api.of_group(text, int[]), api.stream_views(text[], text[], text[]),
	api.stream_seen(api.stream_view[], int[]), api.feed_states(int[], xid8[], api.stream_view[]),
	api.feed_events(xid8, bigint, int, text[], text[], text[]), api.feed_watched(text[], text[], text[], text[]),
	api.feed_sweep(text, int, int, int, text[], text[]), api.stream_open(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.feed_events(xid8, bigint, int, text[], text[], text[]), api.feed_watched(text[], text[], text[], text[]),
	api.feed_sweep(text, int, int, int, text[], text[]), api.stream_open(text, text, text, text) TO coldfleet_api;

COMMIT;
