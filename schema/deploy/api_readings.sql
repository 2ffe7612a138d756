-- SPDX-License-Identifier: Apache-2.0
-- What devices said, in every form that REST gives it: pages and long answers of readings, buckets of them, the latest
-- state, the numbers that are missing, and the messages that could not be read.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.micros(at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT ((extract(epoch FROM at) * 1000000)::bigint)::text
$$;
COMMENT ON FUNCTION api.micros(timestamptz) IS 'A moment as a key of lists: microseconds since 1970.';

CREATE FUNCTION api.from_micros(key text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE
AS $$
	SELECT timestamptz 'epoch' + key::bigint * interval '1 microsecond'
$$;
COMMENT ON FUNCTION api.from_micros(text) IS 'The moment that a key of a list stands for.';

-- Single expressions without settings of their own, as the JSON of a reading: they become part of the query.
CREATE FUNCTION api.csv_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT replace((at AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z'
$$;
COMMENT ON FUNCTION api.csv_time(timestamptz) IS 'A moment in CSV: RFC 3339, UTC, up to microseconds without trailing zeros. With DateStyle ISO.';

-- What most readings lack is left out in one step: 0.8 µs of 4 a reading.
CREATE FUNCTION api.csv_reading(r telemetry.reading) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat(api.csv_time(r.ts), ',', api.csv_time(r.received_at), ',', r.probe, ',', r.epoch, ',', nullif(greatest(r.seq, -1), -1),
		',', r.temperature_c, ',', r.humidity_pct, ',', r.light_lux, ',', r.shock_ms2, ',', r.battery_pct, ',', r.rsrp_dbm,
		CASE WHEN r.latitude IS NULL AND r.longitude IS NULL AND r.altitude_m IS NULL AND r.accuracy_m IS NULL THEN ',,,,'
		ELSE concat(',', r.latitude, ',', r.longitude, ',', r.altitude_m, ',', r.accuracy_m) END,
		CASE WHEN r.door_open IS NULL AND r.tampered IS NULL AND r.mains_power IS NULL AND r.flags IS NULL AND r.extra IS NULL
		THEN E',,,,,\n'
		ELSE concat(',', r.door_open::text, ',', r.tampered::text, ',', r.mains_power::text,
			',', CASE WHEN r.flags & 1 = 1 THEN 'sensor_fault' END,
			',', '"' || replace(r.extra::text, '"', '""') || '"', E'\n') END)
$$;
COMMENT ON FUNCTION api.csv_reading(telemetry.reading) IS
	'A reading as a line of CSV with the columns of csv_reading_head(): what was not measured is empty.';

CREATE FUNCTION api.csv_reading_head() RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT 'ts,received_at,probe,epoch,seq,temperature_c,humidity_pct,light_lux,shock_ms2,battery_pct,rsrp_dbm,latitude,longitude,'
		|| E'altitude_m,accuracy_m,door_open,tampered,mains_power,flags,extra\n'
$$;
COMMENT ON FUNCTION api.csv_reading_head() IS 'The first line of readings as CSV.';

CREATE TYPE api.bucket AS (
	ts timestamptz, probe smallint, count bigint,
	temperature_count bigint, temperature_min_c real, temperature_mean_c numeric, temperature_max_c real,
	humidity_count bigint, humidity_min_pct real, humidity_mean_pct numeric, humidity_max_pct real);
COMMENT ON TYPE api.bucket IS 'What one probe measured in one stretch of time.';

CREATE FUNCTION api.buckets(device int, lower timestamptz, upper timestamptz, width interval) RETURNS SETOF api.bucket
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
	RETURN QUERY
		SELECT date_bin(width, r.ts, timestamptz '2000-01-01 00:00Z') AS bin, r.probe, count(*),
			count(r.temperature_c) FILTER (WHERE NOT fault), min(r.temperature_c) FILTER (WHERE NOT fault),
			trim_scale(round(avg(r.temperature_c) FILTER (WHERE NOT fault)::numeric, 3)),
			max(r.temperature_c) FILTER (WHERE NOT fault),
			count(r.humidity_pct), min(r.humidity_pct), trim_scale(round(avg(r.humidity_pct)::numeric, 3)), max(r.humidity_pct)
		FROM telemetry.reading AS r CROSS JOIN LATERAL (SELECT coalesce(r.flags & 1 = 1, false) AS fault) AS f
		WHERE r.device_id = device AND r.ts >= lower AND r.ts < upper
		GROUP BY bin, r.probe ORDER BY bin, r.probe;
END
$$;
COMMENT ON FUNCTION api.buckets(int, timestamptz, timestamptz, interval) IS
	'Readings with lower <= ts < upper, summed up by stretches of that width since 2000-01-01 UTC and by probe. Temperatures of a faulty '
	'sensor are counted as readings and not judged.';

CREATE FUNCTION api.reading_after(device int, at timestamptz, until timestamptz, skip int) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
	RETURN (SELECT r.ts FROM telemetry.reading AS r WHERE r.device_id = device AND r.ts >= at AND r.ts < until
		ORDER BY r.ts OFFSET skip LIMIT 1);
END
$$;
COMMENT ON FUNCTION api.reading_after(int, timestamptz, timestamptz, int) IS
	'The time of the reading at or after a moment, after so many others; NULL: there is none before until.';

CREATE FUNCTION api.bucket_window(device int, from_ts timestamptz, to_ts timestamptz, width interval, most int,
				  OUT lower timestamptz, OUT upper timestamptz, OUT next timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first CONSTANT timestamptz := api.reading_after(device, from_ts, to_ts, 0);
BEGIN
	lower := greatest(from_ts, date_bin(width, first, timestamptz '2000-01-01 00:00Z'));
	upper := least(to_ts, date_bin(width, first, timestamptz '2000-01-01 00:00Z') + most * width);
	next := api.reading_after(device, upper, to_ts, 0);
END
$$;
COMMENT ON FUNCTION api.bucket_window(int, timestamptz, timestamptz, interval, int) IS
	'The next stretch of time with at most so many buckets, from the first that is not empty, and where the one after it begins.';

CREATE FUNCTION api.json_bucket(b api.bucket) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"ts":', api.json_time(b.ts), ',"probe":', b.probe, ',"count":', b.count,
		CASE WHEN b.temperature_count > 0 THEN concat(',"temperature_c":{"count":', b.temperature_count, ',"min":', b.temperature_min_c,
			',"mean":', b.temperature_mean_c, ',"max":', b.temperature_max_c, '}') END,
		CASE WHEN b.humidity_count > 0 THEN concat(',"humidity_pct":{"count":', b.humidity_count, ',"min":', b.humidity_min_pct,
			',"mean":', b.humidity_mean_pct, ',"max":', b.humidity_max_pct, '}') END, '}')
$$;
COMMENT ON FUNCTION api.json_bucket(api.bucket) IS 'A bucket as a JSON object; a channel that nobody measured is left out.';

CREATE FUNCTION api.csv_bucket(b api.bucket) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat(api.csv_time(b.ts), ',', b.probe, ',', b.count, ',', b.temperature_count, ',', b.temperature_min_c, ',',
		b.temperature_mean_c, ',', b.temperature_max_c, ',', b.humidity_count, ',', b.humidity_min_pct, ',', b.humidity_mean_pct,
		',', b.humidity_max_pct, E'\n')
$$;
COMMENT ON FUNCTION api.csv_bucket(api.bucket) IS 'A bucket as a line of CSV.';

CREATE FUNCTION api.check_span(from_ts timestamptz, to_ts timestamptz) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_ts <= from_ts THEN
		RAISE EXCEPTION 'to: expected a time after from' USING ERRCODE = 'CF422';
	END IF;
END
$$;
COMMENT ON FUNCTION api.check_span(timestamptz, timestamptz) IS 'Refuses with CF422 what ends before it begins.';

CREATE FUNCTION api.readings_page(serial text, from_ts timestamptz, to_ts timestamptz, max_rows int, page text, bucket interval)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	scope CONSTANT text := concat_ws(' ', 'buckets', serial, bucket);
	span record;
	items text;
BEGIN
	PERFORM api.check_span(from_ts, to_ts);
	IF bucket IS NULL THEN
		RETURN api.readings(serial, from_ts, to_ts, coalesce(max_rows, 100), page);
	END IF;
	SELECT * INTO span FROM api.bucket_window(device, greatest(from_ts, api.from_micros(api.cursor_key(scope, page)), '-infinity'),
		coalesce(to_ts, 'infinity'), bucket, coalesce(max_rows, 100));
	SELECT string_agg(api.json_bucket(b), ',') INTO items FROM api.buckets(device, span.lower, span.upper, bucket) AS b;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(api.cursor(scope, api.micros(span.next)))::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.readings_page(text, timestamptz, timestamptz, int, text, interval) IS
	'GET /v1/devices/{serial}/readings as JSON: a page of readings (max_rows of them, 100 without), or with bucket of that many stretches '
	'of time. Unknown serial: CF404; to_ts not after from_ts: CF422; a cursor that is not of this list: CF400.';

CREATE FUNCTION api.readings_chunk(serial text, from_ts timestamptz, to_ts timestamptz, max_rows int, page text, bucket interval,
				   format text, key text, OUT body text, OUT next text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET DateStyle = 'ISO'
AS $$
DECLARE
	chunk CONSTANT int := 4000;
	device CONSTANT int := api.device_number(serial);
	lower timestamptz := coalesce(api.from_micros(key), from_ts, '-infinity');
	upper timestamptz := coalesce(to_ts, 'infinity');
	beyond timestamptz;
	span record;
BEGIN
	PERFORM api.check_span(from_ts, to_ts);
	IF max_rows IS NOT NULL OR page IS NOT NULL THEN
		RAISE EXCEPTION 'limit and cursor: expected with pages of JSON only, % comes whole', format USING ERRCODE = 'CF422';
	END IF;
	IF bucket IS NOT NULL THEN
		SELECT * INTO span FROM api.bucket_window(device, lower, upper, bucket, chunk);
		next := api.micros(span.next);
		IF format = 'csv' THEN
			body := concat(CASE WHEN key IS NULL THEN
				E'ts,probe,count,temperature_count,temperature_min_c,temperature_mean_c,temperature_max_c,'
				'humidity_count,humidity_min_pct,humidity_mean_pct,humidity_max_pct\n' END,
				(SELECT string_agg(api.csv_bucket(b), '') FROM api.buckets(device, span.lower, span.upper, bucket) AS b));
		ELSE
			body := concat((SELECT string_agg(api.json_bucket(b) || E'\n', '')
					FROM api.buckets(device, span.lower, span.upper, bucket) AS b));
		END IF;
		RETURN;
	END IF;
	-- A chunk ends between two moments, so that its key is a time; one moment with more readings than a chunk is one chunk.
	beyond := api.reading_after(device, lower, upper, chunk);
	IF beyond = lower THEN
		beyond := api.reading_after(device, lower + interval '1 microsecond', upper, 0);
	END IF;
	next := api.micros(beyond);
	upper := least(beyond, upper);
	IF format = 'csv' THEN
		SELECT concat(CASE WHEN key IS NULL THEN api.csv_reading_head() END, string_agg(line, '')) INTO body
		FROM (SELECT api.csv_reading(r) AS line FROM telemetry.reading AS r
		      WHERE r.device_id = device AND r.ts >= lower AND r.ts < upper ORDER BY r.ts, r.probe, r.epoch, r.seq) AS lines;
	ELSE
		SELECT concat(string_agg(line, '')) INTO body
		FROM (SELECT api.json_reading(r) || E'\n' AS line FROM telemetry.reading AS r
		      WHERE r.device_id = device AND r.ts >= lower AND r.ts < upper ORDER BY r.ts, r.probe, r.epoch, r.seq) AS lines;
	END IF;
END
$$;
COMMENT ON FUNCTION api.readings_chunk(text, timestamptz, timestamptz, int, text, interval, text, text) IS
	'GET /v1/devices/{serial}/readings as csv or ndjson: the chunk that begins at key (NULL: the first), and the key of the next one or NULL.';

CREATE FUNCTION api.device_state(serial text) RETURNS api.answer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	body CONSTANT text := concat('{"serial":', to_json(serial),
		(SELECT concat(',', api.json_reported(r, true)) FROM (SELECT) AS always LEFT JOIN telemetry.device_status AS r ON r.device_id = device),
		',"latest":', (SELECT api.json_latest(s) FROM telemetry.device_state AS s WHERE s.device_id = device), '}');
BEGIN
	RETURN (200, body, left(md5(body), 16), NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.device_state(text) IS 'GET /v1/devices/{serial}/state: what a device last told of itself, and the latest of each channel. Unknown serial: CF404.';

CREATE FUNCTION api.json_ranges(numbers int4multirange) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat('{"count":', coalesce(sum(upper(r) - lower(r)), 0), ',"ranges":[',
		string_agg(format('[%s,%s]', lower(r), upper(r) - 1), ',' ORDER BY lower(r)) FILTER (WHERE n <= 100), ']}')
	FROM unnest(numbers) WITH ORDINALITY AS u (r, n)
$$;
COMMENT ON FUNCTION api.json_ranges(int4multirange) IS 'How many numbers, and the first hundred ranges of them, both ends included.';

CREATE FUNCTION api.device_gaps(serial text, max_rows int, page text, state text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	scope CONSTANT text := concat_ws(' ', 'gaps', state, serial);
	key CONSTANT int[] := string_to_array(api.cursor_key(scope, page), ' ')::int[];
	items text;
	shown int;
	last_key text;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(at) FILTER (WHERE n = max_rows)
	INTO items, shown, last_key
	FROM (
		SELECT row_number() OVER (ORDER BY g.epoch, g.seq_from) AS n, concat_ws(' ', g.epoch, g.seq_from) AS at,
			concat('{"epoch":', g.epoch, ',"seq_from":', g.seq_from, ',"seq_to":', g.seq_to,
				',"missing":', api.json_ranges(g.missing), ',"lost":', api.json_ranges(g.lost),
				',"first_seen":', api.json_time(g.first_seen), ',"asked":', g.asked,
				',"asked_at":', coalesce(api.json_time(g.asked_at), 'null'),
				',"closed_at":', coalesce(api.json_time(g.closed_at), 'null'), '}') AS item
		FROM telemetry.gap AS g
		WHERE g.device_id = device AND (g.epoch, g.seq_from) > (coalesce(key[1], -1)::smallint, coalesce(key[2], -1))
			AND (state = 'all' OR (g.closed_at IS NULL) = (state = 'open'))
		ORDER BY g.epoch, g.seq_from LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_key) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.device_gaps(text, int, text, text) IS
	'GET /v1/devices/{serial}/gaps: sample numbers that were passed over; state is open, closed or all. Unknown serial: CF404.';

CREATE FUNCTION api.json_quarantined(q telemetry.quarantine, serial text) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":', q.id, ',"serial":', api.json_or_null(serial), ',"reason":', to_json(q.reason),
		',"detail":', api.json_or_null(q.detail), ',"topic":', to_json(q.topic), ',"content_type":', api.json_or_null(q.content_type),
		',"first_received_at":', api.json_time(q.first_received_at), ',"last_received_at":', api.json_time(q.last_received_at),
		',"seen":', q.seen, ',"replayed_at":', coalesce(api.json_time(q.replayed_at), 'null'),
		',"payload_bytes":', octet_length(q.payload))
$$;
COMMENT ON FUNCTION api.json_quarantined(telemetry.quarantine, text) IS
	'A message that could not be read as the beginning of a JSON object, its payload told by its size alone.';

CREATE FUNCTION api.quarantine(max_rows int, page text, reason text, serial text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := CASE WHEN serial IS NOT NULL THEN api.device_number(serial) END;
	scope CONSTANT text := concat_ws(' ', 'quarantine', reason, serial);
	before_id CONSTANT bigint := coalesce(api.cursor_key(scope, page)::bigint, 9223372036854775807);
	items text;
	shown int;
	last_id bigint;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY q.id DESC) AS n, q.id, api.json_quarantined(q, d.serial) || '}' AS item
		FROM telemetry.quarantine AS q LEFT JOIN fleet.device AS d USING (device_id)
		WHERE q.id < before_id AND (quarantine.reason IS NULL OR q.reason = quarantine.reason)
			AND (device IS NULL OR q.device_id = device)
		ORDER BY q.id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.quarantine(int, text, text, text) IS
	'GET /v1/quarantine: messages that could not be stored as readings, the latest first, of all devices or one, for all reasons or one.';

CREATE FUNCTION api.quarantined(id bigint) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer CONSTANT text := (
		SELECT concat(api.json_quarantined(q, d.serial), ',"payload_base64":"', translate(encode(q.payload, 'base64'), E'\n', ''), '"}')
		FROM telemetry.quarantine AS q LEFT JOIN fleet.device AS d USING (device_id) WHERE q.id = quarantined.id);
BEGIN
	IF answer IS NULL THEN
		RAISE EXCEPTION 'there is no message % in quarantine', id USING ERRCODE = 'CF404';
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION api.quarantined(bigint) IS 'GET /v1/quarantine/{id}: one message with its payload, byte for byte. Unknown: CF404.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.readings_page(text, timestamptz, timestamptz, int, text, interval),
	api.readings_chunk(text, timestamptz, timestamptz, int, text, interval, text, text), api.device_state(text),
	api.device_gaps(text, int, text, text), api.quarantine(int, text, text, text), api.quarantined(bigint) TO coldfleet_api;
REVOKE EXECUTE ON FUNCTION api.readings(text, timestamptz, timestamptz, int, text) FROM coldfleet_api;

COMMIT;
