-- SPDX-License-Identifier: Apache-2.0
-- Figures of a shipment, what happened to it as EPCIS 2.0, and its report: as JSON, and as one HTML document with a chart for each probe that needs nothing else and
-- prints. The document is built of xmlelement() and xmlattributes() alone, which escape every text that they are given, so no name of
-- a lot, a place or a person can become markup; api.report_html() is the only place where text is made of it.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

-- ---- figures ----

CREATE FUNCTION api.shipment_watch(shipment int, device text, lot text) RETURNS int[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_device CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	ids int[];
	devices int[];
BEGIN
	SELECT coalesce(array_agg(a.assignment_id ORDER BY a.assignment_id), '{}'), array_agg(DISTINCT a.device_id) INTO ids, devices
	FROM coldchain.assignment AS a JOIN coldchain.lot AS l USING (lot_id)
	WHERE a.shipment_id = shipment AND (its_device IS NULL OR a.device_id = its_device) AND (lot IS NULL OR l.number = lot);
	PERFORM set_config('coldfleet.devices', coalesce(array_to_string(devices, ','), ''), true);
	RETURN ids;
END
$$;
COMMENT ON FUNCTION api.shipment_watch(int, text, text) IS
	'The assignments of a shipment that the call sees, of a device, of a lot, whose readings the call may read from then on '
	'(coldfleet.devices). Unknown device: CF404.';

CREATE FUNCTION api.json_figures(ids int[], from_at timestamptz, to_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('assignment', a.assignment_id, 'serial', d.serial, 'probe', a.probe, 'role', a.role,
		'product', o.name, 'lot', l.number, 'profile', p.code, 'profile_version', v.version,
		'from', api.json_at(f.from_time), 'to', api.json_at(f.to_time), 'observed_s', f.observed_s, 'unobserved_s', f.unobserved_s,
		'coverage', f.coverage, 'samples', coalesce(f.samples, 0), 'gaps', f.gaps, 'first_at', api.json_at(f.first_at),
		'last_at', api.json_at(f.last_at), 'min_c', f.min_c, 'max_c', f.max_c, 'mean_c', f.mean_c, 'mkt_c', f.mkt_c,
		'mkt_missing', CASE WHEN f.assignment_id IS NULL THEN 'samples' ELSE f.mkt_missing END,
		'mkt_dh_kj_mol', f.mkt_dh_kj_mol, 'mkt_r_j_mol_k', f.mkt_r_j_mol_k, 'algorithm', coldchain.algorithm(),
		'bands', coalesce(b.bands, '[]'), 'calibration', coalesce(c.told, '{"outside_s": 0, "outside_samples": 0, "records": [], "lacks": []}'))
		ORDER BY a.assignment_id), '[]')
	FROM coldchain.assignment AS a
	JOIN fleet.device AS d USING (device_id)
	JOIN coldchain.lot AS l USING (lot_id)
	JOIN coldchain.product AS o USING (product_id)
	JOIN coldchain.profile_version AS v USING (profile_version_id)
	JOIN coldchain.profile AS p USING (profile_id)
	LEFT JOIN coldchain.figures(ids, from_at, to_at) AS f ON f.assignment_id = a.assignment_id
	LEFT JOIN api.calibration_figures(ids, from_at, to_at) AS c ON c.assignment_id = a.assignment_id
	LEFT JOIN (SELECT g.assignment_id, jsonb_agg(jsonb_build_object('kind', g.band_code, 'title', k.title, 'counting', g.counting,
			'allowed_s', g.allowed_s, 'in_range_s', g.in_range_s, 'out_s', g.out_s, 'unobserved_s', g.unobserved_s, 'longest_s', g.longest_s,
			'remaining_s', g.remaining_s, 'worst_out_s', g.worst_out_s, 'worst_longest_s', g.worst_longest_s,
			'worst_remaining_s', g.worst_remaining_s) ORDER BY g.band_id) AS bands
		FROM coldchain.band_figures(ids, from_at, to_at) AS g JOIN coldchain.band AS k USING (band_id) GROUP BY g.assignment_id) AS b
		ON b.assignment_id = a.assignment_id
	WHERE a.assignment_id = ANY (ids)
$$;
COMMENT ON FUNCTION api.json_figures(int[], timestamptz, timestamptz) IS 'Figures of assignments over an interval as a JSON array; without samples most are null.';

CREATE FUNCTION api.json_budget(lots int[]) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('product', o.name, 'lot', l.number, 'bands', (
		SELECT coalesce(jsonb_agg(jsonb_build_object('kind', f.band_code, 'counting', f.counting, 'allowed_s', f.allowed_s,
			'irreversible', f.irreversible, 'out_s', f.out_s, 'longest_s', f.longest_s, 'remaining_s', f.remaining_s,
			'unobserved_s', f.unobserved_s, 'worst_remaining_s', f.worst_remaining_s, 'alarm_at', api.json_at(f.alarm_at),
			'excursions', f.excursions) ORDER BY f.band_code), '[]')
		FROM coldchain.lot_figures(l.lot_id) AS f)) ORDER BY l.lot_id), '[]')
	FROM coldchain.lot AS l JOIN coldchain.product AS o USING (product_id) WHERE l.lot_id = ANY (lots)
$$;
COMMENT ON FUNCTION api.json_budget(int[]) IS 'What is left of the stability of lots, over all their shipments, as a JSON array.';

CREATE FUNCTION api.shipment_figures(id int, device text, lot text, from_at timestamptz, to_at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id);
	ids CONSTANT int[] := api.shipment_watch(s.shipment_id, device, lot);
BEGIN
	PERFORM api.check_span(from_at, to_at);
	RETURN jsonb_build_object('shipment_id', id, 'assignments', api.json_figures(ids, from_at, to_at),
		'lots', api.json_budget(ARRAY(SELECT a.lot_id FROM coldchain.assignment AS a WHERE a.assignment_id = ANY (ids))));
END
$$;
COMMENT ON FUNCTION api.shipment_figures(int, text, text, timestamptz, timestamptz) IS
	'GET /v1/shipments/{id}/figures: of each assignment, over an interval, and what is left of the lots. Unknown shipment or device: CF404.';

-- ---- the report ----

CREATE FUNCTION api.shipment_report(id int) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id);
	ids CONSTANT int[] := api.shipment_watch(s.shipment_id, NULL, NULL);
BEGIN
	RETURN jsonb_build_object('made_at', api.json_at(now()), 'made_by', fleet.setting('actor'), 'complete', fleet.scope_all(),
		'algorithm', coldchain.algorithm(), 'shipment', api.shipment_whole(s),
		'profiles', (SELECT coalesce(jsonb_agg(api.json_profile(p, v) ORDER BY p.code, v.version), '[]')
			FROM coldchain.profile AS p JOIN coldchain.profile_version AS v USING (profile_id)
			WHERE v.profile_version_id IN (SELECT a.profile_version_id FROM coldchain.assignment AS a WHERE a.assignment_id = ANY (ids))),
		'devices', (SELECT coalesce(jsonb_agg(jsonb_build_object('serial', d.serial, 'manufacturer', m.manufacturer, 'model', m.name,
				'hardware_revision', nullif(d.hardware_revision, ''), 'firmware', nullif(d.firmware, '')) ORDER BY d.serial), '[]')
			FROM fleet.device AS d JOIN fleet.model AS m USING (model_id)
			WHERE d.device_id IN (SELECT a.device_id FROM coldchain.assignment AS a WHERE a.assignment_id = ANY (ids))),
		'figures', api.json_figures(ids, NULL, NULL),
		'lots', api.json_budget(ARRAY(SELECT a.lot_id FROM coldchain.assignment AS a WHERE a.assignment_id = ANY (ids))),
		'excursions', (SELECT coalesce(jsonb_agg(api.json_excursion(e) ORDER BY e.started_at, e.excursion_id), '[]')
			FROM coldchain.excursion AS e WHERE e.assignment_id = ANY (ids) AND e.state IN ('open', 'ended')));
END
$$;
COMMENT ON FUNCTION api.shipment_report(int) IS
	'GET /v1/shipments/{id}/report: the shipment, by what it was judged, what was found, figures, devices, and who decided; complete: the call '
	'sees all devices. Unknown: CF404.';

CREATE FUNCTION api.report_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT coalesce(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), '–')
$$;
COMMENT ON FUNCTION api.report_time(timestamptz) IS 'A moment (UTC, to the minute) as people read it.';

CREATE FUNCTION api.report_span(seconds double precision) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN seconds IS NULL THEN '–' WHEN seconds >= 172800 THEN round((seconds / 86400)::numeric, 1) || ' d'
		WHEN seconds >= 3600 THEN floor(round(seconds / 60) / 60) || ' h ' || lpad((round(seconds / 60)::bigint % 60)::text, 2, '0') || ' min'
		ELSE round((seconds / 60)::numeric, CASE WHEN seconds < 600 AND seconds::numeric % 60 <> 0 THEN 1 ELSE 0 END) || ' min' END
$$;
COMMENT ON FUNCTION api.report_span(double precision) IS 'A length of time as people read it.';

CREATE FUNCTION api.report_number(value double precision, digits int) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce(replace(round(value::numeric, digits)::text, '-', '−'), '–')
$$;
COMMENT ON FUNCTION api.report_number(double precision, int) IS 'A number as people read it.';

CREATE FUNCTION api.report_row(cells text[], head boolean DEFAULT false) RETURNS xml
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT xmlelement(NAME tr, xmlagg(CASE WHEN head THEN xmlelement(NAME th, coalesce(nullif(c, ''), '–'))
		ELSE xmlelement(NAME td, coalesce(nullif(c, ''), '–')) END ORDER BY n))
	FROM unnest(cells) WITH ORDINALITY AS u (c, n)
$$;
COMMENT ON FUNCTION api.report_row(text[], boolean) IS 'A row of a table, of texts.';

CREATE FUNCTION api.report_pairs(cells text[]) RETURNS xml
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT xmlelement(NAME table, xmlattributes('pairs' AS class), xmlelement(NAME tbody, xmlagg(xmlelement(NAME tr,
		xmlelement(NAME th, cells[n]), xmlelement(NAME td, coalesce(nullif(cells[n + 1], ''), '–'))) ORDER BY n)))
	FROM generate_series(1, cardinality(cells), 2) AS n
$$;
COMMENT ON FUNCTION api.report_pairs(text[]) IS 'A table of names and values, given in turns.';

-- A sample stands for a line to the next one; points of one column of pixels are its lowest and highest.
CREATE FUNCTION api.report_chart(a coldchain.assignment) RETURNS xml
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	wide CONSTANT float8 := 880;
	high CONSTANT float8 := 250;
	lo float8;
	hi float8;
	low_c float8;
	high_c float8;
	t0 float8 := extract(epoch FROM lower(a.judged));
	t1 float8 := extract(epoch FROM upper(a.judged));
	temperatures float8[];
	starts float8[]; -- of what each of them stands for, in order, seconds since 1970
	ends float8[];
	x_step float8;
	y_step float8;
	parts xml[] := '{}';
	made xml;
BEGIN
	SELECT v.storage_lower_c, v.storage_upper_c INTO low_c, high_c FROM coldchain.profile_version AS v
	WHERE v.profile_version_id = a.profile_version_id;
	SELECT array_agg(p.temperature_c ORDER BY p.ts), array_agg(date_part('epoch', p.starts) ORDER BY p.ts),
		array_agg(date_part('epoch', p.ends) ORDER BY p.ts), min(p.temperature_c), max(p.temperature_c), coalesce(t1, date_part('epoch', max(p.ends)))
	INTO temperatures, starts, ends, lo, hi, t1 FROM coldchain.pieces(ARRAY[a.assignment_id], NULL, NULL) AS p;
	IF lo IS NULL OR t1 <= t0 THEN
		RETURN xmlelement(NAME p, xmlattributes('none' AS class), 'No temperatures in the time that is judged.');
	END IF;
	lo := least(lo, greatest(low_c, lo - 10));
	hi := greatest(hi, least(high_c, hi + 10));
	lo := lo - greatest(0.5, (hi - lo) * 0.08);
	hi := hi + greatest(0.5, (hi - lo) * 0.08);
	SELECT min(s) INTO x_step FROM unnest('{600,1800,3600,7200,10800,21600,43200,86400,172800,432000,864000,2592000,31536000}'::float8[]) AS s
	WHERE (t1 - t0) / s <= 9;
	SELECT min(s) INTO y_step FROM unnest('{0.5,1,2,5,10,20,50,100,500}'::float8[]) AS s WHERE (hi - lo) / s <= 7;
	-- The range of storage
	parts := parts || xmlelement(NAME rect, xmlattributes('storage' AS class, 0 AS x, wide AS width,
		round((high * (hi - least(coalesce(high_c, hi), hi)) / (hi - lo))::numeric, 1) AS y,
		round((high * greatest(0, least(coalesce(high_c, hi), hi) - greatest(coalesce(low_c, lo), lo)) / (hi - lo))::numeric, 1) AS height));
	-- Excursions
	SELECT xmlagg(xmlelement(NAME rect, xmlattributes('excursion' AS class,
		round((wide * (extract(epoch FROM e.started_at) - t0) / (t1 - t0))::numeric, 1) AS x, 0 AS y, high AS height,
		round(greatest(1.5, wide * (extract(epoch FROM coalesce(e.ended_at, e.last_at)) - extract(epoch FROM e.started_at)) / (t1 - t0))::numeric, 1)
			AS width), xmlelement(NAME title, format('%s, from %s to %s', b.title, api.report_time(e.started_at),
				coalesce(api.report_time(e.ended_at), 'now'))))
		ORDER BY e.started_at, e.excursion_id)
	INTO made FROM coldchain.excursion AS e JOIN coldchain.band AS b USING (band_id)
	WHERE e.assignment_id = a.assignment_id AND e.state IN ('open', 'ended');
	parts := parts || made;
	-- Gaps
	SELECT xmlagg(xmlelement(NAME rect, xmlattributes('gap' AS class, format('url(#hatch-%s)', a.assignment_id) AS fill, round((wide * (g.starts - t0) / (t1 - t0))::numeric, 1) AS x, 0 AS y,
		round(greatest(1.5, wide * (g.ends - g.starts) / (t1 - t0))::numeric, 1) AS width, high AS height),
		xmlelement(NAME title, 'unobserved from ' || api.report_time(to_timestamp(g.starts)) || ' to ' || api.report_time(to_timestamp(g.ends))))
		ORDER BY g.starts)
	INTO made FROM (
		SELECT * FROM unnest(t0 || ends, starts || t1) AS u (starts, ends)) AS g
	WHERE g.ends > g.starts;
	parts := parts || made;
	-- Ends of bands
	SELECT xmlagg(xmlelement(NAME g, xmlattributes('limit' AS class),
		xmlelement(NAME line, xmlattributes(0 AS x1, wide AS x2, l.y AS y1, l.y AS y2)),
		xmlelement(NAME text, xmlattributes(wide + 4 AS x, l.y + 3 AS y), l.names)) ORDER BY l.y)
	INTO made FROM (
		SELECT round((high * (hi - c) / (hi - lo))::numeric, 1) AS y, string_agg(DISTINCT b.code, ', ') AS names
		FROM coldchain.band AS b CROSS JOIN LATERAL (VALUES (b.lower_c::float8), (b.upper_c::float8)) AS e (c)
		WHERE b.profile_version_id = a.profile_version_id AND c > lo AND c < hi GROUP BY c) AS l;
	parts := parts || made;
	-- Both axes
	SELECT xmlagg(xmlelement(NAME g, xmlattributes('tick' AS class),
		xmlelement(NAME line, xmlattributes(0 AS x1, wide AS x2, y.at AS y1, y.at AS y2)),
		xmlelement(NAME text, xmlattributes(-6 AS x, y.at + 3 AS y, 'end' AS "text-anchor"), api.report_number(y.c, CASE WHEN y_step < 1 THEN 1 ELSE 0 END)))
		ORDER BY y.c)
	INTO made FROM (SELECT n * y_step AS c, round((high * (hi - n * y_step) / (hi - lo))::numeric, 1) AS at
		FROM generate_series(ceil(lo / y_step)::int, floor(hi / y_step)::int) AS n) AS y;
	parts := parts || made;
	SELECT xmlagg(xmlelement(NAME g, xmlattributes('tick' AS class),
		xmlelement(NAME line, xmlattributes(x.at AS x1, x.at AS x2, high AS y1, high + 4 AS y2)),
		xmlelement(NAME text, xmlattributes(x.at AS x, high + 15 AS y, 'middle' AS "text-anchor"),
			to_char(to_timestamp(x.t) AT TIME ZONE 'UTC', CASE WHEN x_step < 86400 THEN 'HH24:MI' ELSE 'MM-DD' END)),
		CASE WHEN x_step < 86400 AND (x.n = 1 OR to_timestamp(x.t) AT TIME ZONE 'UTC' < date_trunc('day', to_timestamp(x.t) AT TIME ZONE 'UTC')
			+ make_interval(secs => x_step)) THEN xmlelement(NAME text, xmlattributes(x.at AS x, high + 27 AS y, 'middle' AS "text-anchor"),
			to_char(to_timestamp(x.t) AT TIME ZONE 'UTC', 'YYYY-MM-DD')) END) ORDER BY x.t)
	INTO made FROM (SELECT row_number() OVER (ORDER BY k) AS n, k * x_step AS t, round((wide * (k * x_step - t0) / (t1 - t0))::numeric, 1) AS at
		FROM generate_series(ceil(t0 / x_step)::bigint, floor(t1 / x_step)::bigint) AS k) AS x;
	parts := parts || made;
	-- The temperature, unbroken while it was observed
	SELECT xmlagg(xmlelement(NAME polyline, xmlattributes('temperature' AS class, l.points AS points)) ORDER BY l.stretch)
	INTO made FROM (
		SELECT stretch, string_agg(x || ',' || y, ' ' ORDER BY n, edge) AS points FROM (
			SELECT c.stretch, c.n, edge, round(x::numeric, 1) AS x, round((high * (hi - t) / (hi - lo))::numeric, 1) AS y
			FROM (
				SELECT s.stretch, s.column_, min(s.n) AS n, min(s.x) AS x0, max(s.x1) AS x1, min(s.c) AS least_c, max(s.c) AS most_c,
					temperatures[min(s.n)] AS first_c, temperatures[max(s.n)] AS last_c,
					lead(min(s.n)) OVER (PARTITION BY s.stretch ORDER BY s.column_) IS NULL AS is_last
				FROM (
					SELECT p.n, p.c, wide * (p.starts - t0) / (t1 - t0) AS x, wide * (p.ends - t0) / (t1 - t0) AS x1,
						floor(wide * (p.starts - t0) / (t1 - t0)) AS column_,
						count(*) FILTER (WHERE p.starts > p.before) OVER (ORDER BY p.n) AS stretch
					FROM (SELECT u.*, lag(u.ends) OVER (ORDER BY u.n) AS before
					      FROM unnest(temperatures, starts, ends) WITH ORDINALITY AS u (c, starts, ends, n)) AS p) AS s
				GROUP BY s.stretch, s.column_) AS c
			CROSS JOIN LATERAL (VALUES (1, c.x0, c.first_c), (2, c.x0, c.least_c), (3, c.x0, c.most_c), (4, c.x0, c.last_c),
				(5, CASE WHEN c.is_last THEN c.x1 END, c.last_c)) AS v (edge, x, t)
			WHERE x IS NOT NULL AND (edge IN (1, 5) OR c.least_c < c.most_c)) AS d
		GROUP BY stretch) AS l;
	parts := parts || made;
	RETURN xmlelement(NAME svg, xmlattributes('http://www.w3.org/2000/svg' AS xmlns, '-46 -10 1000 295' AS "viewBox", 'img' AS role,
			'Temperature over time' AS "aria-label"),
		xmlelement(NAME defs, xmlelement(NAME pattern, xmlattributes('hatch-' || a.assignment_id AS id, 6 AS width, 6 AS height,
			'userSpaceOnUse' AS "patternUnits", 'rotate(45)' AS "patternTransform"),
			xmlelement(NAME rect, xmlattributes(6 AS width, 6 AS height, '#ececec' AS fill)),
			xmlelement(NAME line, xmlattributes(0 AS x1, 0 AS x2, 0 AS y1, 6 AS y2, '#b5b5b5' AS stroke)))),
		(SELECT xmlagg(part ORDER BY n) FROM unnest(parts) WITH ORDINALITY AS u (part, n)),
		xmlelement(NAME rect, xmlattributes('frame' AS class, 0 AS x, 0 AS y, wide AS width, high AS height)),
		xmlelement(NAME text, xmlattributes(-40 AS x, -2 AS y), '°C'));
END
$$;
COMMENT ON FUNCTION api.report_chart(coldchain.assignment) IS
	'The temperatures of an assignment as SVG: range of storage and ends of bands, excursions and unobserved time shaded.';

CREATE FUNCTION api.report_style() RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT 'body{font:14px/1.45 system-ui,sans-serif;color:#1c2530;margin:2rem auto;max-width:62rem;padding:0 1rem}'
		'h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:1.8rem 0 .5rem;border-bottom:1px solid #ccd3da;padding-bottom:.2rem}'
		'h3{font-size:1rem;margin:1.1rem 0 .4rem}.sub{color:#5a6673;margin:.1rem 0 1rem}'
		'table{border-collapse:collapse;width:100%;margin:.4rem 0}th,td{text-align:left;vertical-align:top;padding:.22rem .6rem .22rem 0;'
		'border-bottom:1px solid #e6eaee}th{color:#5a6673;font-weight:600}td{font-variant-numeric:tabular-nums}.pairs th{width:13rem}'
		'.cols{display:grid;grid-template-columns:1fr 1fr;gap:0 2rem}.banner{border-left:.4rem solid #8a949e;background:#f3f5f7;padding:.6rem 1rem;'
		'margin:1rem 0}.banner strong{font-size:1.15rem}.banner p{margin:.2rem 0 0}.good{border-color:#2c8a4b}.bad{border-color:#c2342d}'
		'.wait{border-color:#d08a1a}svg{width:100%;height:auto;display:block}svg text{font:10.5px system-ui,sans-serif;fill:#5a6673}'
		'.storage{fill:#dff1e3}.excursion{fill:#e5483f;fill-opacity:.28}.limit line{stroke:#c2342d;stroke-dasharray:4 3;stroke-width:.8}'
		'.limit text{fill:#c2342d}.tick line{stroke:#d5dbe1;stroke-width:.6}.temperature{fill:none;stroke:#17507e;stroke-width:1.5;'
		'stroke-linejoin:round}.frame{fill:none;stroke:#9aa5b1}.key{color:#5a6673;font-size:.85rem;margin:.2rem 0}.key span{display:inline-block;'
		'width:1.1rem;height:.7rem;margin:0 .35rem 0 1rem;border:1px solid #b5bdc6}.key .a{background:#dff1e3}.key .b{background:#f6c3c0}'
		'.key .c{background:repeating-linear-gradient(135deg,#ececec,#ececec 2px,#b5b5b5 2px,#b5b5b5 3px)}.none,.foot{color:#5a6673}'
		'.foot{font-size:.85rem;margin-top:2rem}figure{margin:0 0 1rem}@page{size:A4;margin:14mm}@media print{body{margin:0;max-width:none;padding:0;'
		'font-size:10.5px}h2,h3{break-after:avoid}tr,.banner,svg{break-inside:avoid}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}'
$$;
COMMENT ON FUNCTION api.report_style() IS 'How the report looks, as CSS; no character of it needs escaping.';

CREATE FUNCTION api.report_table(head text[], body xml) RETURNS xml
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT xmlelement(NAME table, xmlelement(NAME thead, api.report_row(head, true)),
		xmlelement(NAME tbody, coalesce(body, api.report_row(ARRAY['none']))))
$$;
COMMENT ON FUNCTION api.report_table(text[], xml) IS 'A table with a head; without rows it says none.';

CREATE FUNCTION api.report_calibration(c jsonb) RETURNS xml
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.report_table('{Calibration,Laboratory,Calibrated,Valid until,Covers,Nearest point,Deviation there,Measured by it,Of that beyond it}', (
		SELECT xmlagg(CASE WHEN x ? 'lack' THEN api.report_row(ARRAY['none: ' || CASE x ->> 'lack' WHEN 'never' THEN 'never calibrated' WHEN 'not-yet'
				THEN 'not calibrated yet' WHEN 'void' THEN 'the record is void' ELSE x ->> 'lack' END, NULL, NULL, NULL, NULL, NULL, NULL,
				format('%s, %s samples', api.report_span((x ->> 'observed_s')::float8), x ->> 'samples'), 'all'])
			ELSE api.report_row(ARRAY[x ->> 'certificate', concat_ws(', ', x ->> 'laboratory', x ->> 'accreditation'), x ->> 'calibrated_on',
				x ->> 'valid_until', format('%s to %s °C', api.report_number((x ->> 'lower_c')::float8, 1), api.report_number((x ->> 'upper_c')::float8, 1)),
				api.report_number((x #>> '{nearest,reference_c}')::float8, 1) || ' °C',
				format('%s °C ± %s °C (k = %s)', api.report_number((x #>> '{nearest,error_c}')::float8, 2),
					api.report_number((x #>> '{nearest,uncertainty_c}')::float8, 2), x #>> '{nearest,coverage_factor}'),
				format('%s, %s samples', api.report_span((x ->> 'observed_s')::float8), x ->> 'samples'), CASE x ->> 'beyond_samples' WHEN '0' THEN 'none'
				ELSE format('%s, %s samples', api.report_span((x ->> 'beyond_s')::float8), x ->> 'beyond_samples') END]) END
			ORDER BY x ->> 'first_at', n)
		FROM jsonb_array_elements((c -> 'records') || (c -> 'lacks')) WITH ORDINALITY AS e (x, n)))
$$;
COMMENT ON FUNCTION api.report_calibration(jsonb) IS
	'By which calibrations a probe measured, as HTML: of each the deviation (indicated less reference) at the point nearest to the mean temperature.';

CREATE FUNCTION api.report_watch(a coldchain.assignment, f jsonb) RETURNS xml
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT xmlelement(NAME figure, xmlelement(NAME h3, format('Tracker %s, probe %s, with lot %s of %s%s', f ->> 'serial', f ->> 'probe', f ->> 'lot',
			f ->> 'product', CASE WHEN a.role = 'ambient' THEN ' (ambient, not judged)' ELSE '' END)),
		xmlelement(NAME p, xmlattributes('sub' AS class), format('Judged by %s, version %s, from %s to %s UTC', f ->> 'profile', f ->> 'profile_version',
			api.report_time(lower(a.judged)), api.report_time(upper(a.judged)))),
		api.report_chart(a),
		xmlelement(NAME p, xmlattributes('key' AS class), xmlelement(NAME span, xmlattributes('a' AS class), ' '), 'storage range',
			xmlelement(NAME span, xmlattributes('b' AS class), ' '), 'excursion', xmlelement(NAME span, xmlattributes('c' AS class), ' '),
			'unobserved'),
		api.report_table('{Lowest,Mean over time,Highest,Mean kinetic,Observed,Unobserved,Coverage,Samples,Gaps}', api.report_row(ARRAY[
			api.report_number((f ->> 'min_c')::float8, 1) || ' °C', api.report_number((f ->> 'mean_c')::float8, 2) || ' °C',
			api.report_number((f ->> 'max_c')::float8, 1) || ' °C', CASE WHEN f ->> 'mkt_c' IS NOT NULL
				THEN api.report_number((f ->> 'mkt_c')::float8, 2) || ' °C' ELSE 'none: ' || (f ->> 'mkt_missing') END,
			api.report_span((f ->> 'observed_s')::float8), api.report_span((f ->> 'unobserved_s')::float8),
			api.report_number(100 * (f ->> 'coverage')::float8, 1) || ' %', f ->> 'samples', f ->> 'gaps'])),
		CASE WHEN f -> 'bands' <> '[]' THEN api.report_table('{Band,Counted,Allowed,Time in it,Longest stay,Left,Left at worst}',
			(SELECT xmlagg(api.report_row(ARRAY[b ->> 'title', b ->> 'counting', api.report_span((b ->> 'allowed_s')::float8),
				api.report_span((b ->> 'out_s')::float8), api.report_span((b ->> 'longest_s')::float8),
				api.report_span((b ->> 'remaining_s')::float8), api.report_span((b ->> 'worst_remaining_s')::float8)]) ORDER BY n)
			FROM jsonb_array_elements(f -> 'bands') WITH ORDINALITY AS e (b, n))) END,
		CASE WHEN f ->> 'samples' <> '0' THEN api.report_calibration(f -> 'calibration') END)
$$;
COMMENT ON FUNCTION api.report_watch(coldchain.assignment, jsonb) IS 'What one probe saw, with its chart and figures, as HTML.';

CREATE FUNCTION api.report_banner(tone text, word text, said text) RETURNS xml
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT xmlelement(NAME div, xmlattributes('banner ' || tone AS class), xmlelement(NAME strong, word),
		CASE WHEN said IS NOT NULL THEN xmlelement(NAME p, said) END)
$$;
COMMENT ON FUNCTION api.report_banner(text, text, text) IS 'What is to be seen first: good, bad or wait for something.';

CREATE FUNCTION api.report_html(r jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '<!doctype html>' || xmlelement(NAME html, xmlattributes('en' AS lang), xmlelement(NAME head,
			xmlelement(NAME meta, xmlattributes('utf-8' AS charset)),
			xmlelement(NAME meta, xmlattributes('Content-Security-Policy' AS "http-equiv", $c$default-src 'none'; style-src 'unsafe-inline'$c$ AS content)),
			xmlelement(NAME meta, xmlattributes('viewport' AS name, 'width=device-width' AS content)),
			xmlelement(NAME title, 'Shipment ' || (s ->> 'reference')), xmlelement(NAME style, api.report_style())),
		xmlelement(NAME body,
			xmlelement(NAME h1, 'Shipment ' || (s ->> 'reference')),
			xmlelement(NAME p, xmlattributes('sub' AS class), concat_ws(', ', (s #>> '{lane,origin}') || ' to ' || (s #>> '{lane,destination}'),
				s #>> '{lane,carrier}', s ->> 'state')),
			api.report_banner(CASE s #>> '{decision,decision}' WHEN 'released' THEN 'good' WHEN 'rejected' THEN 'bad' WHEN 'quarantined' THEN 'wait'
				ELSE 'open' END, coalesce(initcap(s #>> '{decision,decision}'), 'Not decided'), format('by %s, %s UTC: ', s #>> '{decision,by}',
				api.report_time((s #>> '{decision,at}')::timestamptz)) || (s #>> '{decision,reason}')),
			api.report_banner(CASE WHEN s #>> '{excursions,alarmed}' <> '0' THEN 'bad' WHEN s #>> '{excursions,standing}' <> '0' THEN 'wait'
				ELSE 'good' END, CASE s #>> '{excursions,standing}' WHEN '0' THEN 'No excursion found' WHEN '1' THEN '1 excursion' ELSE
				(s #>> '{excursions,standing}') || ' excursions' END, CASE WHEN s #>> '{excursions,standing}' <> '0' THEN format(
				'%s used up the allowed duration of a single stay, %s still open', s #>> '{excursions,alarmed}', s #>> '{excursions,open}') END),
			(SELECT api.report_banner('bad', 'Stability used up', string_agg(format('%s, lot %s: all that is allowed in band %s, over all shipments, '
					'since %s UTC', l ->> 'product', l ->> 'lot', b ->> 'kind', api.report_time((b ->> 'alarm_at')::timestamptz)), '; ' ORDER BY n, b ->> 'kind'))
				FROM jsonb_array_elements(r -> 'lots') WITH ORDINALITY AS e (l, n) CROSS JOIN jsonb_array_elements(l -> 'bands') AS k (b)
				WHERE b ->> 'counting' = 'cumulative' AND b ->> 'alarm_at' IS NOT NULL HAVING count(*) > 0),
			(SELECT api.report_banner('wait', 'Measured outside calibration', string_agg(DISTINCT format('tracker %s, probe %s: %s, %s samples', f ->> 'serial',
					f ->> 'probe', api.report_span((f #>> '{calibration,outside_s}')::float8), f #>> '{calibration,outside_samples}'), '; '))
				FROM jsonb_array_elements(r -> 'figures') AS e (f)
				WHERE f ->> 'role' = 'product' AND f #>> '{calibration,outside_samples}' <> '0' HAVING count(*) > 0),
			CASE WHEN r -> 'complete' = 'false' THEN api.report_banner('wait', 'Not complete',
				'Made for somebody who does not see all devices: more trackers may have watched this shipment.') END,
			xmlelement(NAME div, xmlattributes('cols' AS class), api.report_pairs(ARRAY['Left (UTC)', api.report_time((s ->> 'started_at')::timestamptz),
					'Arrived (UTC)', api.report_time((s ->> 'delivered_at')::timestamptz),
					'Not judged at the start', api.report_span((s ->> 'ignore_s')::float8)]),
				api.report_pairs(ARRAY['Made by', s ->> 'created_by', 'Closed (UTC)', api.report_time((s ->> 'closed_at')::timestamptz),
					'Note', s ->> 'note'])),
			xmlelement(NAME h2, 'Lots'), api.report_table('{Product,Lot,Expires,Quantity}', (SELECT xmlagg(api.report_row(ARRAY[
				l ->> 'product', l ->> 'number', l ->> 'expires_on', l ->> 'quantity']) ORDER BY n)
				FROM jsonb_array_elements(s -> 'lots') WITH ORDINALITY AS e (l, n))),
			xmlelement(NAME h2, 'Legs'), api.report_table('{From,To,Carrier,Began (UTC),Ended (UTC)}', (SELECT xmlagg(api.report_row(ARRAY[
				g ->> 'origin', g ->> 'destination', g ->> 'carrier', api.report_time((g ->> 'started_at')::timestamptz),
				api.report_time((g ->> 'ended_at')::timestamptz)]) ORDER BY n) FROM jsonb_array_elements(s -> 'legs') WITH ORDINALITY AS e (g, n))),
			xmlelement(NAME h2, 'Temperatures'),
			coalesce((SELECT xmlagg(api.report_watch(a, f) ORDER BY a.assignment_id)
				FROM jsonb_array_elements(r -> 'figures') AS e (f) JOIN coldchain.assignment AS a ON a.assignment_id = (f ->> 'assignment')::int
				WHERE NOT isempty(a.during)), xmlelement(NAME p, xmlattributes('none' AS class), 'No tracker watched this shipment.')),
			xmlelement(NAME h2, 'Excursions'), api.report_table(
				'{Band,Tracker,Lot,Began (UTC),Ended (UTC),Time in it,Unobserved,Lowest to highest,Alarm (UTC)}',
				(SELECT xmlagg(api.report_row(ARRAY[x ->> 'title', (x ->> 'serial') || '/' || (x ->> 'probe'), x ->> 'lot',
					api.report_time((x ->> 'started_at')::timestamptz),
					CASE WHEN x ->> 'ended_at' IS NULL THEN 'open' ELSE api.report_time((x ->> 'ended_at')::timestamptz) END,
					api.report_span((x ->> 'out_s')::float8), api.report_span((x ->> 'unobserved_s')::float8),
					api.report_number((x ->> 'min_c')::float8, 1) || ' to ' || api.report_number((x ->> 'max_c')::float8, 1) || ' °C',
					api.report_time((x ->> 'alarm_at')::timestamptz) || CASE WHEN x -> 'late' = 'true' THEN ', found late' ELSE '' END]) ORDER BY n)
				FROM jsonb_array_elements(r -> 'excursions') WITH ORDINALITY AS e (x, n))),
			xmlelement(NAME h2, 'Stability of the lots, over all their shipments'),
			(SELECT xmlagg(xmlconcat(xmlelement(NAME h3, format('%s, lot %s', l ->> 'product', l ->> 'lot')), api.report_table(
				'{Band,Counted,Allowed,Time in it,Left,Left at worst,Used up (UTC)}', (SELECT xmlagg(api.report_row(ARRAY[b ->> 'kind',
					b ->> 'counting', api.report_span((b ->> 'allowed_s')::float8), api.report_span((b ->> 'out_s')::float8),
					api.report_span((b ->> 'remaining_s')::float8), api.report_span((b ->> 'worst_remaining_s')::float8),
					api.report_time((b ->> 'alarm_at')::timestamptz)]) ORDER BY k)
				FROM jsonb_array_elements(l -> 'bands') WITH ORDINALITY AS e (b, k)))) ORDER BY n)
				FROM jsonb_array_elements(r -> 'lots') WITH ORDINALITY AS e (l, n)),
			xmlelement(NAME h2, 'Judged by'), (SELECT xmlagg(xmlconcat(xmlelement(NAME h3, format('%s (%s), version %s', p ->> 'title', p ->> 'name',
				p ->> 'version')), api.report_pairs(ARRAY['Source', p ->> 'source', 'Compared with its source', CASE WHEN p -> 'verified' = 'true' THEN 'yes'
				ELSE 'no' END, 'Storage', concat(coalesce(api.report_number((p ->> 'storage_lower_c')::float8, 1), '−∞'), ' to ',
				coalesce(api.report_number((p ->> 'storage_upper_c')::float8, 1), '∞'), ' °C'), 'Note', p ->> 'note'])) ORDER BY n)
				FROM jsonb_array_elements(r -> 'profiles') WITH ORDINALITY AS e (p, n)),
			xmlelement(NAME h2, 'Trackers'), api.report_table('{Serial,Maker,Model,Hardware,Firmware}', (SELECT xmlagg(api.report_row(ARRAY[d ->> 'serial',
				d ->> 'manufacturer', d ->> 'model', d ->> 'hardware_revision', d ->> 'firmware']) ORDER BY n)
				FROM jsonb_array_elements(r -> 'devices') WITH ORDINALITY AS e (d, n))),
			xmlelement(NAME p, xmlattributes('foot' AS class), format('Made %s UTC for %s from the readings stored then, by version %s of the algorithm. '
				'Mean kinetic temperature with an activation energy of 83.144 kJ/mol and a gas constant of 8.3144 J/(mol K). Unobserved time is '
				'neither in nor out of range; at worst: had all of it been in the band. Temperatures are as the trackers gave them: no calibration corrects '
				'them. Outside calibration: measured while none was valid, or at a temperature beyond those that it covers.',
				api.report_time((r ->> 'made_at')::timestamptz), r ->> 'made_by', r ->> 'algorithm'))))::text
	FROM (SELECT r -> 'shipment') AS q (s)
$$;
COMMENT ON FUNCTION api.report_html(jsonb) IS 'A report as one HTML document. It loads nothing and runs nothing.';

CREATE FUNCTION api.shipment_report_html(id int, OUT body text, OUT next text)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	SELECT api.report_html(api.shipment_report(id)), NULL::text
$$;
COMMENT ON FUNCTION api.shipment_report_html(int) IS 'GET /v1/shipments/{id}/report as HTML, in one piece. Unknown: CF404.';

-- ---- for trading partners ----

CREATE FUNCTION api.uri_part(word text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(CASE WHEN c ~ '^[A-Za-z0-9._~-]$' THEN c
		ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY n)
	FROM regexp_split_to_table(word, '') WITH ORDINALITY AS e (c, n)
$$;
COMMENT ON FUNCTION api.uri_part(text) IS 'A text as one part of a URI: all but the unreserved characters of RFC 3986 percent-encoded.';

CREATE FUNCTION api.epcis_place(place text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', CASE WHEN coldchain.gtin_valid('0' || place) THEN 'https://id.gs1.org/414/' || place ELSE place END)
	WHERE coldchain.gtin_valid('0' || place) OR place ~ '^(urn:epc:id:sgln:|https://id\.gs1\.org/414/)[A-Za-z0-9._~%/-]+$'
$$;
COMMENT ON FUNCTION api.epcis_place(text) IS
	'A place as EPCIS names one, when it is said as a GLN (13 digits; they have the check digit of a GTIN), an SGLN or its GS1 Digital Link; '
	'else NULL, for a name is no identifier.';

CREATE FUNCTION api.epcis_lots(shipment int, lot int) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('epcClass',
		CASE WHEN o.gtin IS NOT NULL AND l.number ~ '^[!"%&''()*+,./0-9:;<=>?A-Z_a-z-]{1,20}$'
			THEN format('https://id.gs1.org/01/%s/10/%s', o.gtin, api.uri_part(l.number)) ELSE 'urn:coldfleet:lot:' || l.lot_id END,
		'quantity', c.quantity)) ORDER BY l.lot_id), '[]')
	FROM coldchain.shipment_lot AS c JOIN coldchain.lot AS l USING (lot_id) JOIN coldchain.product AS o USING (product_id)
	WHERE c.shipment_id = shipment AND (lot IS NULL OR c.lot_id = lot)
$$;
COMMENT ON FUNCTION api.epcis_lots(int, int) IS
	'Lots of a shipment, or one of them, as the quantityList of an event. A lot is named by GTIN and lot number where the product has a GTIN and '
	'the number is one that GS1 allows (AI 10: 20 characters of set 82), else by our own number of it.';

CREATE FUNCTION api.uuid_of(said text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT encode(set_byte(set_byte(h, 6, get_byte(h, 6) & 15 | 128), 8, get_byte(h, 8) & 63 | 128), 'hex')::uuid
	FROM substr(sha256(convert_to('urn:coldfleet:epcis ' || said, 'UTF8')), 1, 16) AS h
$$;
COMMENT ON FUNCTION api.uuid_of(text) IS 'The UUID of a text: version 8, of its SHA-256, as RFC 9562 shows in B.2; the same text, the same UUID.';

CREATE FUNCTION api.epcis_event(shipment int, lot int, at timestamptz, step text, disposition text, place text, more jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT event || jsonb_build_object('eventID', 'urn:uuid:' || api.uuid_of(event::text))
	FROM api.epcis_lots(shipment, lot) AS e (lots), jsonb_strip_nulls(jsonb_build_object('type', 'ObjectEvent', 'action', 'OBSERVE',
		'eventTime', api.json_at(at), 'eventTimeZoneOffset', '+00:00', 'bizStep', step, 'disposition', disposition,
		'readPoint', api.epcis_place(place),
		'bizTransactionList', jsonb_build_array(jsonb_build_object('bizTransaction', 'urn:coldfleet:shipment:' || shipment)))
		|| CASE WHEN lots = '[]' THEN '{"epcList": []}' ELSE jsonb_build_object('quantityList', lots) END || more) AS event
$$;
COMMENT ON FUNCTION api.epcis_event(int, int, timestamptz, text, text, text, jsonb) IS
	'An ObjectEvent about the lots of a shipment (NULL: all), with whatever else it says; bizStep and disposition are words of CBV 2.0. Its '
	'eventID is a digest of all it says: the same each time that it is told, another one when it is corrected.';

CREATE FUNCTION api.epcis_sensors(f jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_agg(jsonb_build_object(
		'sensorMetadata', jsonb_build_object('startTime', s.starts, 'endTime', s.ends,
			'deviceID', format('urn:coldfleet:device:%s:%s', api.uri_part(f ->> 'serial'), f ->> 'probe'),
			'bizRules', format('urn:coldfleet:profile:%s:%s', f ->> 'profile', f ->> 'profile_version'),
			'dataProcessingMethod', 'urn:coldfleet:algorithm:' || (f ->> 'algorithm')),
		'sensorReport', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('type', 'Temperature', 'exception', s.exception,
			'minValue', s.min_c, 'maxValue', s.max_c, 'meanValue', s.mean_c, 'uom', 'CEL')))) ORDER BY s.n)
	FROM (SELECT 0::bigint AS n, f -> 'first_at' AS starts, f -> 'last_at' AS ends, NULL AS exception, f -> 'min_c' AS min_c, f -> 'max_c' AS max_c,
			f -> 'mean_c' AS mean_c
		UNION ALL SELECT row_number() OVER (ORDER BY e.started_at, e.excursion_id), api.json_at(e.started_at)::jsonb,
			api.json_at(coalesce(e.ended_at, e.last_at))::jsonb, 'ALARM_CONDITION', to_jsonb(e.min_c), to_jsonb(e.max_c), NULL
		FROM coldchain.excursion AS e WHERE e.assignment_id = (f ->> 'assignment')::int AND e.state IN ('open', 'ended')) AS s
$$;
COMMENT ON FUNCTION api.epcis_sensors(jsonb) IS
	'What a probe saw, given its figures, as a sensorElementList: lowest, highest and mean of the whole, then each excursion as an ALARM_CONDITION. '
	'Values are not listed one by one: EPCIS is for what they come to.';

CREATE FUNCTION api.shipment_epcis(id int, OUT body text, OUT next text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id);
	ids CONSTANT int[] := api.shipment_watch(s.shipment_id, NULL, NULL);
	lane coldchain.lane;
BEGIN
	SELECT * INTO lane FROM coldchain.lane AS l WHERE l.lane_id = s.lane_id;
	body := jsonb_build_object('@context', jsonb_build_array('https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld',
			'{"coldfleet": "urn:coldfleet:"}'::jsonb),
		'type', 'EPCISDocument', 'schemaVersion', '2.0', 'creationDate', api.json_at(now()), 'coldfleet:complete', fleet.scope_all(),
		'epcisBody', jsonb_build_object('eventList', (SELECT coalesce(jsonb_agg(
			api.epcis_event(id, e.lot, e.at, e.step, e.disposition, e.place, coalesce(e.more, '{}')) ORDER BY e.at, e.n, e.lot), '[]') FROM (
		SELECT 1 AS n, NULL::int AS lot, s.started_at AS at, 'shipping' AS step, 'in_transit' AS disposition, lane.origin AS place, NULL::jsonb AS more
		UNION ALL SELECT 2, NULL, g.started_at, 'departing', 'in_transit', g.origin, NULL FROM coldchain.leg AS g WHERE g.shipment_id = id
		UNION ALL SELECT 3, a.lot_id, (f ->> 'last_at')::timestamptz, 'transporting', 'in_transit', NULL,
			jsonb_build_object('sensorElementList', api.epcis_sensors(f))
		FROM jsonb_array_elements(api.json_figures(ids, NULL, NULL)) AS j (f) JOIN coldchain.assignment AS a ON a.assignment_id = (f ->> 'assignment')::int
		WHERE a.role = 'product'
		UNION ALL SELECT 4, NULL, g.ended_at, 'arriving', 'in_transit', g.destination, NULL FROM coldchain.leg AS g WHERE g.shipment_id = id
		UNION ALL SELECT 5, NULL, s.delivered_at, 'receiving', 'in_progress', lane.destination,
			(SELECT jsonb_build_object('bizLocation', p) FROM api.epcis_place(lane.destination) AS p WHERE p IS NOT NULL)
		UNION ALL SELECT 6, NULL, s.decided_at, 'inspecting', CASE s.decision WHEN 'released' THEN 'conformant' WHEN 'rejected'
			THEN 'non_conformant' ELSE 'unavailable' END, lane.destination, NULL
		UNION ALL SELECT 7, NULL, s.cancelled_at, 'void_shipping', NULL, NULL, NULL WHERE s.started_at IS NOT NULL
		) AS e WHERE e.at IS NOT NULL)))::text;
END
$$;
COMMENT ON FUNCTION api.shipment_epcis(int) IS
	'GET /v1/shipments/{id}/epcis: what happened to a shipment as an EPCIS 2.0 document in JSON-LD, in one piece. coldfleet:complete: the call '
	'sees all devices. Unknown: CF404.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
GRANT EXECUTE ON FUNCTION api.shipment_figures(int, text, text, timestamptz, timestamptz), api.shipment_report(int), api.shipment_report_html(int),
	api.shipment_epcis(int)
	TO coldfleet_api;

COMMIT;
