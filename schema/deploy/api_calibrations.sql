-- SPDX-License-Identifier: Apache-2.0
-- Calibration records over REST: recorded and voided under their device, listed with their history, and over the fleet by when they are due.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_point(p coldchain.calibration_point) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
	SELECT jsonb_build_object('status', p.status, 'reference_c', trim_scale(p.reference_c), 'indicated_c', trim_scale(p.indicated_c),
		'error_c', trim_scale(p.error_c), 'correction_c', trim_scale(-p.error_c), 'uncertainty_c', trim_scale(p.uncertainty_c),
		'coverage_factor', trim_scale(p.coverage_factor))
$$;
COMMENT ON FUNCTION api.json_point(coldchain.calibration_point) IS 'A point of a calibration as a JSON object.';

CREATE FUNCTION api.json_calibration(c coldchain.calibration) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', c.calibration_id, 'serial', (SELECT d.serial FROM fleet.device AS d WHERE d.device_id = c.device_id),
		'probe', c.probe, 'probe_serial', c.probe_serial, 'state', coldchain.calibration_state(c, now()), 'certificate', c.certificate,
		'laboratory', c.laboratory, 'accreditation', nullif(c.accreditation, ''), 'reference', nullif(c.reference, ''),
		'method', nullif(c.method, ''), 'calibrated_on', c.calibrated_on, 'valid_until', c.valid_until, 'fitted_on', c.fitted_on,
		'lower_c', trim_scale(c.lower_c), 'upper_c', trim_scale(c.upper_c), 'valid_from', api.json_at(lower(c.valid)),
		'valid_to', api.json_at(upper(c.valid)), 'points', (SELECT jsonb_agg(api.json_point(p) ORDER BY p.point)
			FROM coldchain.calibration_point AS p WHERE p.calibration_id = c.calibration_id),
		'created_at', api.json_at(c.created_at), 'created_by', c.created_by, 'reason', c.reason,
		'voided', CASE WHEN c.voided_at IS NOT NULL THEN jsonb_build_object('at', api.json_at(c.voided_at), 'by', c.voided_by, 'reason', c.void_reason) END)
$$;
COMMENT ON FUNCTION api.json_calibration(coldchain.calibration) IS 'A record of a calibration as a JSON object.';

CREATE FUNCTION api.calibration_answer(id int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_body CONSTANT text := (SELECT api.json_calibration(c) FROM coldchain.calibration AS c WHERE c.calibration_id = id);
BEGIN
	IF its_body IS NULL THEN
		RAISE EXCEPTION 'there is no calibration %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN (status, its_body, left(md5(its_body), 16), CASE WHEN status = 201 THEN '/v1/calibrations/' || id END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.calibration_answer(int, int) IS
	'A record as an answer; its entity tag is a digest of the whole, for what it is today belongs to it. Unknown or out of scope: CF404.';

CREATE FUNCTION api.calibration_get(id int) RETURNS api.answer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.calibration_answer(id)
$$;
COMMENT ON FUNCTION api.calibration_get(int) IS 'GET /v1/calibrations/{id}. Unknown: CF404.';

CREATE FUNCTION api.calibration_create(serial text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	put record;
BEGIN
	PERFORM api.because(body ->> 'reason');
	SELECT * INTO put FROM coldchain.put_calibration(device, body - 'reason');
	RETURN api.calibration_answer(put.id, CASE WHEN put.made THEN 201 ELSE 200 END);
EXCEPTION
	WHEN check_violation THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF422';
	WHEN unique_violation THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.calibration_create(text, jsonb) IS
	'POST /v1/devices/{serial}/calibrations: records what a certificate says; the same once more: 200 and the record that is there. The certificate '
	'says something else there: CF409; what no certificate says: CF422; unknown serial: CF404.';

CREATE FUNCTION api.calibration_void(id int, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM api.calibration_answer(id), api.because(body ->> 'reason');
	PERFORM coldchain.void_calibration(id, body ->> 'reason');
	RETURN api.calibration_answer(id);
EXCEPTION
	WHEN check_violation THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF422';
	WHEN no_data_found THEN
		RAISE EXCEPTION 'calibration % is void already', id USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.calibration_void(int, jsonb) IS
	'POST /v1/calibrations/{id}:void. Void already: CF409; a reason of blanks: CF422; unknown: CF404.';

CREATE FUNCTION api.device_calibrations(serial text, probe int, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	scope CONSTANT text := concat_ws(' ', 'calibrations', serial, probe);
	key CONSTANT text := api.cursor_key(scope, page);
	before_at CONSTANT timestamptz := CASE WHEN key IS NULL THEN 'infinity' ELSE api.from_micros(split_part(key, '.', 1)) END;
	before_id CONSTANT int := CASE WHEN key IS NULL THEN 0 ELSE split_part(key, '.', 2)::int END;
	items text;
	next_key text;
BEGIN
	SELECT string_agg(api.json_calibration(c)::text, ',' ORDER BY n) FILTER (WHERE n <= max_rows),
		max(concat(api.micros(f.begins_at), '.', f.calibration_id)) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, next_key
	FROM (SELECT o.*, row_number() OVER (ORDER BY o.begins_at DESC, o.calibration_id DESC) AS n, count(*) OVER () AS shown
	      FROM (SELECT b.begins_at, b.calibration_id FROM coldchain.calibration AS b
		    WHERE b.device_id = device AND (device_calibrations.probe IS NULL OR b.probe = device_calibrations.probe)
			AND (b.begins_at, b.calibration_id) < (before_at, before_id)
		    ORDER BY b.begins_at DESC, b.calibration_id DESC LIMIT max_rows + 1) AS o) AS f
	JOIN coldchain.calibration AS c USING (calibration_id);
	RETURN api.json_page(items, scope, next_key);
END
$$;
COMMENT ON FUNCTION api.device_calibrations(text, int, int, text) IS
	'GET /v1/devices/{serial}/calibrations: every record of a device, or of one probe of it, void ones too, those that begin last first. Unknown '
	'serial: CF404.';

CREATE FUNCTION api.calibrations(due_before timestamptz, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	reach CONSTANT int := 3000;
	scope CONSTANT text := concat_ws(' ', 'calibrations due', due_before);
	key CONSTANT text := api.cursor_key(scope, page);
	after_at CONSTANT timestamptz := CASE WHEN key IS NULL THEN '-infinity' ELSE api.from_micros(split_part(key, '.', 1)) END;
	after_id CONSTANT int := CASE WHEN key IS NULL THEN 0 ELSE split_part(key, '.', 2)::int END;
	items text;
	next_key text;
BEGIN
	-- Devices that are gone pile up at the beginning of this list: a page goes only so far, and is maybe short.
	WITH seen AS MATERIALIZED (
		SELECT b.due_at, b.calibration_id, b.device_id FROM coldchain.calibration AS b
		WHERE b.latest AND (b.due_at, b.calibration_id) > (after_at, after_id) AND b.due_at <= coalesce(due_before, 'infinity')
		ORDER BY b.due_at, b.calibration_id LIMIT reach
	), met AS MATERIALIZED (
		SELECT s.due_at, s.calibration_id, row_number() OVER (ORDER BY s.due_at, s.calibration_id) AS n
		FROM seen AS s JOIN fleet.device AS d USING (device_id) WHERE d.state NOT IN ('banned', 'decommissioned')
		ORDER BY n LIMIT max_rows + 1
	)
	SELECT (SELECT string_agg(api.json_calibration(c)::text, ',' ORDER BY m.n) FROM met AS m JOIN coldchain.calibration AS c USING (calibration_id)
			WHERE m.n <= max_rows),
		CASE WHEN (SELECT count(*) FROM met) > max_rows THEN (SELECT concat(api.micros(m.due_at), '.', m.calibration_id) FROM met AS m WHERE m.n = max_rows)
		WHEN (SELECT count(*) FROM seen) = reach THEN (SELECT concat(api.micros(s.due_at), '.', s.calibration_id) FROM seen AS s
			ORDER BY s.due_at DESC, s.calibration_id DESC LIMIT 1) END
	INTO items, next_key;
	RETURN api.json_page(items, scope, next_key);
END
$$;
COMMENT ON FUNCTION api.calibrations(timestamptz, int, text) IS
	'GET /v1/calibrations: of each probe of devices in service the newest record, those that are due first first: expired, or not valid any more at '
	'that moment (NULL: all). Maybe fewer than max_rows.';

CREATE FUNCTION api.calibration_figures(ids int[], from_at timestamptz, to_at timestamptz) RETURNS TABLE (assignment_id int, told jsonb)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	SELECT f.assignment_id, jsonb_build_object(
		'outside_s', sum(CASE WHEN f.calibration_id IS NULL THEN f.observed_s ELSE f.beyond_s END),
		'outside_samples', sum(CASE WHEN f.calibration_id IS NULL THEN f.samples ELSE f.beyond_samples END),
		'records', coalesce(jsonb_agg(jsonb_build_object('id', c.calibration_id, 'certificate', c.certificate, 'laboratory', c.laboratory,
			'accreditation', nullif(c.accreditation, ''), 'probe_serial', c.probe_serial, 'calibrated_on', c.calibrated_on,
			'valid_until', c.valid_until, 'lower_c', trim_scale(c.lower_c), 'upper_c', trim_scale(c.upper_c), 'first_at', api.json_at(f.first_at),
			'last_at', api.json_at(f.last_at), 'samples', f.samples, 'observed_s', f.observed_s, 'beyond_samples', f.beyond_samples,
			'beyond_s', f.beyond_s, 'nearest', api.json_point(coldchain.calibration_nearest(c.calibration_id, f.mean_c))) ORDER BY f.first_at)
			FILTER (WHERE c.calibration_id IS NOT NULL), '[]'),
		'lacks', coalesce(jsonb_agg(jsonb_build_object('lack', f.lack, 'first_at', api.json_at(f.first_at), 'last_at', api.json_at(f.last_at),
			'samples', f.samples, 'observed_s', f.observed_s) ORDER BY f.first_at) FILTER (WHERE c.calibration_id IS NULL), '[]'))
	FROM coldchain.calibration_figures(ids, from_at, to_at) AS f LEFT JOIN coldchain.calibration AS c USING (calibration_id)
	GROUP BY f.assignment_id
$$;
COMMENT ON FUNCTION api.calibration_figures(int[], timestamptz, timestamptz) IS
	'Of assignments that have samples, by which calibrations they were measured and what was measured outside of any, as a JSON object each.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
GRANT EXECUTE ON FUNCTION api.calibration_get(int), api.calibration_create(text, jsonb), api.calibration_void(int, jsonb),
	api.device_calibrations(text, int, int, text), api.calibrations(timestamptz, int, text) TO coldfleet_api;

COMMIT;
