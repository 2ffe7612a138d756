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
	IF line !~ '^("([^"]|"")*"|[^",]*)(,("([^"]|"")*"|[^",]*))*$' THEN
		RAISE EXCEPTION 'a quote stands alone: expected fields with commas between, those with a comma or a quote in "..."'
			USING ERRCODE = 'CF422';
	END IF;
	RETURN ARRAY(SELECT CASE WHEN m[1] LIKE '"%' THEN replace(substr(m[1], 2, length(m[1]) - 2), '""', '"') ELSE m[1] END
		FROM regexp_matches(line || ',', '("(?:[^"]|"")*"|[^",]*),', 'g') WITH ORDINALITY AS f (m, n) ORDER BY n);
END
$$;
COMMENT ON FUNCTION api.csv_fields(text) IS 'The fields of a line of CSV (RFC 4180, no line break within a field); CF422 when it is none.';

CREATE FUNCTION api.check_import_names(names text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known CONSTANT text[] := '{serial,state,manufacturer,model,hardware_revision,firmware,tags,imei,iccid,imsi,apn,created_at,last_seen,battery_pct}';
BEGIN
	IF NOT names <@ known OR NOT 'serial' = ANY (names) OR cardinality(names) > (SELECT count(DISTINCT n) FROM unnest(names) AS n) THEN
		RAISE EXCEPTION 'expected serial and any of %, each once, got %', array_to_string(known[2:], ', '),
			left(array_to_string(names, ', '), 200) USING ERRCODE = 'CF422';
	END IF;
END
$$;
COMMENT ON FUNCTION api.check_import_names(text[]) IS 'Refuses with CF422 names that an import does not know; those of an export are known.';

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
	first_line CONSTANT text := rtrim(split_part(body, E'\n', 1), E'\r');
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'devices are registered by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	IF (SELECT count(*) >= 100 FROM fleet.operation AS o WHERE o.state <> 'done') THEN
		RAISE EXCEPTION '100 operations wait already, try again when some are done' USING ERRCODE = 'CF429';
	END IF;
	INSERT INTO fleet.operation (kind, format, header, actor, scope, reason, request_id, token_id)
	VALUES ('devices-import', format, CASE format WHEN 'csv' THEN api.csv_fields(first_line) END, fleet.setting('actor'),
		fleet.setting('scope'), reason, fleet.setting('request_id'), fleet.setting('token_id')::int)
	RETURNING * INTO made;
	IF format = 'csv' THEN
		PERFORM api.check_import_names(made.header);
	END IF;
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

-- One row of an import as the fields that fleet and api know.
CREATE FUNCTION api.import_fields(header text[], line text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	fields jsonb;
	cells text[];
BEGIN
	IF header IS NULL THEN
		fields := line::jsonb;
		IF jsonb_typeof(fields) <> 'object' THEN
			RAISE EXCEPTION 'expected a JSON object' USING ERRCODE = 'CF422';
		END IF;
		PERFORM api.check_import_names(ARRAY(SELECT jsonb_object_keys(fields)));
	ELSE
		cells := api.csv_fields(line);
		IF cardinality(cells) <> cardinality(header) THEN
			RAISE EXCEPTION 'expected % fields, got %', cardinality(header), cardinality(cells) USING ERRCODE = 'CF422';
		END IF;
		fields := jsonb_object(header, cells);
	END IF;
	SELECT coalesce(jsonb_object_agg(name, CASE WHEN name = 'tags' AND jsonb_typeof(value) = 'string'
		THEN to_jsonb(string_to_array(value #>> '{}', ' ')) ELSE value END), '{}') INTO fields
	FROM jsonb_each(fields) AS e (name, value)
	WHERE value NOT IN ('null', '""') AND name NOT IN ('created_at', 'last_seen', 'battery_pct');
	IF EXISTS (SELECT FROM jsonb_each(fields) AS e (name, value)
		   WHERE jsonb_typeof(value) <> CASE name WHEN 'tags' THEN 'array' ELSE 'string' END) THEN
		RAISE EXCEPTION 'expected texts, and for tags a list or words with spaces between' USING ERRCODE = 'CF422';
	END IF;
	RETURN fields;
EXCEPTION WHEN invalid_text_representation OR untranslatable_character THEN
	RAISE EXCEPTION 'expected a JSON object' USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.import_fields(text[], text) IS 'A row of an import as a JSON object of what it says; CF422 when it cannot be read.';

CREATE FUNCTION api.import_device(f jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	words CONSTANT text[] := ARRAY(SELECT DISTINCT tag COLLATE "C" FROM jsonb_array_elements_text(f -> 'tags') AS tag ORDER BY 1);
	known jsonb;
	device int;
	name text;
BEGIN
	SELECT jsonb_build_object('serial', d.serial, 'state', d.state, 'manufacturer', m.manufacturer, 'model', m.name,
		'hardware_revision', d.hardware_revision, 'firmware', d.firmware, 'tags', to_jsonb(d.tags), 'imei', o.imei,
		'iccid', i.iccid, 'imsi', i.imsi, 'apn', i.apn)
	INTO known FROM fleet.device AS d JOIN fleet.model AS m USING (model_id) LEFT JOIN fleet.module AS o USING (device_id)
	LEFT JOIN fleet.sim AS i USING (device_id) WHERE d.serial = f ->> 'serial';
	IF f ? 'tags' THEN
		f := f || jsonb_build_object('tags', words);
	END IF;
	IF known @> f THEN
		RETURN 'unchanged';
	END IF;
	IF known IS NOT NULL THEN
		SELECT e.name INTO name FROM jsonb_each(f) AS e (name, value) WHERE known -> e.name IS DISTINCT FROM e.value ORDER BY 1 LIMIT 1;
		RAISE EXCEPTION '%: the device is registered with another value; an import only adds devices', name USING ERRCODE = 'CF409';
	END IF;
	FOREACH name IN ARRAY '{serial,manufacturer,model}'::text[] LOOP
		IF f ->> name IS NULL THEN
			RAISE EXCEPTION '%: expected a value', name USING ERRCODE = 'CF422';
		END IF;
	END LOOP;
	IF NOT fleet.imei_valid(f ->> 'imei') THEN
		RAISE EXCEPTION 'imei: expected 15 digits, the last one the check digit of the others' USING ERRCODE = 'CF422';
	END IF;
	IF NOT fleet.tags_valid(words) THEN
		RAISE EXCEPTION 'tags: expected at most 32 of 1 to 64 of A-Z a-z 0-9 . _ : = -' USING ERRCODE = 'CF422';
	END IF;
	IF (f ? 'imsi' OR f ? 'apn') AND NOT f ? 'iccid' THEN
		RAISE EXCEPTION 'iccid: expected it beside imsi and apn' USING ERRCODE = 'CF422';
	END IF;
	device := fleet.register_device(f ->> 'serial', f ->> 'manufacturer', f ->> 'model', f ->> 'hardware_revision', f ->> 'imei', f ->> 'iccid');
	IF f ? 'firmware' OR f ? 'tags' OR f ->> 'state' <> 'active' THEN
		UPDATE fleet.device AS d SET firmware = coalesce(f ->> 'firmware', ''), tags = words, state = coalesce(f ->> 'state', d.state)
		WHERE d.device_id = device;
	END IF;
	IF f ? 'imsi' OR f ? 'apn' THEN
		UPDATE fleet.sim AS i SET imsi = f ->> 'imsi', apn = f ->> 'apn' WHERE i.device_id = device;
	END IF;
	RETURN 'created';
END
$$;
COMMENT ON FUNCTION api.import_device(jsonb) IS
	'Registers the device of a row, active unless it says otherwise: created; unchanged when all it says is so already; refused when the '
	'device is known with another value.';

CREATE FUNCTION api.import_row(header text[], line text, OUT serial text, OUT result text, OUT detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	fields jsonb;
	broken text;
BEGIN
	fields := api.import_fields(header, line);
	serial := left(fields ->> 'serial', 64);
	result := api.import_device(fields);
EXCEPTION
	WHEN unique_violation OR check_violation THEN
		GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
		result := 'failed';
		detail := format(CASE sqlstate WHEN '23505' THEN '%s: belongs to another device' ELSE '%s: not as it is expected' END,
			substring(broken FROM '^(?:device|module|sim|model)_(.*?)(?:_key|_check|_check[0-9])$'));
	WHEN SQLSTATE 'CF409' OR SQLSTATE 'CF422' THEN
		result := 'failed';
		detail := sqlerrm;
END
$$;
COMMENT ON FUNCTION api.import_row(text[], text) IS 'Carries out one row of an import, or says why not; anything else stops the piece, which is done again.';

CREATE FUNCTION api.work() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most CONSTANT int := 50; -- more than 64 subtransactions slow down every other session's snapshots
	o fleet.operation;
	good int;
	bad int;
	stale text;
BEGIN
	PERFORM set_config('coldfleet.scope', '*', true);
	SELECT * INTO o FROM fleet.operation AS p WHERE p.state <> 'done' ORDER BY p.created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF o.operation_id IS NOT NULL THEN
		PERFORM set_config('coldfleet.actor', o.actor, true), set_config('coldfleet.reason', coalesce(o.reason, ''), true),
			set_config('coldfleet.request_id', coalesce(o.request_id, ''), true);
		WITH piece AS MATERIALIZED (
			SELECT r.line, n.* FROM (SELECT * FROM fleet.operation_row AS w WHERE w.operation_id = o.operation_id AND w.result IS NULL
						 ORDER BY w.line LIMIT most) AS r
			CROSS JOIN LATERAL api.import_row(o.header, r.input) AS n
		), done AS (
			UPDATE fleet.operation_row AS r SET serial = p.serial, result = p.result, detail = p.detail
			FROM piece AS p WHERE r.operation_id = o.operation_id AND r.line = p.line
			RETURNING p.result)
		SELECT count(*) FILTER (WHERE d.result <> 'failed'), count(*) FILTER (WHERE d.result = 'failed') INTO good, bad FROM done AS d;
		UPDATE fleet.operation AS p SET succeeded = p.succeeded + good, failed = p.failed + bad,
			state = CASE WHEN good + bad < most THEN 'done' ELSE 'running' END,
			finished_at = CASE WHEN good + bad < most THEN clock_timestamp() END
		WHERE p.operation_id = o.operation_id;
		RETURN true;
	END IF;
	-- At most a tenth of the time goes into counting.
	FOR stale IN SELECT scope FROM fleet.stale_summaries() AS scope LOOP
		PERFORM set_config('coldfleet.scope', stale, true);
		PERFORM api.refresh_summary();
	END LOOP;
	PERFORM set_config('coldfleet.scope', '*', true);
	DELETE FROM fleet.operation AS p WHERE p.operation_id = (SELECT d.operation_id FROM fleet.operation AS d
		WHERE d.finished_at < now() - interval '30 days' LIMIT 1 FOR UPDATE SKIP LOCKED);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION api.work() IS
	'What REST leaves to the background, one piece of it: rows of an import, else counts of the fleet that are asked for and old, else '
	'an operation of more than 30 days ago is forgotten. True: there may be more. For coldfleet-api itself; no token is asked.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
CREATE FUNCTION fleet.stale_summaries() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT scope FROM fleet.summary AS s
	WHERE s.asked_at > now() - interval '10 minutes' AND s.taken_at < now() - greatest(interval '10 s', s.took * 10)
	UNION ALL SELECT '*' WHERE NOT EXISTS (SELECT FROM fleet.summary WHERE scope = '*')
	LIMIT 1
$$;
COMMENT ON FUNCTION fleet.stale_summaries() IS
	'A scope whose counts are due: asked for in the last ten minutes, older than 10 s and than ten times what counting took; that of all '
	'devices also when it was never counted.';
REVOKE ALL ON FUNCTION fleet.stale_summaries() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.stale_summaries() TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION api.devices_import(text, text, text), api.operation_get(text), api.operation_rows(text, text, int, text),
	api.work() TO coldfleet_api;

COMMIT;
