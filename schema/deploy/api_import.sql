-- SPDX-License-Identifier: Apache-2.0
-- Bulk import of devices: the request keeps the rows, the background takes them in pieces, each of which is one
-- transaction, so whoever does the work may be killed at any moment and another goes on where it ended.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.csv_fields(line text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF strpos(line, '"') = 0 THEN
		RETURN string_to_array(line, ',');
	END IF;
	RETURN CASE WHEN line ~ '^("([^"]|"")*"|[^",]*)(,("([^"]|"")*"|[^",]*))*$' THEN
		ARRAY(SELECT CASE WHEN m[1] LIKE '"%' THEN replace(substr(m[1], 2, length(m[1]) - 2), '""', '"') ELSE m[1] END
		      FROM regexp_matches(line || ',', '("(?:[^"]|"")*"|[^",]*),', 'g') WITH ORDINALITY AS f (m, n) ORDER BY n) END;
END
$$;
COMMENT ON FUNCTION api.csv_fields(text) IS
	'The fields of a line of CSV (RFC 4180, no line break within a field); NULL when it is none, for a quote stands alone.';

CREATE FUNCTION api.import_names_wrong(names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known CONSTANT text[] := '{serial,state,manufacturer,model,hardware_revision,firmware,tags,imei,iccid,imsi,apn,created_at,last_seen,battery_pct}';
BEGIN
	IF names <@ known AND 'serial' = ANY (names) AND cardinality(names) = (SELECT count(DISTINCT n) FROM unnest(names) AS n) THEN
		RETURN NULL;
	END IF;
	RETURN format('expected serial and any of %s, each once, got %s', array_to_string(known[2:], ', '),
		left(array_to_string(names, ', '), 200));
END
$$;
COMMENT ON FUNCTION api.import_names_wrong(text[]) IS
	'What is wrong with the names of the columns of an import; NULL: nothing. Those of an export are known.';

CREATE FUNCTION api.json_operation(o fleet.operation) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":"', o.operation_id, '","kind":"', o.kind, '","state":"', o.state, '","total":', o.total,
		',"done":', o.succeeded + o.failed, ',"succeeded":', o.succeeded, ',"failed":', o.failed,
		',"created_at":', api.json_time(o.created_at), ',"finished_at":', coalesce(api.json_time(o.finished_at), 'null'),
		',"actor":', to_json(o.actor), ',"reason":', api.json_or_null(o.reason),
		',"rows":"/v1/operations/', o.operation_id, '/rows"}')
$$;
COMMENT ON FUNCTION api.json_operation(fleet.operation) IS 'An operation and how far it is, as a JSON object.';

CREATE FUNCTION api.devices_import(reason text, format text, body text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made fleet.operation;
	names CONSTANT text[] := CASE format WHEN 'csv' THEN coalesce(api.csv_fields(rtrim(split_part(body, E'\n', 1), E'\r')), '{}') END;
	wrong CONSTANT text := api.import_names_wrong(names);
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'devices are registered by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	IF (SELECT count(*) >= 100 FROM fleet.operation AS o WHERE o.state <> 'done') THEN
		RAISE EXCEPTION '100 operations wait already, try again when some are done' USING ERRCODE = 'CF429';
	END IF;
	IF format = 'csv' AND wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = 'CF422';
	END IF;
	INSERT INTO fleet.operation (kind, format, header, actor, scope, reason, request_id, token_id)
	VALUES ('devices-import', format, names, fleet.setting('actor'), fleet.setting('scope'), reason,
		fleet.setting('request_id'), fleet.setting('token_id')::int)
	RETURNING * INTO made;
	INSERT INTO fleet.operation_row (operation_id, line, input)
	SELECT made.operation_id, n, rtrim(line, E'\r') FROM string_to_table(body, E'\n') WITH ORDINALITY AS l (line, n)
	WHERE rtrim(line, E' \t\r') <> '' AND (n > 1 OR format <> 'csv') LIMIT 100001;
	GET DIAGNOSTICS made.total = ROW_COUNT;
	IF made.total NOT BETWEEN 1 AND 100000 THEN
		RAISE EXCEPTION 'expected 1 to 100000 rows, got %', CASE made.total WHEN 0 THEN 'none' ELSE 'more' END USING ERRCODE = 'CF422';
	END IF;
	UPDATE fleet.operation AS o SET total = made.total WHERE o.operation_id = made.operation_id;
	RETURN (202, api.json_operation(made), NULL, '/v1/operations/' || made.operation_id)::api.answer;
END
$$;
COMMENT ON FUNCTION api.devices_import(text, text, text) IS
	'POST /v1/devices:import: keeps the rows of ndjson or csv as an operation. No row, more than 100,000, an unknown column: CF422; a token '
	'with a scope: CF403; 100 operations wait: CF429.';

CREATE FUNCTION api.operation_find(id text) RETURNS fleet.operation
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found fleet.operation;
BEGIN
	IF id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
		SELECT * INTO found FROM fleet.operation AS o WHERE o.operation_id = id::uuid;
	END IF;
	IF found.operation_id IS NULL THEN
		RAISE EXCEPTION 'there is no operation %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION api.operation_find(text) IS 'An operation; unknown or out of scope: CF404.';

CREATE FUNCTION api.operation_get(id text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.json_operation(api.operation_find(id))
$$;
COMMENT ON FUNCTION api.operation_get(text) IS 'GET /v1/operations/{id}: an operation and how far it is. Unknown: CF404.';

CREATE FUNCTION api.operation_rows(id text, wanted text, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := concat_ws(' ', 'operation', id, wanted);
	of CONSTANT uuid := (api.operation_find(id)).operation_id;
	after_line CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 0);
	items text;
	shown int;
	last_line int;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(line) FILTER (WHERE n = max_rows)
	INTO items, shown, last_line
	FROM (
		SELECT row_number() OVER (ORDER BY r.line) AS n, r.line, concat('{"line":', r.line, ',"serial":', api.json_or_null(r.serial),
			',"result":', api.json_or_null(r.result), ',"detail":', api.json_or_null(r.detail), '}') AS item
		FROM fleet.operation_row AS r WHERE r.operation_id = of AND r.line > after_line AND (wanted IS NULL OR r.result = wanted)
		ORDER BY r.line LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_line::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.operation_rows(text, text, int, text) IS
	'GET /v1/operations/{id}/rows: a page of the rows and what became of each, by line. Unknown: CF404.';

CREATE TYPE api.import_row AS (line int, fields jsonb, result text, detail text);
COMMENT ON TYPE api.import_row IS
	'A row of an import while it is worked on: its line, what it says (NULL: it cannot be read), and as in fleet.operation_row what became '
	'of it (NULL: a device to be made) and why.';

CREATE FUNCTION api.import_object(line text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN jsonb_typeof(line::jsonb) = 'object' THEN line::jsonb END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION api.import_object(text) IS 'A line as a JSON object; NULL when it is none that PostgreSQL can hold.';

CREATE FUNCTION api.import_read(header text[], line text, OUT fields jsonb, OUT wrong text)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	said jsonb;
	cells text[];
	odd boolean;
BEGIN
	IF header IS NULL THEN
		said := api.import_object(line);
		wrong := CASE WHEN said IS NULL THEN 'expected a JSON object'
			ELSE api.import_names_wrong(ARRAY(SELECT jsonb_object_keys(said))) END;
	ELSE
		cells := api.csv_fields(line);
		wrong := CASE WHEN cells IS NULL THEN
				'a quote stands alone: expected fields with commas between, those with a comma or a quote in "..."'
			WHEN cardinality(cells) <> cardinality(header) THEN
				format('expected %s fields, got %s', cardinality(header), cardinality(cells)) END;
		said := CASE WHEN wrong IS NULL THEN jsonb_object(header, cells) END;
	END IF;
	IF wrong IS NULL THEN
		-- Tags as fleet.device has them: sorted by bytes, none twice.
		SELECT coalesce(jsonb_object_agg(name, CASE WHEN name <> 'tags' THEN value ELSE (
				SELECT coalesce(jsonb_agg(DISTINCT tag COLLATE "C" ORDER BY tag COLLATE "C"), '[]') FROM unnest(
					CASE jsonb_typeof(value) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value))
					ELSE string_to_array(value #>> '{}', ' ') END) AS tag) END), '{}'),
			bool_or(jsonb_typeof(value) <> 'string' AND (name <> 'tags' OR jsonb_typeof(value) <> 'array'))
		INTO fields, odd FROM jsonb_each(said) AS e (name, value)
		WHERE value NOT IN ('null', '""') AND name NOT IN ('created_at', 'last_seen', 'battery_pct');
		IF odd THEN
			fields := NULL;
			wrong := 'expected texts, and for tags a list or words with spaces between';
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION api.import_read(text[], text) IS
	'A row of an import as a JSON object of what it says, or what is wrong with it. header: the names of the columns; NULL: ndjson.';

-- What the tables check, so that a row is told what was expected, and the rows beside it are inserted at the first try.
-- Without settings of its own, PostgreSQL puts it into the query that uses it; by itself it took four times as long.
CREATE FUNCTION api.import_wrong(f jsonb) RETURNS TABLE (wrong text)
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce((SELECT format('%s: expected %s', r.name, r.expected) FROM (VALUES
			('serial', '^[A-Za-z0-9._-]{1,64}$', '1 to 64 of A-Z a-z 0-9 . _ -'),
			('manufacturer', '^(?=.*\S).{1,100}$', '1 to 100 characters, not only blanks'),
			('model', '^(?=.*\S).{1,100}$', '1 to 100 characters, not only blanks'),
			('hardware_revision', '^(?=.*\S).{1,64}$', 'at most 64 characters, not only blanks'),
			('firmware', '^(?=.*\S).{1,64}$', 'at most 64 characters, not only blanks'),
			('state', '^(registered|active|disabled|quarantined|banned|decommissioned)$',
				'registered, active, disabled, quarantined, banned or decommissioned'),
			('iccid', '^[0-9]{18,20}$', '18 to 20 digits'),
			('imsi', '^[0-9]{6,15}$', '6 to 15 digits'),
			('apn', '^(?=.*\S).{1,100}$', 'at most 100 characters, not only blanks')) AS r (name, pattern, expected)
		WHERE f ->> r.name !~ r.pattern OR (r.name IN ('serial', 'manufacturer', 'model') AND NOT f ? r.name) LIMIT 1),
	CASE WHEN NOT fleet.imei_valid(f ->> 'imei') THEN 'imei: expected 15 digits, the last one the check digit of the others'
		WHEN f ? 'tags' AND NOT fleet.tags_valid(ARRAY(SELECT jsonb_array_elements_text(f -> 'tags'))) THEN
			'tags: expected at most 32 of 1 to 64 of A-Z a-z 0-9 . _ : = -'
		WHEN f ?| '{imsi,apn}' AND NOT f ? 'iccid' THEN 'iccid: expected it beside imsi and apn' END)
$$;
COMMENT ON FUNCTION api.import_wrong(jsonb) IS 'Why no device can be made as a row says; NULL: one can, unless another has its numbers.';

CREATE FUNCTION api.import_judge(o fleet.operation, most int) RETURNS api.import_row[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
	WITH told AS MATERIALIZED (
		-- Numbers by themselves: as expressions, row-level security would keep them from the indexes.
		SELECT w.line, r.fields AS f, r.wrong, r.fields ->> 'serial' AS serial, r.fields ->> 'imei' AS imei,
			r.fields ->> 'iccid' AS iccid, r.fields ->> 'imsi' AS imsi
		FROM (SELECT u.line, u.input FROM fleet.operation_row AS u WHERE u.operation_id = (o).operation_id AND u.result IS NULL
		      ORDER BY u.line LIMIT most) AS w
		CROSS JOIN LATERAL api.import_read((o).header, w.input) AS r
	), judged AS MATERIALIZED (
		SELECT t.line, t.f, t.serial, t.imei, t.iccid, t.imsi, d.device_id IS NOT NULL AS known, CASE
			WHEN t.wrong IS NOT NULL THEN t.wrong
			WHEN d.device_id IS NOT NULL THEN
				(SELECT min(e.name) FROM jsonb_each(t.f) AS e (name, value) WHERE e.value IS DISTINCT FROM k.kept -> e.name)
				|| ': the device is registered with another value; an import only adds devices'
			ELSE coalesce(w.wrong, CASE WHEN by_imei.imei IS NOT NULL THEN 'imei' WHEN by_iccid.iccid IS NOT NULL THEN 'iccid'
				WHEN by_imsi.imsi IS NOT NULL THEN 'imsi' END || ': belongs to another device') END AS detail
		FROM told AS t LEFT JOIN fleet.device AS d USING (serial) LEFT JOIN fleet.model AS m USING (model_id)
		LEFT JOIN fleet.module AS n USING (device_id) LEFT JOIN fleet.sim AS i USING (device_id)
		LEFT JOIN fleet.module AS by_imei ON by_imei.imei = t.imei LEFT JOIN fleet.sim AS by_iccid ON by_iccid.iccid = t.iccid
		LEFT JOIN fleet.sim AS by_imsi ON by_imsi.imsi = t.imsi
		CROSS JOIN LATERAL api.import_wrong(CASE WHEN d.device_id IS NULL THEN t.f END) AS w
		CROSS JOIN LATERAL (SELECT jsonb_build_object('serial', d.serial, 'state', d.state, 'manufacturer', m.manufacturer,
			'model', m.name, 'hardware_revision', d.hardware_revision, 'firmware', d.firmware, 'tags', d.tags, 'imei', n.imei,
			'iccid', i.iccid, 'imsi', i.imsi, 'apn', i.apn) WHERE d.device_id IS NOT NULL UNION ALL SELECT NULL
			WHERE d.device_id IS NULL) AS k (kept)
	), placed AS (
		SELECT j.*, count(*) FILTER (WHERE j.detail IS NULL AND NOT j.known) OVER (PARTITION BY j.serial ORDER BY j.line ROWS BETWEEN
				UNBOUNDED PRECEDING AND 1 PRECEDING) > 0 AS serial_before,
			count(*) FILTER (WHERE j.detail IS NULL) OVER (PARTITION BY j.imei ORDER BY j.line) > 1 AND j.imei IS NOT NULL
			OR count(*) FILTER (WHERE j.detail IS NULL) OVER (PARTITION BY j.iccid ORDER BY j.line) > 1 AND j.iccid IS NOT NULL
			OR count(*) FILTER (WHERE j.detail IS NULL) OVER (PARTITION BY j.imsi ORDER BY j.line) > 1 AND j.imsi IS NOT NULL
			AS part_before
		FROM judged AS j
	)
	SELECT coalesce(array_agg((p.line, p.f, CASE WHEN p.detail IS NOT NULL THEN 'failed' WHEN p.known THEN 'unchanged' END,
		p.detail)::api.import_row ORDER BY p.line), '{}')
	FROM placed AS p
	WHERE NOT p.serial_before AND (p.detail IS NOT NULL OR p.known OR NOT p.part_before)
$$;
COMMENT ON FUNCTION api.import_judge(fleet.operation, int) IS
	'Of the first rows of an import that have no result, those that can be judged now, the first of them always: what became of each, or '
	'NULL for the devices to be made. A row waits when one before it may make a device with the same serial, IMEI, ICCID or IMSI, so the '
	'outcome is that of one row after the other.';

CREATE FUNCTION api.import_make(rows api.import_row[]) RETURNS api.import_row[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off -- nothing is known of the numbers of these rows
AS $$
DECLARE
	half CONSTANT int := cardinality(rows) / 2;
	broken text;
BEGIN
	INSERT INTO fleet.model (manufacturer, name)
	SELECT DISTINCT r.fields ->> 'manufacturer', r.fields ->> 'model' FROM unnest(rows) AS r ORDER BY 1, 2 ON CONFLICT DO NOTHING;
	WITH wanted AS MATERIALIZED (
		SELECT r.line, r.fields AS f, m.model_id FROM unnest(rows) AS r
		JOIN fleet.model AS m ON m.manufacturer = r.fields ->> 'manufacturer' AND m.name = r.fields ->> 'model'
	), made AS (
		INSERT INTO fleet.device (serial, model_id, hardware_revision, state, firmware, tags)
		SELECT f ->> 'serial', model_id, coalesce(f ->> 'hardware_revision', ''), coalesce(f ->> 'state', 'active'),
			coalesce(f ->> 'firmware', ''), ARRAY(SELECT jsonb_array_elements_text(f -> 'tags'))
		FROM wanted ORDER BY line RETURNING device_id, serial
	), with_module AS (
		INSERT INTO fleet.module (device_id, imei)
		SELECT d.device_id, f ->> 'imei' FROM wanted JOIN made AS d ON d.serial = f ->> 'serial' WHERE f ? 'imei'
	)
	INSERT INTO fleet.sim (device_id, iccid, imsi, apn)
	SELECT d.device_id, f ->> 'iccid', f ->> 'imsi', f ->> 'apn' FROM wanted JOIN made AS d ON d.serial = f ->> 'serial' WHERE f ? 'iccid';
	RETURN ARRAY(SELECT (r.line, r.fields, 'created', NULL)::api.import_row FROM unnest(rows) AS r);
EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded THEN
	IF half > 0 THEN
		RETURN api.import_make(rows[:half]) || api.import_make(rows[half + 1:]);
	END IF;
	GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
	RETURN ARRAY[(rows[1].line, rows[1].fields, 'failed', coalesce(
		substring(broken FROM '^(?:device|module|sim|model)_(.*?)(?:_key|_check|_check[0-9])$')
		|| CASE sqlstate WHEN '23505' THEN ': belongs to another device' ELSE ': not as it is expected' END, sqlerrm))::api.import_row];
END
$$;
COMMENT ON FUNCTION api.import_make(api.import_row[]) IS
	'Makes the devices of rows, active unless they say otherwise, all at once. When the database refuses, because somebody else has '
	'registered one meanwhile, it is tried in halves until the refused row stands alone and fails with the reason.';

CREATE FUNCTION api.work_import(o fleet.operation) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most CONSTANT int := 2000; -- about half a second of work: what a killed process loses, and a step of the progress
	rows CONSTANT api.import_row[] := api.import_judge(o, most);
	fresh CONSTANT api.import_row[] := ARRAY(SELECT r FROM unnest(rows) AS r WHERE r.result IS NULL);
	good int;
	bad int;
BEGIN
	PERFORM set_config('coldfleet.actor', o.actor, true), set_config('coldfleet.reason', coalesce(o.reason, ''), true),
		set_config('coldfleet.request_id', coalesce(o.request_id, ''), true);
	WITH done AS (
		UPDATE fleet.operation_row AS r SET serial = left(p.fields ->> 'serial', 64), result = p.result, detail = p.detail
		FROM (SELECT * FROM unnest(rows) WHERE result IS NOT NULL
		      UNION ALL SELECT * FROM unnest(CASE WHEN fresh = '{}' THEN fresh ELSE api.import_make(fresh) END)) AS p
		WHERE r.operation_id = o.operation_id AND r.line = p.line
		RETURNING p.result)
	SELECT count(*) FILTER (WHERE d.result <> 'failed'), count(*) FILTER (WHERE d.result = 'failed') INTO good, bad FROM done AS d;
	UPDATE fleet.operation AS p SET (succeeded, failed, state, finished_at) = (
		SELECT p.succeeded + good, p.failed + bad, CASE WHEN rest THEN 'running' ELSE 'done' END, CASE WHEN NOT rest THEN clock_timestamp() END
		FROM (SELECT EXISTS (SELECT FROM fleet.operation_row AS r WHERE r.operation_id = o.operation_id AND r.result IS NULL)) AS u (rest))
	WHERE p.operation_id = o.operation_id;
END
$$;
COMMENT ON FUNCTION api.work_import(fleet.operation) IS 'The next rows of an import, which the caller has locked.';

CREATE FUNCTION api.work() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o fleet.operation;
	stale text;
BEGIN
	PERFORM set_config('coldfleet.scope', '*', true);
	-- First, since at most a tenth of the time goes into counting, while an import can take all that there is.
	FOR stale IN SELECT scope FROM fleet.stale_summaries() AS scope LOOP
		PERFORM set_config('coldfleet.scope', stale, true);
		PERFORM api.refresh_summary();
		RETURN true;
	END LOOP;
	SELECT * INTO o FROM fleet.operation AS p WHERE p.state <> 'done' ORDER BY p.created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF o.operation_id IS NOT NULL THEN
		PERFORM api.work_import(o);
		RETURN true;
	END IF;
	IF fleet.forget_events(10000) THEN
		RETURN true;
	END IF;
	DELETE FROM fleet.operation AS p WHERE p.operation_id = (SELECT d.operation_id FROM fleet.operation AS d
		WHERE d.finished_at < now() - interval '30 days' LIMIT 1 FOR UPDATE SKIP LOCKED);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION api.work() IS
	'What REST leaves to the background, one piece of it: counts of the fleet that are asked for and old, else rows of an import, else '
	'events that were kept long enough and an operation of more than 30 days ago are forgotten. True: there may be more. For coldfleet-api itself; no token is asked.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
CREATE FUNCTION fleet.stale_summaries() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM (
		(SELECT '*' UNION SELECT array_to_string(t.groups, ',') FROM fleet.token AS t
		 WHERE t.groups IS NOT NULL AND t.revoked_at IS NULL AND coalesce(t.expires_at, 'infinity') > now())
		EXCEPT SELECT s.scope FROM fleet.summary AS s) AS uncounted
	UNION ALL SELECT s.scope FROM fleet.summary AS s
	WHERE s.asked_at > now() - interval '10 minutes' AND s.taken_at < now() - greatest(interval '10 s',
		(SELECT sum(u.took) * 10 FROM fleet.summary AS u WHERE u.asked_at > now() - interval '10 minutes'))
	LIMIT 1
$$;
COMMENT ON FUNCTION fleet.stale_summaries() IS
	'A scope whose counts are due. Those of all devices and of each token in force are due while they were never counted, so that no '
	'request has to; then those asked for in the last ten minutes, when they are older than 10 s and than ten times what counting all '
	'such scopes takes.';
REVOKE ALL ON FUNCTION fleet.stale_summaries() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.stale_summaries() TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION api.devices_import(text, text, text), api.operation_get(text), api.operation_rows(text, text, int, text),
	api.work() TO coldfleet_api;

COMMIT;
