-- SPDX-License-Identifier: Apache-2.0
-- The excursion engine: a pure function of stored readings, assignments and profile versions, so any order, repetition and
-- batching of the same readings ends in the same excursions. telemetry.advance() marks a device in the transaction that stores its
-- readings; coldchain.evaluate() computes it anew from the last moment that nothing has changed before, and says what is
-- different: found, ended, revised, split, merged, retracted. Several may evaluate at once.
--
-- How time is told from samples: a sample stands for the time until the next one. When that comes only after a gap, or none comes, it
-- stands for one sampling interval, never past the end of what is judged; while nothing has come yet, for no time. A gap is more
-- than 2.1 sampling intervals without a sample; what is in it and in no sample's time is unobserved: it neither counts nor ends a
-- stay. Samples that a sensor's fault made are none. Of several samples of a probe at one moment the one numbered last counts.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION coldchain.algorithm() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1;
COMMENT ON FUNCTION coldchain.algorithm() IS 'Version of the algorithm that finds excursions and computes figures; every verdict names it.';

-- Single statements without settings: they become part of the query that asks.
CREATE FUNCTION coldchain.samples(device_id int, probe smallint, judged tstzrange, since timestamptz)
RETURNS TABLE (ts timestamptz, temperature_c real, next_at timestamptz)
LANGUAGE sql STABLE ROWS 1000
AS $$
	SELECT s.ts, s.temperature_c, s.next_at
	FROM (SELECT r.ts, r.temperature_c, lead(r.ts) OVER (ORDER BY r.ts, r.epoch, r.seq) AS next_at
	      FROM telemetry.reading AS r
	      WHERE r.device_id = samples.device_id AND r.probe = samples.probe AND NOT isempty(judged)
		AND r.ts >= greatest(lower(judged), since) AND r.ts < coalesce(upper(judged), 'infinity')
		AND r.temperature_c IS NOT NULL AND coalesce(r.flags, 0) & 1 = 0) AS s
	WHERE s.next_at IS DISTINCT FROM s.ts
$$;
COMMENT ON FUNCTION coldchain.samples(int, smallint, tstzrange, timestamptz) IS
	'The temperatures of a probe that count, of those judged the ones from a moment on, in order; next_at is the time of the next.';

CREATE FUNCTION coldchain.held_to(ts timestamptz, next_at timestamptz, ends timestamptz, step interval, gap interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE -- adding an interval is no more than that; were it IMMUTABLE, it would not become part of the query
RETURN CASE
	WHEN next_at - ts <= gap THEN next_at
	WHEN next_at IS NULL AND ends = 'infinity' THEN ts
	ELSE least(ts + step, ends) END;
COMMENT ON FUNCTION coldchain.held_to(timestamptz, timestamptz, timestamptz, interval, interval) IS
	'Until when a sample stands for the time after it: the next one, if it comes within the gap; else one step, not past the end of what is '
	'judged (infinity: none).';

CREATE FUNCTION coldchain.length_s(times tstzmultirange) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT coalesce(sum(extract(epoch FROM upper(t) - lower(t))), 0)::double precision FROM unnest(times) AS t
$$;
COMMENT ON FUNCTION coldchain.length_s(tstzmultirange) IS 'How long these times are together, seconds.';

-- ---- marks ----

CREATE FUNCTION coldchain.mark(devices int[], sinces timestamptz[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- In the order in which telemetry.advance() locks.
	PERFORM FROM telemetry.device_state AS s WHERE s.device_id = ANY (devices) ORDER BY s.device_id FOR NO KEY UPDATE;
	UPDATE telemetry.device_state AS s SET watch_all = true WHERE s.device_id = ANY (devices) AND s.watch_all IS DISTINCT FROM true;
	INSERT INTO coldchain.due (device_id, since) SELECT d, since FROM unnest(devices, sinces) AS m (d, since) ORDER BY d;
	-- Where only an assignment has changed (-infinity) there is no new reading.
	UPDATE telemetry.device_state AS s SET rollup_from = least(s.rollup_from, m.since)
	FROM (SELECT d, min(since) AS since FROM unnest(devices, sinces) AS u (d, since) WHERE since > '-infinity' GROUP BY d) AS m
	WHERE s.device_id = m.d;
END
$$;
COMMENT ON FUNCTION coldchain.mark(int[], timestamptz[]) IS
	'These devices are to be evaluated, from those measurement times on. For whoever stores readings otherwise than by telemetry.advance(), '
	'in the same transaction.';

CREATE FUNCTION coldchain.watch_assigned(devices int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM telemetry.device_state AS s WHERE s.device_id = ANY (devices) ORDER BY s.device_id FOR NO KEY UPDATE;
	UPDATE telemetry.device_state AS s SET watch_low = w.low, watch_high = w.high, watch_from = w.starts, watch_to = w.ends
	FROM (SELECT d AS device_id, max(v.low) AS low, min(v.high) AS high, min(lower(v.judged)) AS starts,
			max(coalesce(upper(v.judged), 'infinity')) AS ends
	      FROM unnest(devices) AS d LEFT JOIN (
			SELECT a.device_id, a.judged, coalesce(p.storage_lower_c, '-infinity') AS low, coalesce(p.storage_upper_c, 'infinity') AS high
			FROM coldchain.assignment AS a JOIN coldchain.profile_version AS p USING (profile_version_id)
			WHERE a.device_id = ANY (devices) AND a.role = 'product' AND NOT isempty(a.judged)) AS v ON v.device_id = d
	      GROUP BY d) AS w
	WHERE s.device_id = w.device_id;
	PERFORM coldchain.mark(devices, array_fill(timestamptz '-infinity', ARRAY[cardinality(devices)]));
END
$$;
COMMENT ON FUNCTION coldchain.watch_assigned(int[]) IS
	'Sets what telemetry.advance() compares the readings of these devices with, by their assignments, and has everything computed anew.';

CREATE FUNCTION coldchain.assignment_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	devices int[];
BEGIN
	IF TG_OP = 'INSERT' THEN
		SELECT array_agg(DISTINCT device_id ORDER BY device_id) INTO devices FROM came;
	ELSE
		SELECT array_agg(DISTINCT c.device_id ORDER BY c.device_id) INTO devices FROM came AS c JOIN went AS w USING (assignment_id)
		WHERE (c.judged, c.profile_version_id, c.role, c.sample_interval_s)
			IS DISTINCT FROM (w.judged, w.profile_version_id, w.role, w.sample_interval_s);
	END IF;
	PERFORM coldchain.watch_assigned(devices) WHERE devices IS NOT NULL;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.assignment_changed() IS 'Trigger: an assignment that is new or corrected has its device computed anew.';
CREATE TRIGGER assignment_came AFTER INSERT ON coldchain.assignment REFERENCING NEW TABLE AS came
	FOR EACH STATEMENT EXECUTE FUNCTION coldchain.assignment_changed();
CREATE TRIGGER assignment_changed AFTER UPDATE ON coldchain.assignment REFERENCING OLD TABLE AS went NEW TABLE AS came
	FOR EACH STATEMENT EXECUTE FUNCTION coldchain.assignment_changed();

-- ---- evaluation ----

CREATE FUNCTION coldchain.evaluate_devices(devices int[], sinces timestamptz[]) RETURNS int[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lots int[];
BEGIN
	-- work: each band of each assignment, with the moment before which nothing is different: the start of a stay that the earliest
	-- change touches, else that change. An open stay that is only longer than it was goes on from its last sample (base), however long.
	WITH work AS MATERIALIZED (
		SELECT a.assignment_id, a.device_id, a.probe, a.lot_id, a.judged, a.sample_interval_s, d.since, b.band_id, b.code, b.counting,
			b.allowed_s, b.lower_c, b.lower_inclusive, b.upper_c, b.upper_inclusive, coalesce(touched.started_at, d.since) AS since_stay,
			coalesce(base.last_at, touched.started_at, d.since) AS begins, base.excursion_id AS base_id, base.out_s::numeric AS base_s
		FROM unnest(devices, sinces) AS d (device_id, since)
		JOIN coldchain.assignment AS a ON a.device_id = d.device_id AND a.role = 'product' AND NOT isempty(a.judged)
			AND coalesce(upper(a.judged), 'infinity') > d.since
		JOIN coldchain.band AS b ON b.profile_version_id = a.profile_version_id
		LEFT JOIN LATERAL (SELECT min(e.started_at) AS started_at, CASE WHEN count(*) = 1 THEN min(e.excursion_id) FILTER (
				WHERE e.state = 'open' AND e.last_at < d.since AND e.band_id = b.band_id AND e.algorithm = coldchain.algorithm()) END AS base_id
			FROM coldchain.excursion AS e JOIN coldchain.band AS eb ON eb.band_id = e.band_id AND eb.code = b.code
			WHERE e.assignment_id = a.assignment_id AND e.state IN ('open', 'ended')
				AND e.started_at < d.since AND (e.ended_at IS NULL OR e.ended_at >= d.since)) AS touched ON true
		LEFT JOIN coldchain.excursion AS base ON base.excursion_id = touched.base_id
	), old AS MATERIALIZED (
		SELECT e.*, eb.code, a.lot_id
		FROM unnest(devices, sinces) AS d (device_id, since)
		JOIN coldchain.assignment AS a ON a.device_id = d.device_id
		JOIN coldchain.excursion AS e ON e.assignment_id = a.assignment_id AND e.state IN ('open', 'ended')
		JOIN coldchain.band AS eb ON eb.band_id = e.band_id
		LEFT JOIN work AS w ON w.assignment_id = e.assignment_id AND w.code = eb.code
		WHERE CASE WHEN w.band_id IS NULL THEN d.since = '-infinity' ELSE e.started_at >= w.since_stay END
	), sample AS (
		SELECT w.assignment_id, s.ts, s.temperature_c, s.next_at, coldchain.held_to(s.ts, s.next_at, coalesce(upper(w.judged), 'infinity'),
				w.sample_interval_s * interval '1 second', w.sample_interval_s * interval '2.1 seconds') AS held_to
		FROM (SELECT assignment_id, device_id, probe, judged, sample_interval_s, min(begins) AS begins FROM work GROUP BY 1, 2, 3, 4, 5) AS w
		CROSS JOIN LATERAL coldchain.samples(w.device_id, w.probe, w.judged, w.begins) AS s
	), told AS (
		SELECT w.assignment_id, w.band_id, w.base_s, s.ts, s.temperature_c, s.next_at, s.held_to, b.hit,
			count(*) FILTER (WHERE NOT b.hit) OVER (PARTITION BY w.assignment_id, w.band_id ORDER BY s.ts) AS stay
		FROM work AS w JOIN sample AS s ON s.assignment_id = w.assignment_id AND s.ts >= w.begins
		CROSS JOIN LATERAL (SELECT coldchain.in_band(s.temperature_c, w.lower_c, w.lower_inclusive, w.upper_c, w.upper_inclusive) AS hit) AS b
	), counted AS (
		SELECT t.*, extract(epoch FROM t.held_to - t.ts) AS lasts,
			CASE WHEN t.stay = 0 THEN coalesce(t.base_s, 0) ELSE 0 END
				+ coalesce(sum(extract(epoch FROM t.held_to - t.ts)) OVER (PARTITION BY t.assignment_id, t.band_id, t.stay ORDER BY t.ts
					ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
		FROM told AS t WHERE t.hit
	), stay AS (
		SELECT w.assignment_id, w.band_id, w.code, w.lot_id, w.device_id, w.probe, w.counting, w.allowed_s,
			coalesce(o.started_at, min(c.ts)) AS started_at, max(c.ts) AS last_at,
			CASE WHEN bool_or(c.next_at IS NULL) THEN upper(w.judged) ELSE max(c.next_at) END AS ended_at,
			sum(c.lasts) + CASE WHEN o.excursion_id IS NULL THEN 0 ELSE w.base_s END AS out_s, least(o.min_c, min(c.temperature_c)) AS min_c,
			greatest(o.max_c, max(c.temperature_c)) AS max_c, count(*)::int + coalesce(o.samples - 1, 0) AS samples,
			coalesce(range_agg(tstzrange(c.ts, c.held_to)) FILTER (WHERE c.held_to > c.ts), '{}') + coalesce(o.observed, '{}') AS observed,
			coalesce(o.alarm_at, min(c.ts + (w.allowed_s - c.before)::double precision * interval '1 second')
				FILTER (WHERE c.before + c.lasts >= w.allowed_s)) AS alarm_at
		FROM counted AS c JOIN work AS w USING (assignment_id, band_id)
		LEFT JOIN coldchain.excursion AS o ON o.excursion_id = w.base_id AND c.stay = 0
		GROUP BY w.assignment_id, w.band_id, w.code, w.lot_id, w.device_id, w.probe, w.counting, w.allowed_s, w.judged, w.base_s, c.stay,
			o.excursion_id
	), new AS MATERIALIZED (
		SELECT s.assignment_id, s.band_id, s.code, s.lot_id, s.device_id, s.probe, s.started_at, s.last_at, s.ended_at,
			s.out_s::double precision AS out_s,
			(extract(epoch FROM coalesce(s.ended_at, s.last_at) - s.started_at) - s.out_s)::double precision AS unobserved_s,
			CASE WHEN s.counting = 'single' THEN s.alarm_at END AS alarm_at,
			CASE WHEN s.counting = 'single' AND extract(epoch FROM coalesce(s.ended_at, s.last_at) - s.started_at) >= s.allowed_s
				THEN s.started_at + s.allowed_s * interval '1 second' END AS worst_alarm_at,
			s.min_c, s.max_c, s.samples, s.observed
		FROM stay AS s
	), overlap AS (
		SELECT o.excursion_id, n.assignment_id, n.code, n.started_at, o.started_at AS old_started_at
		FROM old AS o JOIN new AS n ON n.assignment_id = o.assignment_id AND n.code = o.code
			AND n.started_at <= o.last_at AND n.last_at >= o.started_at
	), heir AS ( -- of an old stay: the first of those that it is now
		SELECT DISTINCT ON (excursion_id) * FROM overlap ORDER BY excursion_id, started_at
	), root AS ( -- of a stay: the first of those that it was
		SELECT DISTINCT ON (assignment_id, code, started_at) * FROM overlap ORDER BY assignment_id, code, started_at, old_started_at
	), named AS MATERIALIZED (
		SELECT n.*, r.excursion_id AS root_id, h.excursion_id AS same_id,
			coalesce(h.excursion_id, nextval('coldchain.excursion_excursion_id_seq')) AS excursion_id
		FROM new AS n LEFT JOIN root AS r USING (assignment_id, code, started_at)
		LEFT JOIN heir AS h ON h.excursion_id = r.excursion_id AND h.started_at = n.started_at
	), different AS MATERIALIZED ( -- what is known already and is not as it was said
		SELECT n.*, o.state AS old_state, o.revision AS old_revision, CASE
			WHEN EXISTS (SELECT FROM overlap AS v WHERE v.excursion_id = o.excursion_id AND v.started_at > n.started_at) THEN 'split'
			WHEN n.started_at <> o.started_at OR (o.ended_at IS NOT NULL AND n.ended_at IS DISTINCT FROM o.ended_at)
				OR (o.alarm_at IS NOT NULL AND n.alarm_at IS DISTINCT FROM o.alarm_at) OR n.band_id <> o.band_id THEN 'revised'
			WHEN o.alarm_at IS NULL AND n.alarm_at IS NOT NULL THEN 'alarm'
			WHEN o.ended_at IS NULL AND n.ended_at IS NOT NULL THEN 'ended'
			WHEN o.ended_at IS NOT NULL THEN 'revised' END AS change
		FROM named AS n JOIN old AS o ON o.excursion_id = n.same_id
		WHERE (n.started_at, n.last_at, n.ended_at, n.alarm_at, n.worst_alarm_at, n.out_s, n.unobserved_s, n.min_c, n.max_c, n.samples,
				n.observed, n.band_id, coldchain.algorithm())
			IS DISTINCT FROM (o.started_at, o.last_at, o.ended_at, o.alarm_at, o.worst_alarm_at, o.out_s, o.unobserved_s, o.min_c,
				o.max_c, o.samples, o.observed, o.band_id, o.algorithm)
	), added AS (
		INSERT INTO coldchain.excursion (excursion_id, state, device_id, probe, assignment_id, band_id, algorithm, started_at, last_at,
			ended_at, alarm_at, worst_alarm_at, out_s, unobserved_s, min_c, max_c, samples, observed, late, split_from)
		OVERRIDING SYSTEM VALUE
		SELECT n.excursion_id, CASE WHEN n.ended_at IS NULL THEN 'open' ELSE 'ended' END, n.device_id, n.probe, n.assignment_id, n.band_id,
			coldchain.algorithm(), n.started_at, n.last_at, n.ended_at, n.alarm_at, n.worst_alarm_at, n.out_s, n.unobserved_s, n.min_c,
			n.max_c, n.samples, n.observed, coldchain.found_late(n.assignment_id, n.started_at, n.alarm_at), n.root_id
		FROM named AS n WHERE n.same_id IS NULL ORDER BY n.excursion_id
		RETURNING excursion.*, 'found' AS change
	), changed AS (
		UPDATE coldchain.excursion AS e SET state = CASE WHEN n.ended_at IS NULL THEN 'open' ELSE 'ended' END, band_id = n.band_id,
			algorithm = coldchain.algorithm(), started_at = n.started_at, last_at = n.last_at, ended_at = n.ended_at,
			alarm_at = n.alarm_at, worst_alarm_at = n.worst_alarm_at, out_s = n.out_s, unobserved_s = n.unobserved_s, min_c = n.min_c,
			max_c = n.max_c, samples = n.samples, observed = n.observed,
			late = CASE WHEN e.alarm_at IS NULL THEN coldchain.found_late(n.assignment_id, n.started_at, n.alarm_at) ELSE e.late END,
			revision = e.revision + (n.change IS NOT NULL)::int
		FROM different AS n WHERE e.excursion_id = n.excursion_id
		RETURNING e.*, n.change
	), gone AS (
		UPDATE coldchain.excursion AS e SET state = CASE WHEN h.into_id IS NULL THEN 'retracted' ELSE 'merged' END, merged_into = h.into_id,
			revision = e.revision + 1
		FROM (SELECT o.excursion_id, (SELECT n.excursion_id FROM heir AS h JOIN named AS n USING (assignment_id, code, started_at)
				WHERE h.excursion_id = o.excursion_id) AS into_id
		      FROM old AS o WHERE NOT EXISTS (SELECT FROM named AS n WHERE n.same_id = o.excursion_id)) AS h
		WHERE e.excursion_id = h.excursion_id
		RETURNING e.*, e.state AS change
	), every AS (
		SELECT * FROM added UNION ALL SELECT * FROM changed UNION ALL SELECT * FROM gone
	), kept AS (
		INSERT INTO coldchain.excursion_revision (excursion_id, revision, device_id, change, state, started_at, last_at, ended_at, alarm_at,
			out_s, unobserved_s, min_c, max_c, profile_version_id, algorithm)
		SELECT e.excursion_id, e.revision, e.device_id, e.change, e.state, e.started_at, e.last_at, e.ended_at, e.alarm_at, e.out_s,
			e.unobserved_s, e.min_c, e.max_c, b.profile_version_id, e.algorithm
		FROM every AS e JOIN coldchain.band AS b USING (band_id) WHERE e.change IS NOT NULL ORDER BY e.excursion_id
	)
	SELECT array_agg(DISTINCT a.lot_id ORDER BY a.lot_id) INTO lots FROM every AS e JOIN coldchain.assignment AS a USING (assignment_id);
	RETURN lots;
END
$$;
COMMENT ON FUNCTION coldchain.evaluate_devices(int[], timestamptz[]) IS
	'Brings the excursions of these devices, which the caller has locked, to what readings and assignments say, as far as they could be '
	'different from those measurement times on. Returns the lots that have been somewhere for another time than was said; NULL: none.';

CREATE FUNCTION coldchain.found_late(assignment_id int, started_at timestamptz, alarm_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT alarm_at IS NOT NULL AND EXISTS (
		SELECT FROM coldchain.assignment AS a
		CROSS JOIN LATERAL (SELECT max(r.received_at) AS received_at FROM telemetry.reading AS r
			WHERE r.device_id = a.device_id AND r.probe = a.probe AND r.ts >= found_late.started_at AND r.ts <= found_late.alarm_at
		) AS shown
		WHERE a.assignment_id = found_late.assignment_id AND (
			shown.received_at < (SELECT max(v.at) FROM coldchain.assignment_version AS v WHERE v.assignment_id = a.assignment_id)
			OR EXISTS (SELECT FROM telemetry.reading AS r WHERE r.device_id = a.device_id AND r.ts > found_late.alarm_at
				AND r.received_at < shown.received_at)))
$$;
COMMENT ON FUNCTION coldchain.found_late(int, timestamptz, timestamptz) IS
	'Was an alarm found late: by readings that arrived after newer ones of the device, or by an assignment made after they had?';

CREATE FUNCTION coldchain.expose(lots int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Of two that evaluate devices of one lot the later one sees what the first has found.
	PERFORM FROM coldchain.lot AS l WHERE l.lot_id = ANY (lots) ORDER BY l.lot_id FOR NO KEY UPDATE;
	WITH stay AS MATERIALIZED (
		SELECT a.lot_id, b.code, b.counting, b.allowed_s, e.observed, e.out_s, e.started_at, e.alarm_at, e.late
		FROM coldchain.assignment AS a JOIN coldchain.excursion AS e USING (assignment_id) JOIN coldchain.band AS b USING (band_id)
		WHERE a.lot_id = ANY (lots) AND e.state IN ('open', 'ended')
	), total AS MATERIALIZED (
		SELECT lot_id, code, min(counting) AS counting, min(allowed_s) AS allowed_s, range_agg(observed) AS observed,
			max(out_s) AS longest_s, count(*)::int AS excursions, min(started_at) AS first_at, min(alarm_at) AS alarm_at,
			coalesce((array_agg(late ORDER BY alarm_at, late))[1], false) AS late
		FROM stay GROUP BY lot_id, code -- 'cumulative' comes before 'single'
	), piece AS (
		SELECT t.lot_id, t.code, t.allowed_s, lower(p) AS starts, extract(epoch FROM upper(p) - lower(p)) AS lasts,
			coalesce(sum(extract(epoch FROM upper(p) - lower(p))) OVER (PARTITION BY t.lot_id, t.code ORDER BY lower(p)
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
		FROM total AS t CROSS JOIN LATERAL unnest(t.observed) AS p
	), reached AS (
		SELECT lot_id, code, sum(lasts)::double precision AS out_s,
			min(starts + (allowed_s - before)::double precision * interval '1 second') FILTER (WHERE before + lasts >= allowed_s) AS alarm_at
		FROM piece GROUP BY lot_id, code
	), new AS MATERIALIZED (
		SELECT t.lot_id, t.code, t.counting, t.allowed_s, coalesce(r.out_s, 0) AS out_s, t.longest_s, t.excursions, t.first_at,
			CASE WHEN t.counting = 'single' THEN t.alarm_at WHEN t.allowed_s = 0 THEN t.first_at ELSE r.alarm_at END AS alarm_at,
			t.counting = 'single' AND t.late AS late
		FROM total AS t LEFT JOIN reached AS r USING (lot_id, code)
	), gone AS (
		DELETE FROM coldchain.exposure AS x WHERE x.lot_id = ANY (lots)
			AND NOT EXISTS (SELECT FROM new AS n WHERE n.lot_id = x.lot_id AND n.code = x.band_code))
	INSERT INTO coldchain.exposure AS x (lot_id, band_code, counting, allowed_s, out_s, longest_s, excursions, first_at, alarm_at, late, algorithm)
	SELECT n.lot_id, n.code, n.counting, n.allowed_s, n.out_s, n.longest_s, n.excursions, n.first_at, n.alarm_at, n.late, coldchain.algorithm()
	FROM new AS n ORDER BY n.lot_id, n.code
	ON CONFLICT (lot_id, band_code) DO UPDATE SET counting = excluded.counting, allowed_s = excluded.allowed_s, out_s = excluded.out_s,
		longest_s = excluded.longest_s, excursions = excluded.excursions, first_at = excluded.first_at, alarm_at = excluded.alarm_at,
		late = excluded.late, algorithm = excluded.algorithm
	WHERE (x.counting, x.allowed_s, x.out_s, x.longest_s, x.excursions, x.first_at, x.alarm_at, x.late, x.algorithm)
		IS DISTINCT FROM (excluded.counting, excluded.allowed_s, excluded.out_s, excluded.longest_s, excluded.excursions,
			excluded.first_at, excluded.alarm_at, excluded.late, excluded.algorithm);
END
$$;
COMMENT ON FUNCTION coldchain.expose(int[]) IS 'Brings the exposure of these lots to what their excursions say.';

CREATE FUNCTION coldchain.settle(devices int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	calm int[];
BEGIN
	SELECT array_agg(s.device_id ORDER BY s.device_id) INTO calm FROM telemetry.device_state AS s
	WHERE s.device_id = ANY (devices) AND s.watch_all
		-- One that ends with what is judged may turn out to have ended before: by readings that have not come yet.
		AND NOT EXISTS (SELECT FROM coldchain.excursion AS e WHERE e.device_id = s.device_id
			AND (e.state = 'open' OR (e.state = 'ended' AND e.ended_at > s.reading_ts)));
	IF calm IS NULL THEN
		RETURN;
	END IF;
	-- Whoever has marked one of them meanwhile is waited for, and its mark is then seen: a mark is never left without the flag.
	PERFORM FROM telemetry.device_state AS s WHERE s.device_id = ANY (calm) ORDER BY s.device_id FOR NO KEY UPDATE;
	UPDATE telemetry.device_state AS s SET watch_all = NULL
	WHERE s.device_id = ANY (calm) AND NOT EXISTS (SELECT FROM coldchain.due AS d WHERE d.device_id = s.device_id);
END
$$;
COMMENT ON FUNCTION coldchain.settle(int[]) IS 'Of these devices those without an excursion that goes on as far as readings reach need no evaluation of readings within their limits.';

CREATE FUNCTION coldchain.evaluate_claimed(devices int[], sinces timestamptz[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lots CONSTANT int[] := coldchain.evaluate_devices(devices, sinces);
BEGIN
	PERFORM coldchain.expose(lots) WHERE lots IS NOT NULL;
	PERFORM coldchain.settle(devices);
	-- The last, for whoever changes a device has locked its latest state before its places in the lists.
	PERFORM fleet.relist_excursions(devices, ARRAY(SELECT e.device_id FROM coldchain.excursion AS e
		WHERE e.device_id = ANY (devices) AND e.state = 'open'));
END
$$;
COMMENT ON FUNCTION coldchain.evaluate_claimed(int[], timestamptz[]) IS
	'All that coldchain.evaluate() does for devices which it has claimed: excursions, exposures of their lots, the flags of the calm ones, and '
	'who is listed as in an excursion.';

CREATE FUNCTION coldchain.evaluate(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan -- planning takes 20 ms, a device less than 1
SET enable_seqscan = off -- a plan made while there was little is kept when there is much
AS $$
DECLARE
	devices int[];
	claimed int[];
	sinces timestamptz[];
	done int := 0;
BEGIN
	-- Those whose device somebody else is at are left: whoever has it finds what was added since when it asks again.
	SELECT array_agg(w.device_id ORDER BY w.device_id) INTO devices
	FROM (SELECT d.device_id FROM (SELECT q.device_id, q.due_id FROM coldchain.due AS q ORDER BY q.due_id LIMIT 10 * most) AS d
	      GROUP BY d.device_id ORDER BY min(d.due_id) LIMIT most) AS w
	WHERE pg_try_advisory_xact_lock('coldchain.due'::regclass::oid::int, w.device_id);
	IF devices IS NULL THEN
		RETURN 0;
	END IF;
	-- A new statement sees at least what was committed when the lock was had, and later ones the readings that belong to it.
	WITH gone AS (DELETE FROM coldchain.due AS d WHERE d.device_id = ANY (devices) RETURNING d.device_id, d.since)
	SELECT array_agg(g.device_id ORDER BY g.device_id), array_agg(g.since ORDER BY g.device_id) INTO claimed, sinces
	FROM (SELECT device_id, min(since) AS since FROM gone GROUP BY device_id) AS g;
	IF claimed IS NULL THEN
		RETURN 0;
	END IF;
	BEGIN
		PERFORM coldchain.evaluate_claimed(claimed, sinces);
		RETURN cardinality(claimed);
	EXCEPTION WHEN OTHERS THEN
		RAISE WARNING 'evaluation of % devices: %: one by one then', cardinality(claimed), SQLERRM;
	END;
	-- What cannot be computed goes to the end of the line and holds up nobody.
	FOR n IN 1 .. cardinality(claimed) LOOP
		BEGIN
			PERFORM coldchain.evaluate_claimed(claimed[n:n], sinces[n:n]);
			done := done + 1;
		EXCEPTION WHEN OTHERS THEN
			RAISE WARNING 'evaluation of device %: %', claimed[n], SQLERRM;
			INSERT INTO coldchain.due (device_id, since) VALUES (claimed[n], sinces[n]);
		END;
	END LOOP;
	RETURN done;
END
$$;
COMMENT ON FUNCTION coldchain.evaluate(int) IS
	'Evaluates up to so many of the devices that are due, and returns how many it did; 0: nothing is due that nobody else is at. One that fails '
	'(a warning says why) goes to the end of the line. Several may '
	'call at once, each call a transaction of its own (READ COMMITTED). Ask a few times a second: nobody is notified, for PostgreSQL commits '
	'transactions that notify one after the other.';

CREATE OR REPLACE FUNCTION fleet.in_excursion() RETURNS SETOF int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT DISTINCT e.device_id FROM coldchain.excursion AS e WHERE e.state = 'open'
$$;
COMMENT ON FUNCTION fleet.in_excursion() IS 'The devices with an open excursion, each once.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA coldchain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.algorithm(), coldchain.samples(int, smallint, tstzrange, timestamptz),
	coldchain.held_to(timestamptz, timestamptz, timestamptz, interval, interval), coldchain.length_s(tstzmultirange)
	TO coldfleet_api_definer, coldfleet_analyst;
GRANT EXECUTE ON FUNCTION coldchain.mark(int[], timestamptz[]) TO coldfleet_api_definer;

COMMIT;
