-- SPDX-License-Identifier: Apache-2.0
-- Figures of assignments, lots and any interval, computed from readings when they are asked for: time in range, out of range and
-- unobserved for each band, what is left of the allowed duration, the worst that unobserved time may hide, and lowest, highest,
-- mean and mean kinetic temperature. How time is told from samples is said in coldchain_engine. All of it runs as whoever asks.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION coldchain.kinetic_c(mean_factor double precision, dh_kj_mol double precision, r_j_mol_k double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN mean_factor > 0 THEN dh_kj_mol * 1000 / r_j_mol_k / -ln(mean_factor) - 273.15 END;
COMMENT ON FUNCTION coldchain.kinetic_c(double precision, double precision, double precision) IS
	'Mean kinetic temperature, degrees Celsius, from the mean over time of exp(-activation energy / (gas constant * kelvin)).';

CREATE FUNCTION coldchain.kinetic_factor(temperature_c double precision, dh_kj_mol double precision, r_j_mol_k double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN exp(-dh_kj_mol * 1000 / r_j_mol_k / greatest(temperature_c + 273.15, 20));
COMMENT ON FUNCTION coldchain.kinetic_factor(double precision, double precision, double precision) IS
	'exp(-activation energy / (gas constant * kelvin)), below 20 K as at 20 K: there it is so close to 0 that PostgreSQL would call it an error.';

CREATE FUNCTION coldchain.mkt_c(temperatures_c double precision[], weights double precision[] DEFAULT NULL,
	dh_kj_mol double precision DEFAULT 83.144, r_j_mol_k double precision DEFAULT 8.3144) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coldchain.kinetic_c(sum(coalesce(w, 1) * coldchain.kinetic_factor(t, dh_kj_mol, r_j_mol_k)) / nullif(sum(coalesce(w, 1)), 0),
		dh_kj_mol, r_j_mol_k)
	FROM unnest(temperatures_c, weights) AS s (t, w) WHERE t IS NOT NULL
$$;
COMMENT ON FUNCTION coldchain.mkt_c(double precision[], double precision[], double precision, double precision) IS
	'Mean kinetic temperature of samples with the time that each stands for (NULL: the same), degrees Celsius. Activation energy in kJ/mol '
	'and gas constant in J/(mol K), by default 83.144 and 8.3144, whose ratio is 10,000 K; some devices use 83.0.';

-- One row a sample that stands for time in what is asked, or is in it.
CREATE FUNCTION coldchain.pieces(assignment_ids int[], from_at timestamptz, to_at timestamptz)
RETURNS TABLE (assignment_id int, ts timestamptz, temperature_c real, starts timestamptz, ends timestamptz, lasts_s double precision,
	asked_from timestamptz, asked_to timestamptz)
LANGUAGE sql STABLE ROWS 10000
AS $$
	-- OFFSET 0: what is computed once is not computed again wherever it is used.
	SELECT p.assignment_id, p.ts, p.temperature_c, p.starts, p.ends, date_part('epoch', p.ends - p.starts) AS lasts_s, p.asked_from, p.asked_to
	FROM (
		SELECT a.assignment_id, s.ts, s.temperature_c, greatest(s.ts, w.asked_from) AS starts,
			greatest(s.ts, w.asked_from, least(h.held_to, w.asked_to)) AS ends, w.asked_from, w.asked_to
		FROM coldchain.assignment AS a
		CROSS JOIN LATERAL (SELECT v.around, lower(v.asked) AS asked_from, coalesce(upper(v.asked), 'infinity') AS asked_to,
				coalesce(upper(v.around), 'infinity') AS around_to, a.sample_interval_s * interval '1 second' AS step, v.gap
			FROM (SELECT a.judged * tstzrange(pieces.from_at, pieces.to_at) AS asked, g.gap,
				a.judged * tstzrange(pieces.from_at - g.gap, pieces.to_at + g.gap) AS around
			      FROM (SELECT a.sample_interval_s * interval '2.1 seconds' AS gap) AS g) AS v
			WHERE NOT isempty(v.asked) OFFSET 0) AS w
		CROSS JOIN LATERAL coldchain.samples(a.device_id, a.probe, w.around, '-infinity') AS s
		CROSS JOIN LATERAL (SELECT coldchain.held_to(s.ts, s.next_at, w.around_to, w.step, w.gap) AS held_to OFFSET 0) AS h
		WHERE a.assignment_id = ANY (pieces.assignment_ids) AND s.ts < w.asked_to AND (s.ts >= w.asked_from OR h.held_to > w.asked_from)
		OFFSET 0) AS p
$$;
COMMENT ON FUNCTION coldchain.pieces(int[], timestamptz, timestamptz) IS
	'The samples of assignments with the times that they stand for, from starts to ends, lasts_s seconds, within what is judged of the '
	'interval (NULL: no limit): asked_from, asked_to (infinity: no end).';

CREATE FUNCTION coldchain.figures(assignment_ids int[], from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL,
	min_coverage double precision DEFAULT 0.9, dh_kj_mol double precision DEFAULT 83.144, r_j_mol_k double precision DEFAULT 8.3144)
RETURNS TABLE (assignment_id int, from_time timestamptz, to_time timestamptz, observed_s double precision, unobserved_s double precision,
	coverage double precision, samples bigint, gaps bigint, first_at timestamptz, last_at timestamptz, min_c real, max_c real,
	mean_c double precision, mkt_c double precision, mkt_missing text, mkt_dh_kj_mol double precision, mkt_r_j_mol_k double precision,
	algorithm int)
LANGUAGE sql STABLE ROWS 10
AS $$
	SELECT f.assignment_id, f.asked_from, f.until, f.observed_s, f.total_s - f.observed_s, f.observed_s / nullif(f.total_s, 0), f.samples,
		f.gaps, f.first_at, f.last_at, f.min_c, f.max_c, f.weighted / nullif(f.observed_s, 0),
		CASE WHEN m.missing IS NULL THEN coldchain.kinetic_c(f.factor / nullif(f.observed_s, 0), figures.dh_kj_mol, figures.r_j_mol_k) END,
		m.missing, figures.dh_kj_mol, figures.r_j_mol_k, coldchain.algorithm()
	FROM (
		SELECT g.*, date_part('epoch', g.until - g.asked_from) AS total_s
		FROM (
			SELECT p.assignment_id, p.asked_from, CASE WHEN p.asked_to = 'infinity' THEN max(p.ts) ELSE p.asked_to END AS until,
				sum(p.lasts_s) AS observed_s, count(*) FILTER (WHERE p.ts >= p.asked_from) AS samples,
				count(*) FILTER (WHERE p.after > p.ends OR (p.after IS NULL AND p.asked_to > p.ends AND p.asked_to < 'infinity'))
					+ (min(p.starts) > p.asked_from)::int AS gaps,
				min(p.ts) FILTER (WHERE p.ts >= p.asked_from) AS first_at, max(p.ts) AS last_at,
				min(p.temperature_c) AS min_c, max(p.temperature_c) AS max_c, sum(p.temperature_c * p.lasts_s) AS weighted,
				sum(p.lasts_s * coldchain.kinetic_factor(p.temperature_c, figures.dh_kj_mol, figures.r_j_mol_k)) AS factor
			FROM (SELECT q.*, lead(q.starts) OVER (PARTITION BY q.assignment_id ORDER BY q.ts) AS after
			      FROM coldchain.pieces(figures.assignment_ids, figures.from_at, figures.to_at) AS q) AS p
			GROUP BY p.assignment_id, p.asked_from, p.asked_to) AS g) AS f
	JOIN coldchain.assignment AS a USING (assignment_id)
	JOIN coldchain.lot AS l USING (lot_id)
	JOIN coldchain.product AS r USING (product_id)
	CROSS JOIN LATERAL (SELECT CASE WHEN r.frozen THEN 'frozen' WHEN coalesce(f.observed_s / nullif(f.total_s, 0), 0) < figures.min_coverage
		THEN 'coverage' END AS missing) AS m
$$;
COMMENT ON FUNCTION coldchain.figures(int[], timestamptz, timestamptz, double precision, double precision, double precision) IS
	'Figures of each of these assignments over what is judged of an interval of measurement time (NULL: all of it), one row each; none: no '
	'sample. from_time and to_time: the time that they are about (without end: to its last sample); observed_s and unobserved_s; coverage, '
	'observed of all; samples; gaps, how many times it was unobserved; first_at, last_at; min_c, max_c; mean_c over time; mkt_c, mean kinetic '
	'temperature over observed time with the constants used, NULL with a reason in mkt_missing: coverage below min_coverage, or a frozen product.';

CREATE FUNCTION coldchain.band_figures(assignment_ids int[], from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (assignment_id int, band_id int, band_code text, counting text, allowed_s int, in_range_s double precision, out_s double precision,
	unobserved_s double precision, longest_s double precision, remaining_s double precision, worst_out_s double precision,
	worst_longest_s double precision, worst_remaining_s double precision, algorithm int)
LANGUAGE sql STABLE ROWS 30
AS $$
	WITH piece AS MATERIALIZED (
		SELECT p.assignment_id, p.ts, p.temperature_c, p.starts, p.ends, p.asked_from, p.asked_to, p.lasts_s
		FROM coldchain.pieces(band_figures.assignment_ids, band_figures.from_at, band_figures.to_at) AS p
	), whole AS MATERIALIZED (
		SELECT p.assignment_id, a.profile_version_id, p.asked_from AS starts, CASE WHEN p.asked_to = 'infinity' THEN p.last_at ELSE p.asked_to END AS ends,
			p.observed_s, p.min_c, p.max_c, greatest(p.longest, CASE WHEN p.asked_to = 'infinity' THEN p.last_at ELSE p.asked_to END - p.last_end) AS gap
		FROM (SELECT q.assignment_id, q.asked_from, q.asked_to, max(q.ts) AS last_at, max(q.ends) AS last_end, sum(q.lasts_s) AS observed_s,
				min(q.temperature_c) AS min_c, max(q.temperature_c) AS max_c, max(q.starts - coalesce(q.before, q.asked_from)) AS longest
		      FROM (SELECT r.*, lag(r.ends) OVER (PARTITION BY r.assignment_id ORDER BY r.ts) AS before FROM piece AS r) AS q
		      GROUP BY q.assignment_id, q.asked_from, q.asked_to) AS p
		JOIN coldchain.assignment AS a USING (assignment_id)
	), met AS MATERIALIZED ( -- bands that the temperatures reach at all; most do not, and need no look at each sample
		SELECT w.assignment_id, b.band_id, b.lower_c, b.lower_inclusive, b.upper_c, b.upper_inclusive, w.starts, w.ends
		FROM whole AS w JOIN coldchain.band AS b USING (profile_version_id)
		WHERE coalesce(b.lower_c <= w.max_c, true) AND coalesce(b.upper_c >= w.min_c, true)
	), hit AS MATERIALIZED (
		SELECT h.*, count(*) FILTER (WHERE NOT h.hit) OVER w AS stay,
			max(h.ends) FILTER (WHERE NOT h.hit) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
		FROM (SELECT m.assignment_id, m.band_id, p.ts, p.starts, p.ends, p.lasts_s, m.starts AS asked_from,
				coldchain.in_band(p.temperature_c, m.lower_c, m.lower_inclusive, m.upper_c, m.upper_inclusive) AS hit
		      FROM piece AS p JOIN met AS m USING (assignment_id) OFFSET 0) AS h
		WINDOW w AS (PARTITION BY h.assignment_id, h.band_id ORDER BY h.ts)
	), out AS (
		SELECT s.assignment_id, s.band_id, sum(s.out_s) AS out_s, max(s.out_s) AS longest_s
		FROM (SELECT h.assignment_id, h.band_id, sum(h.lasts_s) AS out_s FROM hit AS h WHERE h.hit
		      GROUP BY h.assignment_id, h.band_id, h.stay) AS s
		GROUP BY s.assignment_id, s.band_id
	), worst AS ( -- from the end of one sample out of the band to the start of the next one all may have been in it
		SELECT w.assignment_id, b.band_id, greatest(0, date_part('epoch', CASE WHEN m.band_id IS NULL THEN w.gap
			ELSE coalesce(greatest(g.longest, w.ends - g.last_end), w.ends - w.starts) END)) AS worst_longest_s
		FROM whole AS w JOIN coldchain.band AS b USING (profile_version_id)
		LEFT JOIN met AS m ON m.assignment_id = w.assignment_id AND m.band_id = b.band_id
		LEFT JOIN (SELECT h.assignment_id, h.band_id, max(h.starts - coalesce(h.before, h.asked_from)) AS longest, max(h.ends) AS last_end
			   FROM hit AS h WHERE NOT h.hit GROUP BY h.assignment_id, h.band_id) AS g
			ON g.assignment_id = w.assignment_id AND g.band_id = b.band_id
	)
	SELECT w.assignment_id, b.band_id, b.code, b.counting, b.allowed_s, w.observed_s - f.out_s, f.out_s, f.unobserved_s, f.longest_s,
		greatest(0, b.allowed_s - CASE b.counting WHEN 'single' THEN f.longest_s ELSE f.out_s END),
		f.out_s + f.unobserved_s, x.worst_longest_s,
		greatest(0, b.allowed_s - CASE b.counting WHEN 'single' THEN x.worst_longest_s ELSE f.out_s + f.unobserved_s END),
		coldchain.algorithm()
	FROM whole AS w JOIN coldchain.band AS b USING (profile_version_id)
	JOIN worst AS x ON x.assignment_id = w.assignment_id AND x.band_id = b.band_id
	LEFT JOIN out AS o ON o.assignment_id = w.assignment_id AND o.band_id = b.band_id
	CROSS JOIN LATERAL (SELECT coalesce(o.out_s, 0) AS out_s, coalesce(o.longest_s, 0) AS longest_s,
		date_part('epoch', w.ends - w.starts) - w.observed_s AS unobserved_s) AS f
$$;
COMMENT ON FUNCTION coldchain.band_figures(int[], timestamptz, timestamptz) IS
	'For each band of each of these assignments, over what is judged of an interval of measurement time (NULL: all of it): in_range_s, out_s '
	'(within the band) and unobserved_s add up to the whole; longest_s, the longest observed stay; remaining_s, what is left of allowed_s: of '
	'a cumulative band as far as this assignment goes, see coldchain.lot_figures. worst_: the same had all unobserved time been in the band.';

CREATE FUNCTION coldchain.lot_figures(lot_id int)
RETURNS TABLE (band_code text, counting text, allowed_s int, irreversible boolean, out_s double precision, longest_s double precision,
	remaining_s double precision, unobserved_s double precision, worst_remaining_s double precision, alarm_at timestamptz,
	excursions int, algorithm int)
LANGUAGE sql STABLE ROWS 5
AS $$
	WITH its AS MATERIALIZED (
		SELECT a.assignment_id, a.judged, a.profile_version_id FROM coldchain.assignment AS a
		WHERE a.lot_id = lot_figures.lot_id AND a.role = 'product' AND NOT isempty(a.judged)
	), piece AS MATERIALIZED (
		SELECT p.ts, p.starts, p.ends, p.asked_from, p.asked_to
		FROM coldchain.pieces(ARRAY(SELECT i.assignment_id FROM its AS i), NULL, NULL) AS p
	), seen AS (
		SELECT coldchain.length_s(
			coalesce((SELECT range_agg(tstzrange(t.asked_from, CASE WHEN t.asked_to = 'infinity' THEN t.last_at ELSE t.asked_to END))
				FROM (SELECT p.asked_from, p.asked_to, max(p.ts) AS last_at FROM piece AS p GROUP BY 1, 2) AS t), '{}')
			- coalesce((SELECT range_agg(tstzrange(p.starts, p.ends)) FROM piece AS p WHERE p.ends > p.starts), '{}')) AS unobserved_s
	), band AS (
		SELECT b.code, min(b.counting) AS counting, min(b.allowed_s) AS allowed_s, bool_or(b.irreversible) AS irreversible
		FROM its AS i JOIN coldchain.band AS b USING (profile_version_id) GROUP BY b.code
	)
	SELECT b.code, b.counting, b.allowed_s, b.irreversible, coalesce(x.out_s, 0), coalesce(x.longest_s, 0),
		greatest(0, b.allowed_s - CASE b.counting WHEN 'single' THEN coalesce(x.longest_s, 0) ELSE coalesce(x.out_s, 0) END),
		s.unobserved_s,
		greatest(0, b.allowed_s - s.unobserved_s - CASE b.counting WHEN 'single' THEN coalesce(x.longest_s, 0) ELSE coalesce(x.out_s, 0) END),
		x.alarm_at, coalesce(x.excursions, 0), coldchain.algorithm()
	FROM band AS b CROSS JOIN seen AS s
	LEFT JOIN coldchain.exposure AS x ON x.lot_id = lot_figures.lot_id AND x.band_code = b.code
	ORDER BY b.code
$$;
COMMENT ON FUNCTION coldchain.lot_figures(int) IS
	'The stability budget of a lot over all shipments, legs and devices, one row a band of the profile versions that it was judged by: time '
	'in the band, the longest stay, what is left of the allowed duration, time that no probe observed while it was judged, and what would be '
	'left had it all been in the band (of a single band: in one stay). alarm_at: when nothing was left.';

CREATE VIEW coldchain.total WITH (security_invoker = true) AS
SELECT a.shipment_id, a.lot_id, a.device_id, a.probe, f.assignment_id, f.band_id, f.band_code, f.counting, f.allowed_s, f.in_range_s, f.out_s,
	f.unobserved_s, f.longest_s, f.remaining_s, f.worst_out_s, f.worst_longest_s, f.worst_remaining_s, f.algorithm
FROM coldchain.assignment AS a CROSS JOIN LATERAL coldchain.band_figures(ARRAY[a.assignment_id]) AS f
WHERE a.role = 'product';
COMMENT ON VIEW coldchain.total IS
	'coldchain.band_figures() of every assignment to a product, over all that is judged of it. Computed from readings when asked: ask for a '
	'shipment, lot, device or assignment.';
COMMENT ON COLUMN coldchain.total.shipment_id IS 'The shipment.';
COMMENT ON COLUMN coldchain.total.lot_id IS 'The lot.';
COMMENT ON COLUMN coldchain.total.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.total.probe IS 'The probe.';
COMMENT ON COLUMN coldchain.total.assignment_id IS 'The assignment.';
COMMENT ON COLUMN coldchain.total.band_id IS 'The band.';
COMMENT ON COLUMN coldchain.total.band_code IS 'Its code.';
COMMENT ON COLUMN coldchain.total.counting IS 'single or cumulative.';
COMMENT ON COLUMN coldchain.total.allowed_s IS 'The allowed duration, seconds.';
COMMENT ON COLUMN coldchain.total.in_range_s IS 'Observed time outside of the band, seconds.';
COMMENT ON COLUMN coldchain.total.out_s IS 'Observed time in the band, seconds.';
COMMENT ON COLUMN coldchain.total.unobserved_s IS 'Time that no sample stands for, seconds.';
COMMENT ON COLUMN coldchain.total.longest_s IS 'The longest observed stay in the band, seconds.';
COMMENT ON COLUMN coldchain.total.remaining_s IS 'What is left of the allowed duration as far as this assignment goes, seconds.';
COMMENT ON COLUMN coldchain.total.worst_out_s IS 'out_s, had all unobserved time been in the band.';
COMMENT ON COLUMN coldchain.total.worst_longest_s IS 'longest_s, had all unobserved time been in the band.';
COMMENT ON COLUMN coldchain.total.worst_remaining_s IS 'remaining_s, had all unobserved time been in the band.';
COMMENT ON COLUMN coldchain.total.algorithm IS 'Version of the algorithm, coldchain.algorithm().';

REVOKE ALL ON FUNCTION coldchain.kinetic_c(double precision, double precision, double precision), coldchain.kinetic_factor(double precision, double precision, double precision),
	coldchain.mkt_c(double precision[], double precision[], double precision, double precision),
	coldchain.pieces(int[], timestamptz, timestamptz),
	coldchain.figures(int[], timestamptz, timestamptz, double precision, double precision, double precision),
	coldchain.band_figures(int[], timestamptz, timestamptz), coldchain.lot_figures(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.kinetic_c(double precision, double precision, double precision), coldchain.kinetic_factor(double precision, double precision, double precision),
	coldchain.mkt_c(double precision[], double precision[], double precision, double precision),
	coldchain.pieces(int[], timestamptz, timestamptz),
	coldchain.figures(int[], timestamptz, timestamptz, double precision, double precision, double precision),
	coldchain.band_figures(int[], timestamptz, timestamptz), coldchain.lot_figures(int) TO coldfleet_api_definer, coldfleet_analyst;
GRANT SELECT ON coldchain.total TO coldfleet_api_definer, coldfleet_analyst;

COMMIT;
