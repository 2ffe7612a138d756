-- SPDX-License-Identifier: Apache-2.0
-- Calibration records: what a laboratory found of a probe, as its certificate says it, and when that holds. A record is never edited: a
-- newer calibration ends the validity of the one before, a wrong record is voided with a reason, and what it covered is then covered
-- by the one before, or by none. Readings stay as the device gave them and nothing is corrected by a calibration: which of them were measured
-- without one, or at a temperature that it does not cover, is computed when it is asked for, so ingest knows nothing of all this.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.calibration (
	calibration_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL REFERENCES fleet.device,
	probe smallint NOT NULL DEFAULT 0 CHECK (probe >= 0),
	probe_serial text CHECK (length(probe_serial) BETWEEN 1 AND 64),
	certificate text NOT NULL COLLATE "C" CHECK (length(certificate) BETWEEN 1 AND 100),
	laboratory text NOT NULL CHECK (length(laboratory) BETWEEN 1 AND 200),
	accreditation text NOT NULL DEFAULT '' CHECK (length(accreditation) <= 200),
	reference text NOT NULL DEFAULT '' CHECK (length(reference) <= 500),
	method text NOT NULL DEFAULT '' CHECK (length(method) <= 500),
	calibrated_on date NOT NULL CHECK (calibrated_on >= '2000-01-01'),
	valid_until date NOT NULL CHECK (valid_until < '2200-01-01'),
	fitted_on date CHECK (fitted_on >= calibrated_on),
	lower_c numeric(8, 4) NOT NULL CHECK (lower_c BETWEEN -273.15 AND 1000),
	upper_c numeric(8, 4) NOT NULL CHECK (upper_c BETWEEN -273.15 AND 1000),
	begins_at timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(fitted_on, calibrated_on)::timestamp AT TIME ZONE 'UTC') STORED,
	due_at timestamptz NOT NULL GENERATED ALWAYS AS ((valid_until + 1)::timestamp AT TIME ZONE 'UTC') STORED,
	valid tstzrange NOT NULL DEFAULT 'empty',
	latest boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	reason text DEFAULT fleet.setting('reason'),
	voided_at timestamptz,
	voided_by text,
	void_reason text CHECK (length(void_reason) BETWEEN 1 AND 2000),
	CHECK (lower_c <= upper_c),
	CHECK (valid_until >= coalesce(fitted_on, calibrated_on)),
	CHECK (num_nonnulls(voided_at, voided_by, void_reason) IN (0, 3))
);
CREATE INDEX calibration_probe ON coldchain.calibration (device_id, probe, begins_at);
CREATE INDEX calibration_due ON coldchain.calibration (due_at, calibration_id) WHERE latest;
CREATE UNIQUE INDEX calibration_once ON coldchain.calibration (device_id, probe, laboratory, certificate, begins_at) WHERE voided_at IS NULL;
COMMENT ON TABLE coldchain.calibration IS
	'What calibration certificates say of probes, one row a certificate and probe. Rows are added and voided, never edited or deleted.';
COMMENT ON COLUMN coldchain.calibration.calibration_id IS 'Number of the record.';
COMMENT ON COLUMN coldchain.calibration.device_id IS 'The device that the probe is at.';
COMMENT ON COLUMN coldchain.calibration.probe IS 'Which probe of the device, as in telemetry.reading.';
COMMENT ON COLUMN coldchain.calibration.probe_serial IS 'Serial number of the probe itself, where it can be taken off; NULL: it has none.';
COMMENT ON COLUMN coldchain.calibration.certificate IS 'Number of the certificate.';
COMMENT ON COLUMN coldchain.calibration.laboratory IS 'The laboratory that calibrated.';
COMMENT ON COLUMN coldchain.calibration.accreditation IS 'Its accreditation: body and number (ISO/IEC 17025); empty: not said.';
COMMENT ON COLUMN coldchain.calibration.reference IS 'What it was compared with, and to which standard that is traceable; empty: not said.';
COMMENT ON COLUMN coldchain.calibration.method IS 'How it was calibrated: bath, dry block, procedure; empty: not said.';
COMMENT ON COLUMN coldchain.calibration.calibrated_on IS 'Day of the calibration.';
COMMENT ON COLUMN coldchain.calibration.valid_until IS 'Last day on which it holds, by the certificate or the interval of whoever owns the device.';
COMMENT ON COLUMN coldchain.calibration.fitted_on IS 'Day from which on this probe is at this device, if that is later than its calibration; NULL: it is not.';
COMMENT ON COLUMN coldchain.calibration.lower_c IS 'Lowest temperature that it covers, degrees Celsius.';
COMMENT ON COLUMN coldchain.calibration.upper_c IS 'Highest temperature that it covers, degrees Celsius.';
COMMENT ON COLUMN coldchain.calibration.begins_at IS 'First moment of its validity: midnight of UTC of fitted_on, else of calibrated_on.';
COMMENT ON COLUMN coldchain.calibration.due_at IS 'When the next one is due: midnight of UTC after valid_until.';
COMMENT ON COLUMN coldchain.calibration.valid IS
	'The measurement times of which it is the calibration: from begins_at to due_at, or to where a newer one begins; empty: voided, or never. Of one '
	'probe no two of them overlap. Kept by triggers.';
COMMENT ON COLUMN coldchain.calibration.latest IS 'True: it is the newest of its probe that is not voided. Kept by triggers.';
COMMENT ON COLUMN coldchain.calibration.created_at IS 'When it was recorded.';
COMMENT ON COLUMN coldchain.calibration.created_by IS 'Who recorded it.';
COMMENT ON COLUMN coldchain.calibration.reason IS 'Why; NULL: not said.';
COMMENT ON COLUMN coldchain.calibration.voided_at IS 'When it was voided; NULL: it stands.';
COMMENT ON COLUMN coldchain.calibration.voided_by IS 'Who voided it.';
COMMENT ON COLUMN coldchain.calibration.void_reason IS 'Why.';

CREATE TABLE coldchain.calibration_point (
	calibration_id int NOT NULL REFERENCES coldchain.calibration,
	point int NOT NULL CHECK (point > 0),
	device_id int NOT NULL,
	status text NOT NULL CHECK (status IN ('as-found', 'as-left')),
	reference_c numeric(8, 4) NOT NULL CHECK (reference_c BETWEEN -273.15 AND 1000),
	indicated_c numeric(8, 4) NOT NULL CHECK (indicated_c BETWEEN -273.15 AND 1000),
	error_c numeric(8, 4) NOT NULL GENERATED ALWAYS AS (indicated_c - reference_c) STORED,
	uncertainty_c numeric(8, 4) NOT NULL CHECK (uncertainty_c > 0),
	coverage_factor numeric(6, 4) NOT NULL CHECK (coverage_factor >= 1),
	PRIMARY KEY (calibration_id, point)
);
COMMENT ON TABLE coldchain.calibration_point IS 'The temperatures at which a probe was compared, one row a point. Rows are added with their record, never changed.';
COMMENT ON COLUMN coldchain.calibration_point.calibration_id IS 'The record.';
COMMENT ON COLUMN coldchain.calibration_point.point IS 'Counts the points of a record from 1.';
COMMENT ON COLUMN coldchain.calibration_point.device_id IS 'Its device.';
COMMENT ON COLUMN coldchain.calibration_point.status IS
	'as-found: as it came to the laboratory, before an adjustment; as-left: as it left it, which without an adjustment is the same.';
COMMENT ON COLUMN coldchain.calibration_point.reference_c IS 'The temperature as the reference has it, degrees Celsius.';
COMMENT ON COLUMN coldchain.calibration_point.indicated_c IS 'What the probe indicated, degrees Celsius.';
COMMENT ON COLUMN coldchain.calibration_point.error_c IS 'indicated_c - reference_c; the correction is its negative.';
COMMENT ON COLUMN coldchain.calibration_point.uncertainty_c IS 'Expanded uncertainty of the error, degrees Celsius.';
COMMENT ON COLUMN coldchain.calibration_point.coverage_factor IS 'By what the standard uncertainty was multiplied for it (k; 2: about 95 %).';

-- ---- rules ----

CREATE FUNCTION coldchain.calibration_step() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Generated columns are not filled in yet, and follow from the others.
	free CONSTANT text[] := '{valid,latest,begins_at,due_at}'::text[]
		|| CASE WHEN old.voided_at IS NULL THEN '{voided_at,voided_by,void_reason}' ELSE '{}' END::text[];
BEGIN
	IF to_jsonb(new) - free <> to_jsonb(old) - free THEN
		RAISE EXCEPTION 'calibration %: a record is never edited, void it and add another', old.calibration_id
			USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.calibration_step() IS 'Trigger: a record of a calibration can be voided, once, and nothing else (23000).';
CREATE TRIGGER calibration_step BEFORE UPDATE ON coldchain.calibration FOR EACH ROW EXECUTE FUNCTION coldchain.calibration_step();

CREATE FUNCTION coldchain.calibration_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- One device at a time, so that of two transactions the later one sees what the first has done.
	PERFORM pg_advisory_xact_lock('coldchain.calibration'::regclass::oid::int, new.device_id);
	UPDATE coldchain.calibration AS c SET valid = n.valid, latest = n.latest
	FROM (SELECT o.calibration_id, o.after IS NULL AS latest,
			CASE WHEN least(o.due_at, o.after) > o.begins_at THEN tstzrange(o.begins_at, least(o.due_at, o.after)) ELSE 'empty' END AS valid
	      FROM (SELECT p.calibration_id, p.begins_at, p.due_at, lead(p.begins_at) OVER (ORDER BY p.begins_at, p.calibration_id) AS after
		    FROM coldchain.calibration AS p WHERE p.device_id = new.device_id AND p.probe = new.probe AND p.voided_at IS NULL) AS o
	      UNION ALL SELECT v.calibration_id, false, 'empty' FROM coldchain.calibration AS v
	      WHERE v.device_id = new.device_id AND v.probe = new.probe AND v.voided_at IS NOT NULL) AS n
	WHERE c.calibration_id = n.calibration_id AND (c.valid, c.latest) IS DISTINCT FROM (n.valid, n.latest);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.calibration_order() IS
	'Trigger: of a probe''s calibrations each holds until it is due or the next begins; of two that begin on a day the one recorded last.';
CREATE TRIGGER calibration_order AFTER INSERT OR UPDATE OF voided_at ON coldchain.calibration
	FOR EACH ROW EXECUTE FUNCTION coldchain.calibration_order();

CREATE FUNCTION coldchain.calibration_pointed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c coldchain.calibration;
BEGIN
	SELECT * INTO c FROM coldchain.calibration AS p WHERE p.calibration_id = new.calibration_id;
	IF c.created_at <> now() OR c.device_id <> new.device_id THEN
		RAISE EXCEPTION 'calibration %: a record gets no further point', new.calibration_id USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.calibration_pointed() IS 'Trigger: points are added in the transaction that makes their record, and to no other (23000).';
CREATE TRIGGER calibration_pointed BEFORE INSERT ON coldchain.calibration_point FOR EACH ROW EXECUTE FUNCTION coldchain.calibration_pointed();

CREATE TRIGGER undeletable BEFORE DELETE OR TRUNCATE ON coldchain.calibration FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.calibration_point
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();

-- ---- recording ----

CREATE FUNCTION coldchain.calibration_points(points jsonb)
RETURNS TABLE (point int, status text, reference_c numeric, indicated_c numeric, uncertainty_c numeric, coverage_factor numeric)
LANGUAGE sql IMMUTABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n::int, coalesce(p ->> 'status', 'as-left'), round((p ->> 'reference_c')::numeric, 4), round((p ->> 'indicated_c')::numeric, 4),
		round((p ->> 'uncertainty_c')::numeric, 4), round(coalesce(p ->> 'coverage_factor', '2')::numeric, 4)
	FROM jsonb_array_elements(nullif(points, 'null')) WITH ORDINALITY AS e (p, n)
$$;
COMMENT ON FUNCTION coldchain.calibration_points(jsonb) IS
	'Points of a calibration as they are said, an array of objects, as rows to a ten-thousandth of a degree: as-left and k = 2 unless said otherwise.';

CREATE FUNCTION coldchain.calibration_check(c coldchain.calibration, points jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Somewhere it is tomorrow already.
	today CONSTANT date := (now() AT TIME ZONE 'UTC' + interval '14 hours')::date;
	wrong text;
BEGIN
	wrong := CASE
		WHEN c.calibrated_on IS NULL OR c.calibrated_on NOT BETWEEN '2000-01-01' AND today
			THEN format('calibrated_on: expected a day from 2000-01-01 to %s', today)
		WHEN c.fitted_on NOT BETWEEN c.calibrated_on AND today THEN format('fitted_on: expected a day from calibrated_on (%s) to %s', c.calibrated_on, today)
		WHEN c.valid_until IS NULL THEN 'valid_until: expected it, or interval_months'
		WHEN c.valid_until < coalesce(c.fitted_on, c.calibrated_on) OR c.valid_until > c.calibrated_on + 3660
			THEN 'valid_until: expected a day from the calibration, or the fitting, to ten years after the calibration'
		WHEN NOT EXISTS (SELECT FROM coldchain.calibration_points(points) AS p WHERE p.status = 'as-left')
			THEN 'points: expected at least one with the status as-left, which is the status of one that says none'
		WHEN EXISTS (SELECT FROM coldchain.calibration_points(points) AS p GROUP BY p.status, p.reference_c HAVING count(*) > 1)
			THEN 'points.reference_c: expected each once among those of a status'
		WHEN EXISTS (SELECT FROM coldchain.calibration_points(points) AS p WHERE p.uncertainty_c <= 0 OR p.uncertainty_c IS NULL)
			THEN 'points.uncertainty_c: expected more than 0, at least 0.0001'
		WHEN c.lower_c > c.upper_c THEN format('lower_c: expected at most upper_c (%s)', trim_scale(c.upper_c))
		WHEN EXISTS (SELECT FROM coldchain.calibration_points(points) AS p WHERE p.status = 'as-left' AND p.reference_c NOT BETWEEN c.lower_c AND c.upper_c)
			THEN format('points.reference_c: expected within lower_c to upper_c (%s to %s), which the calibration covers',
				trim_scale(c.lower_c), trim_scale(c.upper_c)) END;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation';
	END IF;
END
$$;
COMMENT ON FUNCTION coldchain.calibration_check(coldchain.calibration, jsonb) IS
	'Refuses what no certificate says (23514): the message names the field as it is in a record, and what was expected.';

CREATE FUNCTION coldchain.calibration_said(c coldchain.calibration) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT to_jsonb(c) - '{calibration_id,device_id,begins_at,due_at,valid,latest,created_at,created_by,reason,voided_at,voided_by,void_reason}'::text[]
$$;
COMMENT ON FUNCTION coldchain.calibration_said(coldchain.calibration) IS 'What a record says that its certificate says.';

CREATE FUNCTION coldchain.put_calibration(device_id int, body jsonb, OUT id int, OUT made boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c coldchain.calibration;
	known coldchain.calibration;
	points CONSTANT jsonb := body -> 'points';
BEGIN
	c.device_id := put_calibration.device_id;
	c.probe := coalesce((body ->> 'probe')::smallint, 0);
	c.probe_serial := body ->> 'probe_serial';
	c.certificate := body ->> 'certificate';
	c.laboratory := body ->> 'laboratory';
	c.accreditation := coalesce(body ->> 'accreditation', '');
	c.reference := coalesce(body ->> 'reference', '');
	c.method := coalesce(body ->> 'method', '');
	c.calibrated_on := (body ->> 'calibrated_on')::date;
	c.fitted_on := (body ->> 'fitted_on')::date;
	IF body ->> 'valid_until' IS NOT NULL AND body ->> 'interval_months' IS NOT NULL THEN
		RAISE EXCEPTION 'interval_months: expected it or valid_until, not both' USING ERRCODE = 'check_violation';
	END IF;
	-- A year from the 1st is up on the last day of the month before.
	c.valid_until := coalesce((body ->> 'valid_until')::date, (c.calibrated_on + make_interval(months => (body ->> 'interval_months')::int))::date - 1);
	SELECT coalesce((body ->> 'lower_c')::numeric, min(p.reference_c)), coalesce((body ->> 'upper_c')::numeric, max(p.reference_c))
	INTO c.lower_c, c.upper_c FROM coldchain.calibration_points(points) AS p WHERE p.status = 'as-left';
	PERFORM coldchain.calibration_check(c, points);
	PERFORM pg_advisory_xact_lock('coldchain.calibration'::regclass::oid::int, c.device_id);
	SELECT * INTO known FROM coldchain.calibration AS k
	WHERE k.device_id = c.device_id AND k.probe = c.probe AND k.laboratory = c.laboratory AND k.certificate = c.certificate
		AND k.begins_at = coalesce(c.fitted_on, c.calibrated_on)::timestamp AT TIME ZONE 'UTC' AND k.voided_at IS NULL;
	IF known.calibration_id IS NOT NULL THEN
		IF coldchain.calibration_said(known) = coldchain.calibration_said(c) AND NOT EXISTS (
			SELECT FROM coldchain.calibration_points(points) AS s
			FULL JOIN (SELECT * FROM coldchain.calibration_point AS q WHERE q.calibration_id = known.calibration_id) AS p USING (point)
			WHERE (s.status, s.reference_c, s.indicated_c, s.uncertainty_c, s.coverage_factor)
				IS DISTINCT FROM (p.status, p.reference_c, p.indicated_c, p.uncertainty_c, p.coverage_factor)) THEN
			id := known.calibration_id;
			made := false;
			RETURN;
		END IF;
		RAISE EXCEPTION 'certificate: % of % is recorded for this probe as number % and says something else: void that record first',
			c.certificate, c.laboratory, known.calibration_id USING ERRCODE = 'unique_violation';
	END IF;
	INSERT INTO coldchain.calibration (device_id, probe, probe_serial, certificate, laboratory, accreditation, reference, method, calibrated_on,
		valid_until, fitted_on, lower_c, upper_c)
	VALUES (c.device_id, c.probe, c.probe_serial, c.certificate, c.laboratory, c.accreditation, c.reference, c.method, c.calibrated_on,
		c.valid_until, c.fitted_on, c.lower_c, c.upper_c)
	RETURNING calibration_id INTO id;
	made := true;
	INSERT INTO coldchain.calibration_point (calibration_id, point, device_id, status, reference_c, indicated_c, uncertainty_c, coverage_factor)
	SELECT id, p.point, c.device_id, p.status, p.reference_c, p.indicated_c, p.uncertainty_c, p.coverage_factor
	FROM coldchain.calibration_points(points) AS p ORDER BY p.point;
END
$$;
COMMENT ON FUNCTION coldchain.put_calibration(int, jsonb) IS
	'Records what a certificate says of a probe of a device: the number of the record, and whether it is new. The object has the columns of coldchain.calibration '
	'that a certificate says, or interval_months in place of valid_until, and points, an array of objects with those of calibration_point. lower_c and '
	'upper_c, when not said, are the lowest and highest as-left point. The same once more: the record that is there. A certificate of that probe '
	'that is recorded and says something else: 23505; what no certificate says: 23514.';

CREATE FUNCTION coldchain.void_calibration(calibration_id int, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce(why, '') !~ '\S' THEN
		RAISE EXCEPTION 'reason: expected why the record is void' USING ERRCODE = 'check_violation';
	END IF;
	-- Before its row: whoever records the next one holds this and then wants that.
	PERFORM pg_advisory_xact_lock('coldchain.calibration'::regclass::oid::int, c.device_id) FROM coldchain.calibration AS c
	WHERE c.calibration_id = void_calibration.calibration_id;
	UPDATE coldchain.calibration AS c SET voided_at = now(), voided_by = coalesce(fleet.setting('actor'), session_user), void_reason = why
	WHERE c.calibration_id = void_calibration.calibration_id AND c.voided_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no calibration % that is not voided', calibration_id USING ERRCODE = 'no_data_found';
	END IF;
END
$$;
COMMENT ON FUNCTION coldchain.void_calibration(int, text) IS
	'Voids a record of a calibration, for good: it covers nothing, and never did. With a reason (23514), one that stands (P0002).';

-- ---- what holds when ----

CREATE FUNCTION coldchain.calibration_state(c coldchain.calibration, at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (c).voided_at IS NOT NULL THEN 'void' WHEN (c).valid @> at THEN 'valid' WHEN at < (c).begins_at THEN 'future'
	WHEN isempty((c).valid) OR upper((c).valid) < (c).due_at THEN 'superseded' ELSE 'expired' END;
COMMENT ON FUNCTION coldchain.calibration_state(coldchain.calibration, timestamptz) IS
	'What a record is at a moment: future: it begins later; valid; superseded: a newer one has begun before it was due; expired; void.';

CREATE FUNCTION coldchain.calibration_spans(device_id int, probe smallint)
RETURNS TABLE (during tstzrange, calibration_id int, lack text)
LANGUAGE sql STABLE ROWS 5
AS $$
	WITH its AS MATERIALIZED (
		SELECT c.calibration_id, c.begins_at, c.due_at, c.valid, c.voided_at IS NOT NULL AS void FROM coldchain.calibration AS c
		WHERE c.device_id = calibration_spans.device_id AND c.probe = calibration_spans.probe
	), span AS (
		SELECT u.at, coalesce(lead(u.at) OVER (ORDER BY u.at), 'infinity') AS next_at
		FROM (SELECT timestamptz '-infinity' AS at UNION SELECT i.begins_at FROM its AS i UNION SELECT i.due_at FROM its AS i) AS u
	)
	SELECT tstzrange(s.at, s.next_at), c.calibration_id, CASE WHEN c.calibration_id IS NULL THEN
		CASE WHEN o.void THEN 'void' WHEN o.begun THEN 'expired' WHEN o.stands THEN 'not-yet' ELSE 'never' END END
	FROM span AS s LEFT JOIN its AS c ON c.valid @> s.at
	CROSS JOIN LATERAL (SELECT bool_or(i.void AND i.begins_at <= s.at AND i.due_at > s.at) AS void, bool_or(NOT i.void AND i.begins_at <= s.at) AS begun,
		bool_or(NOT i.void) AS stands FROM its AS i) AS o
$$;
COMMENT ON FUNCTION coldchain.calibration_spans(int, smallint) IS
	'All measurement time of a probe, cut where its calibration changes: which record holds, or NULL and what is lacking: never calibrated; not-yet; '
	'expired; void: the record that would hold was voided.';

CREATE FUNCTION coldchain.calibration_nearest(calibration_id int, at_c double precision) RETURNS coldchain.calibration_point
LANGUAGE sql STABLE
AS $$
	SELECT p FROM coldchain.calibration_point AS p WHERE p.calibration_id = calibration_nearest.calibration_id AND p.status = 'as-left' AND at_c IS NOT NULL
	ORDER BY abs(p.reference_c - at_c::numeric), p.reference_c LIMIT 1
$$;
COMMENT ON FUNCTION coldchain.calibration_nearest(int, double precision) IS 'The as-left point of a calibration that is nearest to a temperature; NULL: no temperature.';

CREATE FUNCTION coldchain.calibration_figures(assignment_ids int[], from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (assignment_id int, calibration_id int, lack text, first_at timestamptz, last_at timestamptz, samples bigint, observed_s double precision,
	beyond_samples bigint, beyond_s double precision, min_c real, max_c real, mean_c double precision)
LANGUAGE sql STABLE ROWS 10
AS $$
	WITH span AS MATERIALIZED (
		SELECT a.assignment_id, s.during, s.calibration_id, s.lack, c.lower_c::real AS lower_c, c.upper_c::real AS upper_c
		FROM coldchain.assignment AS a CROSS JOIN LATERAL coldchain.calibration_spans(a.device_id, a.probe) AS s
		LEFT JOIN coldchain.calibration AS c USING (calibration_id)
		WHERE a.assignment_id = ANY (calibration_figures.assignment_ids) AND s.during && a.judged -- each piece is held against each of these
	)
	SELECT s.assignment_id, s.calibration_id, s.lack, min(p.ts), max(p.ts), count(*) FILTER (WHERE p.ts >= p.asked_from), sum(p.lasts_s),
		count(*) FILTER (WHERE p.ts >= p.asked_from AND b.beyond), coalesce(sum(p.lasts_s) FILTER (WHERE b.beyond), 0),
		min(p.temperature_c), max(p.temperature_c), coalesce(sum(p.temperature_c * p.lasts_s) / nullif(sum(p.lasts_s), 0), avg(p.temperature_c))
	FROM coldchain.pieces(calibration_figures.assignment_ids, calibration_figures.from_at, calibration_figures.to_at) AS p
	JOIN span AS s ON s.assignment_id = p.assignment_id AND s.during @> p.ts
	CROSS JOIN LATERAL (SELECT p.temperature_c < s.lower_c OR p.temperature_c > s.upper_c AS beyond) AS b
	GROUP BY s.assignment_id, s.calibration_id, s.lack
$$;
COMMENT ON FUNCTION coldchain.calibration_figures(int[], timestamptz, timestamptz) IS
	'By which calibration these assignments were measured, over what is judged of an interval of measurement time (NULL: all of it): a row for each '
	'record that held, and one for each lack of one (see coldchain.calibration_spans): first_at, last_at, samples and the time that they stand for; how '
	'much of that was beyond the temperatures that the record covers; lowest, highest and mean over time. Temperatures are as the device gave '
	'them, not corrected.';

-- ---- who may see and do what ----

DO $$
BEGIN
	PERFORM audit.watch('coldchain.calibration', 'calibration', NULL, '{begins_at,due_at,valid,latest}'),
		audit.watch('coldchain.calibration_point', 'calibration_point');
	PERFORM fleet.guard('coldchain.calibration'), fleet.guard('coldchain.calibration_point');
END
$$;

REVOKE ALL ON FUNCTION coldchain.calibration_step(), coldchain.calibration_order(), coldchain.calibration_pointed(), coldchain.calibration_points(jsonb),
	coldchain.calibration_check(coldchain.calibration, jsonb), coldchain.calibration_said(coldchain.calibration), coldchain.put_calibration(int, jsonb),
	coldchain.void_calibration(int, text), coldchain.calibration_state(coldchain.calibration, timestamptz), coldchain.calibration_spans(int, smallint),
	coldchain.calibration_nearest(int, double precision), coldchain.calibration_figures(int[], timestamptz, timestamptz) FROM PUBLIC;
GRANT SELECT ON coldchain.calibration, coldchain.calibration_point TO coldfleet_api_definer, coldfleet_analyst;
GRANT EXECUTE ON FUNCTION coldchain.put_calibration(int, jsonb), coldchain.void_calibration(int, text) TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION coldchain.calibration_state(coldchain.calibration, timestamptz), coldchain.calibration_spans(int, smallint),
	coldchain.calibration_nearest(int, double precision), coldchain.calibration_figures(int[], timestamptz, timestamptz)
	TO coldfleet_api_definer, coldfleet_analyst;

COMMIT;
