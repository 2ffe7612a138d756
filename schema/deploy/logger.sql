-- SPDX-License-Identifier: Apache-2.0
-- Files that data loggers give, as evidence: the bytes as they came and their SHA-256, the device's own limits, verdicts and
-- figures in tables of their own beside ours, and its samples as readings, which are judged like any other.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.logger_file (
	file_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL REFERENCES fleet.device,
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	bytes bytea NOT NULL,
	format text NOT NULL CHECK (format IN ('q-tag', 'fridge-tag')),
	printed_serial text NOT NULL,
	firmware text,
	zone text NOT NULL,
	samples int NOT NULL,
	missing int NOT NULL,
	out_samples int NOT NULL,
	conflicts int NOT NULL,
	first_at timestamptz NOT NULL,
	last_at timestamptz NOT NULL,
	facts jsonb NOT NULL,
	markers text[] NOT NULL,
	imported_at timestamptz NOT NULL DEFAULT now(),
	imported_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	reason text DEFAULT fleet.setting('reason'),
	UNIQUE (sha256, device_id)
);
CREATE INDEX logger_file_device ON coldchain.logger_file (device_id, file_id);
COMMENT ON TABLE coldchain.logger_file IS 'Files of data loggers, one row a file; never changed. The same bytes are one file of a device.';
COMMENT ON COLUMN coldchain.logger_file.file_id IS 'Number of the file.';
COMMENT ON COLUMN coldchain.logger_file.device_id IS 'The device that it is of, by what whoever imported it said.';
COMMENT ON COLUMN coldchain.logger_file.sha256 IS 'SHA-256 of the bytes.';
COMMENT ON COLUMN coldchain.logger_file.bytes IS 'The file as it came.';
COMMENT ON COLUMN coldchain.logger_file.format IS 'q-tag or fridge-tag.';
COMMENT ON COLUMN coldchain.logger_file.printed_serial IS 'The serial number that the file says; the same in all files of a device.';
COMMENT ON COLUMN coldchain.logger_file.firmware IS 'The firmware version that the file says; NULL: none.';
COMMENT ON COLUMN coldchain.logger_file.zone IS 'The zone that its times were read in, as it was said at import: the file has none.';
COMMENT ON COLUMN coldchain.logger_file.samples IS 'How many samples it has.';
COMMENT ON COLUMN coldchain.logger_file.missing IS 'How many of them have no value; these are no readings, their time is unobserved.';
COMMENT ON COLUMN coldchain.logger_file.out_samples IS 'How many of them the device itself calls out of limits.';
COMMENT ON COLUMN coldchain.logger_file.conflicts IS
	'How many have another temperature than a reading of the same moment that was stored before, which stays as it is.';
COMMENT ON COLUMN coldchain.logger_file.first_at IS 'When its first sample was measured.';
COMMENT ON COLUMN coldchain.logger_file.last_at IS 'When its last sample was measured.';
COMMENT ON COLUMN coldchain.logger_file.facts IS
	'What it says besides limits, verdicts, figures and samples, by its path in the file. Its signature is kept, not verified.';
COMMENT ON COLUMN coldchain.logger_file.markers IS 'What somebody marked at the device, as it stands in the file.';
COMMENT ON COLUMN coldchain.logger_file.imported_at IS 'When it was imported.';
COMMENT ON COLUMN coldchain.logger_file.imported_by IS 'Who imported it.';
COMMENT ON COLUMN coldchain.logger_file.reason IS 'Why; NULL: not said.';

CREATE TABLE coldchain.logger_limit (
	file_id int NOT NULL REFERENCES coldchain.logger_file,
	device_id int NOT NULL,
	number int NOT NULL,
	side text NOT NULL CHECK (side IN ('lower', 'upper')),
	counting text CHECK (counting IN ('single', 'cumulative')),
	limit_c real NOT NULL,
	allowed_s int NOT NULL CHECK (allowed_s >= 0),
	PRIMARY KEY (file_id, number)
);
COMMENT ON TABLE coldchain.logger_limit IS 'What a logger alarms by, as its file says, one row a limit.';
COMMENT ON COLUMN coldchain.logger_limit.file_id IS 'The file.';
COMMENT ON COLUMN coldchain.logger_limit.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.logger_limit.number IS 'What the device calls the limit.';
COMMENT ON COLUMN coldchain.logger_limit.side IS 'lower: it alarms below the limit; upper: above it.';
COMMENT ON COLUMN coldchain.logger_limit.counting IS 'single: each stay counts from zero; cumulative: all together; NULL: the file does not say.';
COMMENT ON COLUMN coldchain.logger_limit.limit_c IS 'The limit, degrees Celsius.';
COMMENT ON COLUMN coldchain.logger_limit.allowed_s IS 'How long it may be out before the device alarms, seconds.';

CREATE TABLE coldchain.logger_verdict (
	file_id int NOT NULL REFERENCES coldchain.logger_file,
	line int NOT NULL,
	device_id int NOT NULL,
	number int NOT NULL,
	day date,
	out_s int NOT NULL CHECK (out_s >= 0),
	started_at timestamptz,
	alarm_at timestamptz,
	ended_at timestamptz,
	extreme_c real,
	extreme_at timestamptz,
	ambient_c real,
	PRIMARY KEY (file_id, line)
);
COMMENT ON TABLE coldchain.logger_verdict IS
	'What a logger itself found, one row a stretch or day. It judges between samples too, so it is not what its samples alone give; '
	'neither overwrites the other.';
COMMENT ON COLUMN coldchain.logger_verdict.file_id IS 'The file.';
COMMENT ON COLUMN coldchain.logger_verdict.line IS 'Counts the verdicts of a file from 1, in its order.';
COMMENT ON COLUMN coldchain.logger_verdict.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.logger_verdict.number IS 'The limit, coldchain.logger_limit.';
COMMENT ON COLUMN coldchain.logger_verdict.day IS 'The day of the device''s clock that it is about; NULL: it is about a stretch of the run.';
COMMENT ON COLUMN coldchain.logger_verdict.out_s IS 'How long the device counted, seconds; it tells whole minutes.';
COMMENT ON COLUMN coldchain.logger_verdict.started_at IS 'When it began; NULL: not said.';
COMMENT ON COLUMN coldchain.logger_verdict.alarm_at IS 'When the device alarmed; NULL: it did not.';
COMMENT ON COLUMN coldchain.logger_verdict.ended_at IS 'When it ended; NULL: it had not, or the device did not say.';
COMMENT ON COLUMN coldchain.logger_verdict.extreme_c IS 'The temperature farthest out, degrees Celsius; NULL: not said.';
COMMENT ON COLUMN coldchain.logger_verdict.extreme_at IS 'When that was.';
COMMENT ON COLUMN coldchain.logger_verdict.ambient_c IS 'Ambient temperature when it alarmed, degrees Celsius; NULL: not said.';

CREATE TABLE coldchain.logger_span (
	file_id int NOT NULL REFERENCES coldchain.logger_file,
	line int NOT NULL,
	device_id int NOT NULL,
	day date,
	min_c real,
	min_at timestamptz,
	max_c real,
	max_at timestamptz,
	mean_c real,
	mkt_c real,
	PRIMARY KEY (file_id, line)
);
COMMENT ON TABLE coldchain.logger_span IS 'Figures that a logger itself gives, of its run or of a day.';
COMMENT ON COLUMN coldchain.logger_span.file_id IS 'The file.';
COMMENT ON COLUMN coldchain.logger_span.line IS 'Counts the spans of a file from 1, in its order.';
COMMENT ON COLUMN coldchain.logger_span.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.logger_span.day IS 'The day of the device''s clock; NULL: the whole run.';
COMMENT ON COLUMN coldchain.logger_span.min_c IS 'Lowest temperature, degrees Celsius; NULL: not said.';
COMMENT ON COLUMN coldchain.logger_span.min_at IS 'When that was.';
COMMENT ON COLUMN coldchain.logger_span.max_c IS 'Highest temperature, degrees Celsius; NULL: not said.';
COMMENT ON COLUMN coldchain.logger_span.max_at IS 'When that was.';
COMMENT ON COLUMN coldchain.logger_span.mean_c IS 'Mean temperature, degrees Celsius; NULL: not said.';
COMMENT ON COLUMN coldchain.logger_span.mkt_c IS
	'Mean kinetic temperature as the device prints it, degrees Celsius; NULL: not said. It cuts digits off, and facts say its energy.';

CREATE FUNCTION coldchain.store_series(device_id int, ts timestamptz[], probe smallint[], temperature_c real[], door_open boolean[],
	mains_power boolean[], OUT stored int, OUT conflicts int)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	device CONSTANT int := store_series.device_id;
	n CONSTANT int := cardinality(store_series.ts);
	places int[];
BEGIN
	PERFORM telemetry.ensure_partition(min(t)) FROM unnest(store_series.ts) AS t GROUP BY date_bin('1 day', t, 'epoch');
	SELECT array_agg(place ORDER BY t, p, place) INTO places
	FROM unnest(store_series.ts, store_series.probe) WITH ORDINALITY AS u (t, p, place);
	stored := (telemetry.store_readings(array_fill(device, ARRAY[n]), ARRAY(SELECT store_series.ts[i] FROM unnest(places) AS i),
		array_fill(now(), ARRAY[n]), array_fill(-1, ARRAY[n]), array_fill(0::smallint, ARRAY[n]),
		ARRAY(SELECT store_series.probe[i] FROM unnest(places) AS i), ARRAY(SELECT store_series.temperature_c[i] FROM unnest(places) AS i),
		array_fill(NULL::real, ARRAY[n]), NULL, NULL, array_fill(NULL::real, ARRAY[n]), NULL, NULL, NULL, NULL, NULL,
		CASE WHEN num_nonnulls(VARIADIC store_series.door_open) > 0 THEN ARRAY(SELECT store_series.door_open[i] FROM unnest(places) AS i) END,
		NULL,
		CASE WHEN num_nonnulls(VARIADIC store_series.mains_power) > 0 THEN
			ARRAY(SELECT store_series.mains_power[i] FROM unnest(places) AS i) END,
		NULL, NULL, false)).stored;
	conflicts := (SELECT count(*) FROM unnest(store_series.ts, store_series.probe, store_series.temperature_c) AS u (t, p, c)
		JOIN telemetry.reading AS r ON r.device_id = device AND r.ts = u.t AND r.probe = u.p AND r.epoch = 0 AND r.seq = -1
		WHERE r.temperature_c IS DISTINCT FROM u.c);
	IF stored > 0 THEN
		PERFORM coldchain.mark(ARRAY[device], ARRAY[(SELECT min(t) FROM unnest(store_series.ts) AS t)]);
	END IF;
END
$$;
COMMENT ON FUNCTION coldchain.store_series(int, timestamptz[], smallint[], real[], boolean[], boolean[]) IS
	'Stores what a device measured that does not speak for itself, one array a column, and has it judged. One temperature a probe and '
	'moment: what is stored already stays. Returns how many were new, and how many have another temperature than what is stored. A time '
	'for which no readings are kept: 22008.';

DO $$
BEGIN
	PERFORM fleet.guard(target) FROM unnest(ARRAY['coldchain.logger_file', 'coldchain.logger_limit', 'coldchain.logger_verdict',
		'coldchain.logger_span']::regclass[]) AS target;
	PERFORM audit.watch('coldchain.logger_file', 'logger_file', NULL, '{bytes,facts,markers}');
END
$$;
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.logger_file
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.logger_limit
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.logger_verdict
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.logger_span
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();

REVOKE ALL ON FUNCTION coldchain.store_series(int, timestamptz[], smallint[], real[], boolean[], boolean[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.store_series(int, timestamptz[], smallint[], real[], boolean[], boolean[]) TO coldfleet_api_definer;
GRANT SELECT, INSERT ON coldchain.logger_file, coldchain.logger_limit, coldchain.logger_verdict, coldchain.logger_span
	TO coldfleet_api_definer;
GRANT SELECT ON coldchain.logger_file, coldchain.logger_limit, coldchain.logger_verdict, coldchain.logger_span TO coldfleet_analyst;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.local_time(said text, zone text) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
	SELECT CASE WHEN zone ~ '^[+-]' THEN said::timestamp AT TIME ZONE zone::interval ELSE said::timestamp AT TIME ZONE zone END
$$;
COMMENT ON FUNCTION api.local_time(text, text) IS
	'The moment that a clock showed. zone: a name, or +HH:MM east of UTC, which as a name would be west.';

CREATE FUNCTION api.check_zone(zone text, said text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF zone IS NULL THEN
		RAISE EXCEPTION 'zone: expected the zone of the device''s clock, for the times of the file have none%',
			coalesce(format(' (the device was set to %s)', left(said, 20)), '') USING ERRCODE = 'CF422';
	END IF;
	IF zone !~ '^[+-](0[0-9]|1[0-4]):[0-5][0-9]$' AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = zone) THEN
		RAISE EXCEPTION 'zone: expected a name such as UTC or Africa/Accra, or +HH:MM' USING ERRCODE = 'CF422';
	END IF;
END
$$;
COMMENT ON FUNCTION api.check_zone(text, text) IS 'Refuses with CF422 what is no zone. said: what the file says about it; NULL: nothing.';

CREATE FUNCTION api.json_logger_file(f coldchain.logger_file) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":', f.file_id, ',"sha256":"', encode(f.sha256, 'hex'), '","format":"', f.format,
		'","printed_serial":', to_json(f.printed_serial), ',"firmware":', api.json_or_null(f.firmware), ',"zone":', to_json(f.zone),
		',"samples":', f.samples, ',"missing":', f.missing, ',"out_samples":', f.out_samples, ',"conflicts":', f.conflicts,
		',"first_at":', api.json_time(f.first_at), ',"last_at":', api.json_time(f.last_at),
		',"imported_at":', api.json_time(f.imported_at), ',"imported_by":', to_json(f.imported_by),
		',"reason":', api.json_or_null(f.reason), ',"facts":', f.facts,
		',"limits":[', (SELECT string_agg(concat('{"number":', l.number, ',"side":"', l.side, '","counting":', api.json_or_null(l.counting),
			',"limit_c":', l.limit_c, ',"allowed_s":', l.allowed_s, '}'), ',' ORDER BY l.number)
			FROM coldchain.logger_limit AS l WHERE l.file_id = f.file_id),
		'],"verdicts":[', (SELECT string_agg(concat('{"number":', v.number, ',"day":', coalesce(to_json(v.day)::text, 'null'),
			',"out_s":', v.out_s, ',"started_at":', coalesce(api.json_time(v.started_at), 'null'),
			',"alarm_at":', coalesce(api.json_time(v.alarm_at), 'null'), ',"ended_at":', coalesce(api.json_time(v.ended_at), 'null'),
			',"extreme_c":', coalesce(v.extreme_c::text, 'null'), ',"ambient_c":', coalesce(v.ambient_c::text, 'null'), '}'), ','
			ORDER BY v.line) FROM coldchain.logger_verdict AS v WHERE v.file_id = f.file_id),
		'],"spans":[', (SELECT string_agg(concat('{"day":', coalesce(to_json(s.day)::text, 'null'),
			',"min_c":', coalesce(s.min_c::text, 'null'), ',"min_at":', coalesce(api.json_time(s.min_at), 'null'),
			',"max_c":', coalesce(s.max_c::text, 'null'), ',"max_at":', coalesce(api.json_time(s.max_at), 'null'),
			',"mean_c":', coalesce(s.mean_c::text, 'null'), ',"mkt_c":', coalesce(s.mkt_c::text, 'null'), '}'), ',' ORDER BY s.line)
			FROM coldchain.logger_span AS s WHERE s.file_id = f.file_id), ']}')
$$;
COMMENT ON FUNCTION api.json_logger_file(coldchain.logger_file) IS 'A file of a logger and what the device itself says, as a JSON object.';

CREATE FUNCTION api.logger_keep(file int, device int, zone text, doc jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Q-tag types: 1 lower single, 2 upper single, 3 lower cumulative, 4 upper cumulative. A Fridge-tag has 0, lower, and 1, upper.
	INSERT INTO coldchain.logger_limit (file_id, device_id, number, side, counting, limit_c, allowed_s)
	SELECT file, device, (l ->> 'number')::int,
		CASE WHEN coalesce(l ->> 'type', CASE l ->> 'number' WHEN '0' THEN '1' ELSE '2' END) IN ('1', '3') THEN 'lower' ELSE 'upper' END,
		CASE WHEN l ->> 'type' IN ('1', '2') THEN 'single' WHEN l ->> 'type' IN ('3', '4') THEN 'cumulative' END,
		(l ->> 'limit_c')::real, coalesce(l ->> 'minutes', '0')::int * 60
	FROM jsonb_array_elements(doc -> 'limits') AS l WHERE l ? 'limit_c';
	INSERT INTO coldchain.logger_verdict (file_id, line, device_id, number, day, out_s, started_at, alarm_at, ended_at, extreme_c, extreme_at,
		ambient_c)
	SELECT file, n, device, (v ->> 'number')::int, (v ->> 'date')::date, coalesce(v ->> 'minutes', '0')::int * 60,
		api.local_time(v ->> 'started_at', zone), api.local_time(v ->> 'alarm_at', zone), api.local_time(v ->> 'ended_at', zone),
		(v ->> 'extreme_c')::real, api.local_time(v ->> 'extreme_at', zone), (v ->> 'ambient_c')::real
	FROM jsonb_array_elements(doc -> 'verdicts') WITH ORDINALITY AS e (v, n);
	INSERT INTO coldchain.logger_span (file_id, line, device_id, day, min_c, min_at, max_c, max_at, mean_c, mkt_c)
	SELECT file, n, device, (s ->> 'date')::date, (s ->> 'min_c')::real, api.local_time(s ->> 'min_at', zone), (s ->> 'max_c')::real,
		api.local_time(s ->> 'max_at', zone), (s ->> 'mean_c')::real, (s ->> 'mkt_c')::real
	FROM jsonb_array_elements(doc -> 'spans') WITH ORDINALITY AS e (s, n);
END
$$;
COMMENT ON FUNCTION api.logger_keep(int, int, text, jsonb) IS 'Keeps what a logger itself says: limits, verdicts, figures.';

CREATE FUNCTION api.logger_import(serial text, zone text, reason text, doc jsonb, bytes bytea) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	f coldchain.logger_file;
	ts timestamptz[];
	values_c real[];
	clash int;
BEGIN
	PERFORM api.because(reason);
	PERFORM pg_advisory_xact_lock('coldchain.logger_file'::regclass::oid::int, device);
	SELECT * INTO f FROM coldchain.logger_file AS l WHERE l.sha256 = sha256(logger_import.bytes) AND l.device_id = device;
	IF f.file_id IS NOT NULL THEN
		RETURN (200, api.json_logger_file(f), NULL, NULL)::api.answer;
	END IF;
	PERFORM api.check_zone(zone, doc #>> '{facts,Conf/Zone}');
	IF EXISTS (SELECT FROM fleet.certificate AS c WHERE c.device_id = device) THEN
		RAISE EXCEPTION '% has a certificate and speaks for itself: register the logger under a serial of its own', serial USING ERRCODE = 'CF409';
	END IF;
	IF EXISTS (SELECT FROM coldchain.logger_file AS l WHERE l.device_id = device AND l.printed_serial <> doc ->> 'serial') THEN
		RAISE EXCEPTION 'files of % are of a logger with another serial number than %', serial, left(doc ->> 'serial', 60) USING ERRCODE = 'CF409';
	END IF;
	-- Of devices that the call sees: what others have is not told, not even by a refusal.
	IF EXISTS (SELECT FROM coldchain.logger_file AS l WHERE l.sha256 = sha256(logger_import.bytes)) THEN
		RAISE EXCEPTION 'the file is here already, of another device' USING ERRCODE = 'CF409';
	END IF;
	SELECT array_agg(api.local_time(t, zone) ORDER BY n), min(api.local_time(t, zone)), max(api.local_time(t, zone))
	INTO ts, f.first_at, f.last_at
	FROM jsonb_array_elements_text(doc -> 'ts') WITH ORDINALITY AS e (t, n);
	IF f.last_at > now() + interval '10 minutes' THEN
		RAISE EXCEPTION 'the last sample is of %, which has not come yet: expected another zone, or another clock',
			api.json_time(f.last_at) USING ERRCODE = 'CF422';
	END IF;
	SELECT array_agg(c::real ORDER BY n) INTO values_c FROM jsonb_array_elements_text(doc -> 'c') WITH ORDINALITY AS e (c, n);
	IF cardinality(array_remove(values_c, NULL)) > 0 THEN
		BEGIN
			SELECT s.conflicts INTO clash FROM (SELECT array_agg(u.t) AS t, array_agg(u.c) AS c
				FROM unnest(ts, values_c) AS u (t, c) WHERE u.c IS NOT NULL) AS u,
				coldchain.store_series(device, u.t, array_fill(0::smallint, ARRAY[cardinality(u.t)]), u.c, '{}', '{}') AS s;
		EXCEPTION WHEN datetime_field_overflow THEN
			RAISE EXCEPTION 'the first sample is of %, longer ago than readings are kept', api.json_time(f.first_at) USING ERRCODE = 'CF422';
		END;
	END IF;
	INSERT INTO coldchain.logger_file (device_id, sha256, bytes, format, printed_serial, firmware, zone, samples, missing, out_samples,
		conflicts, first_at, last_at, facts, markers)
	VALUES (device, sha256(logger_import.bytes), bytes, doc ->> 'format', doc ->> 'serial', doc ->> 'firmware', zone, cardinality(ts),
		cardinality(ts) - cardinality(array_remove(values_c, NULL)), (SELECT count(*) FROM jsonb_array_elements_text(doc -> 'x') AS x
			WHERE x = 'x'), coalesce(clash, 0), f.first_at, f.last_at, doc -> 'facts',
		ARRAY(SELECT jsonb_array_elements_text(doc -> 'markers')))
	RETURNING * INTO f;
	PERFORM api.logger_keep(f.file_id, device, zone, doc);
	RETURN (201, api.json_logger_file(f), NULL, format('/v1/devices/%s/logger-files', serial))::api.answer;
END
$$;
COMMENT ON FUNCTION api.logger_import(text, text, text, jsonb, bytea) IS
	'POST /v1/devices/{serial}/logger-files: keeps a file of a logger, what it says itself, and its samples as readings. doc: what '
	'api/logger_file.h makes of it. A file that is here already is shown as it was imported. No zone, samples that have not come yet '
	'or are of longer ago than readings are kept: CF422; a device with a certificate, a file of another logger or device: CF409.';

CREATE FUNCTION api.logger_files(serial text, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	scope CONSTANT text := concat_ws(' ', 'logger-files', serial);
	before_file CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 2147483647);
	items text;
	shown int;
	last_file int;
BEGIN
	SELECT string_agg(api.json_logger_file(f), ',' ORDER BY file_id DESC) FILTER (WHERE n <= max_rows), count(*),
		min(file_id) FILTER (WHERE n <= max_rows)
	INTO items, shown, last_file
	FROM (SELECT l AS f, l.file_id, row_number() OVER (ORDER BY l.file_id DESC) AS n
	      FROM coldchain.logger_file AS l WHERE l.device_id = device AND l.file_id < before_file
	      ORDER BY l.file_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_file::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.logger_files(text, int, text) IS
	'GET /v1/devices/{serial}/logger-files: a page of the files that were imported of a device, the latest first. Unknown serial: CF404.';

REVOKE ALL ON FUNCTION api.local_time(text, text), api.check_zone(text, text), api.json_logger_file(coldchain.logger_file),
	api.logger_keep(int, int, text, jsonb), api.logger_import(text, text, text, jsonb, bytea), api.logger_files(text, int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.logger_import(text, text, text, jsonb, bytea), api.logger_files(text, int, text) TO coldfleet_api;

COMMIT;
