-- SPDX-License-Identifier: Apache-2.0
-- What analysts ask: views under names of the trade, and temperatures by hour and day. Hours and days are a pure function of the stored
-- readings: telemetry.advance() notes, in the update of latest state that it makes anyway, the oldest reading that is new, and
-- analytics.refresh() computes from that hour on. So late readings, repetition and any order end in the same rows, byte for byte.
--
-- Time as in coldchain_engine: a sample stands for the time until the next one of its probe, or, when that comes more than 2.1 sampling
-- intervals later or has not come, for one interval. The interval is 600 s, whatever a device was told: hours are of
-- devices, not of assignments. Time is cut at full hours, so an hour may begin with what the sample before it stands for.
BEGIN;

CREATE SCHEMA analytics AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA analytics IS 'For people with SQL: views of everything, temperatures by hour and day. docs/analyst.md has questions and answers.';

CREATE TABLE analytics.hour (
	hour timestamptz NOT NULL,
	device_id int NOT NULL,
	samples int NOT NULL,
	faults int NOT NULL,
	min_c real,
	max_c real,
	observed_s double precision NOT NULL,
	weighted_cs double precision NOT NULL,
	kinetic_s double precision NOT NULL,
	probe smallint NOT NULL,
	PRIMARY KEY (device_id, hour, probe)
);
CREATE INDEX hour_brin ON analytics.hour USING brin (hour) WITH (autosummarize = on);
COMMENT ON TABLE analytics.hour IS 'Temperatures of a probe in an hour, to be read as analytics.hourly. Written by analytics.refresh() alone.';
COMMENT ON COLUMN analytics.hour.hour IS 'Its beginning, in measurement time.';
COMMENT ON COLUMN analytics.hour.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN analytics.hour.samples IS 'Temperatures measured in it; of several of a moment one; sensor faults are none.';
COMMENT ON COLUMN analytics.hour.faults IS 'Readings in it that a sensor''s fault made.';
COMMENT ON COLUMN analytics.hour.min_c IS 'Lowest of these samples, degrees Celsius; NULL: there are none.';
COMMENT ON COLUMN analytics.hour.max_c IS 'Highest of these samples, degrees Celsius; NULL: there are none.';
COMMENT ON COLUMN analytics.hour.observed_s IS 'Time of it that samples stand for, seconds.';
COMMENT ON COLUMN analytics.hour.weighted_cs IS 'Sum over that time of temperature times seconds, degrees Celsius.';
COMMENT ON COLUMN analytics.hour.kinetic_s IS 'Sum over that time of exp(-10000 K / kelvin) times seconds, for the mean kinetic temperature; below 20 K as at 20 K.';
COMMENT ON COLUMN analytics.hour.probe IS 'The probe, as in telemetry.reading.';

CREATE TABLE analytics.day (LIKE analytics.hour INCLUDING COMMENTS);
ALTER TABLE analytics.day RENAME COLUMN hour TO day;
ALTER TABLE analytics.day ADD PRIMARY KEY (device_id, day, probe);
CREATE INDEX day_brin ON analytics.day USING brin (day) WITH (autosummarize = on);
COMMENT ON TABLE analytics.day IS 'Temperatures of a probe in a day of UTC, the sum of its hours, to be read as analytics.daily.';
COMMENT ON COLUMN analytics.day.day IS 'Its beginning, midnight of UTC.';

CREATE TABLE analytics.due (
	due_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL,
	since timestamptz NOT NULL
);
CREATE INDEX due_device ON analytics.due (device_id);
COMMENT ON TABLE analytics.due IS 'Devices whose hours are to be computed, taken from telemetry.device_state.rollup_from by analytics.refresh().';
COMMENT ON COLUMN analytics.due.due_id IS 'Number of the row.';
COMMENT ON COLUMN analytics.due.device_id IS 'The device.';
COMMENT ON COLUMN analytics.due.since IS 'The oldest reading that is new, in measurement time.';

-- Without SET, so that the planner puts its body in place of the call.
CREATE FUNCTION analytics.kinetic(temperature_c real, seconds double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN seconds * exp(-10000 / greatest(temperature_c + 273.15::double precision, 20));
COMMENT ON FUNCTION analytics.kinetic(real, double precision) IS 'What a temperature for so many seconds adds to analytics.hour.kinetic_s.';

-- Sums of floating-point numbers depend on their order: they are over what is sorted by time, and what an hour has from the sample before it
-- (carry) comes first, with the first of its own. Only an hour without a sample of its own has that (spill) as a row of its own.
-- Sorting with the hour as well, which sorts nothing else, spares sorting anew for the groups; device by device is what the caches hold.
CREATE FUNCTION analytics.hours_of(devices int[], sinces timestamptz[], earliest timestamptz) RETURNS SETOF analytics.hour
LANGUAGE sql STABLE
AS $$
	SELECT h.hour, d.device_id, h.samples::int, h.faults::int, h.min_c, h.max_c, h.observed_s, h.weighted_cs, h.kinetic_s, h.probe
	FROM (SELECT u.d AS device_id, date_bin('1 hour', u.since - interval '1260 seconds', 'epoch') AS begins FROM unnest(devices, sinces) AS u (d, since)) AS d
	CROSS JOIN LATERAL (
		SELECT g.probe, p.hour, coalesce(sum(p.samples) FILTER (WHERE NOT g.fault), 0) AS samples, coalesce(sum(p.samples) FILTER (WHERE g.fault), 0) AS faults,
			min(p.min_c) FILTER (WHERE NOT g.fault) AS min_c, max(p.max_c) FILTER (WHERE NOT g.fault) AS max_c,
			coalesce(sum(p.observed_s), 0) AS observed_s, coalesce(sum(p.weighted_cs), 0) AS weighted_cs, coalesce(sum(p.kinetic_s), 0) AS kinetic_s
		FROM (
			SELECT w.probe, w.fault, w.hour, count(w.own_s) AS samples, min(w.own_c) AS min_c, max(w.own_c) AS max_c,
				sum(CASE WHEN w.carry_s IS NULL THEN w.own_s ELSE coalesce(w.carry_s + w.own_s, w.carry_s) END) AS observed_s,
				sum(CASE WHEN w.carry_s IS NULL THEN w.own_c::double precision * w.own_s
					ELSE coalesce(w.carry_c::double precision * w.carry_s + w.own_c::double precision * w.own_s, w.carry_c::double precision * w.carry_s) END)
					AS weighted_cs,
				sum(CASE WHEN w.carry_s IS NULL THEN analytics.kinetic(w.own_c, w.own_s)
					ELSE coalesce(analytics.kinetic(w.carry_c, w.carry_s) + analytics.kinetic(w.own_c, w.own_s), analytics.kinetic(w.carry_c, w.carry_s)) END)
					AS kinetic_s,
				max(w.spill_s) AS spill_s, max(w.own_c) FILTER (WHERE w.spill_s IS NOT NULL) AS spill_c
			FROM ( -- OFFSET 0: each once
				SELECT q.probe, q.fault, q.hour, CASE WHEN q.next_at IS DISTINCT FROM q.ts THEN q.temperature_c END AS own_c, q.prev_c AS carry_c,
					CASE WHEN q.next_at = q.ts THEN NULL WHEN q.fault THEN 0
						WHEN q.next_at <= q.ts + interval '1260 seconds' THEN date_part('epoch', least(q.next_at, q.hour + interval '1 hour') - q.ts)
						ELSE date_part('epoch', least(q.ts + interval '600 seconds', q.hour + interval '1 hour') - q.ts) END AS own_s,
					CASE WHEN q.prev_at < q.hour AND NOT q.fault THEN CASE
						WHEN q.prev_at >= q.ts - interval '1260 seconds' THEN nullif(date_part('epoch', q.ts - q.hour), 0)
						WHEN q.prev_at > q.hour - interval '600 seconds' THEN date_part('epoch', q.prev_at + interval '600 seconds' - q.hour) END END AS carry_s,
					CASE WHEN (q.next_at <= q.ts + interval '1260 seconds' OR q.fault) IS NOT TRUE AND q.ts > q.hour + interval '3000 seconds'
						AND (q.next_at < q.hour + interval '2 hours') IS NOT TRUE THEN date_part('epoch', q.ts - q.hour - interval '3000 seconds') END AS spill_s
				FROM (
					SELECT r.probe, r.fault, r.temperature_c, r.ts, r.hour, lead(r.ts) OVER probe AS next_at, lag(r.ts) OVER probe AS prev_at,
						lag(r.temperature_c) OVER probe AS prev_c
					FROM (
						SELECT r.probe, r.ts, date_bin('1 hour', r.ts, 'epoch') AS hour, r.epoch, r.seq, r.temperature_c, coalesce(r.flags, 0) & 1 <> 0 AS fault
						FROM telemetry.reading AS r
						WHERE r.device_id = d.device_id AND r.ts >= d.begins - interval '1260 seconds' AND r.ts >= earliest - interval '3 hours'
							AND (r.temperature_c IS NOT NULL OR coalesce(r.flags, 0) & 1 <> 0)) AS r
					WINDOW probe AS (PARTITION BY r.probe, r.fault ORDER BY r.hour, r.ts, r.epoch, r.seq)
				) AS q OFFSET 0
			) AS w
			GROUP BY w.probe, w.fault, w.hour
		) AS g
		CROSS JOIN LATERAL (
			SELECT g.hour, g.samples, g.min_c, g.max_c, g.observed_s, g.weighted_cs, g.kinetic_s
			UNION ALL
			SELECT g.hour + interval '1 hour', 0, NULL, NULL, g.spill_s, g.spill_c::double precision * g.spill_s, analytics.kinetic(g.spill_c, g.spill_s)
			WHERE g.spill_s IS NOT NULL
		) AS p
		WHERE p.hour >= d.begins
		GROUP BY g.probe, p.hour
	) AS h
$$;
COMMENT ON FUNCTION analytics.hours_of(int[], timestamptz[], timestamptz) IS
	'Hours of these devices, as rows of analytics.hour, as far as readings from those measurement times on matter, the earliest of which is said '
	'besides: a constant, which leaves older partitions out of the plan.';

CREATE FUNCTION analytics.compute(devices int[], sinces timestamptz[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET jit = off
SET plan_cache_mode = force_custom_plan
SET work_mem = '32MB'
AS $$
DECLARE
	earliest CONSTANT timestamptz := (SELECT min(u.since) FROM unnest(sinces) AS u (since));
BEGIN
	-- ON CONFLICT costs twice as much as a row that is new and known to be so: the caller has locked the devices, so nobody else adds it.
	WITH found AS MATERIALIZED (
		SELECT f.*, k.device_id IS NULL AS added, (f.samples, f.faults, f.min_c, f.max_c, f.observed_s, f.weighted_cs, f.kinetic_s)
			IS DISTINCT FROM (k.samples, k.faults, k.min_c, k.max_c, k.observed_s, k.weighted_cs, k.kinetic_s) AS changed
		FROM analytics.hours_of(devices, sinces, earliest) AS f
		LEFT JOIN (
			SELECT h.* FROM unnest(devices, sinces) AS u (d, since) CROSS JOIN LATERAL (
				SELECT * FROM analytics.hour AS h WHERE h.device_id = u.d AND h.hour >= date_bin('1 hour', u.since - interval '1260 seconds', 'epoch')
				OFFSET 0) AS h -- device by device
		) AS k USING (device_id, hour, probe)
	), added AS (
		INSERT INTO analytics.hour (hour, device_id, samples, faults, min_c, max_c, observed_s, weighted_cs, kinetic_s, probe)
		SELECT f.hour, f.device_id, f.samples, f.faults, f.min_c, f.max_c, f.observed_s, f.weighted_cs, f.kinetic_s, f.probe FROM found AS f WHERE f.added
	)
	INSERT INTO analytics.hour (hour, device_id, samples, faults, min_c, max_c, observed_s, weighted_cs, kinetic_s, probe)
	SELECT f.hour, f.device_id, f.samples, f.faults, f.min_c, f.max_c, f.observed_s, f.weighted_cs, f.kinetic_s, f.probe
	FROM found AS f WHERE f.changed AND NOT f.added
	ON CONFLICT (device_id, hour, probe) DO UPDATE SET samples = excluded.samples, faults = excluded.faults, min_c = excluded.min_c,
		max_c = excluded.max_c, observed_s = excluded.observed_s, weighted_cs = excluded.weighted_cs, kinetic_s = excluded.kinetic_s;

	INSERT INTO analytics.day AS t (day, device_id, probe, samples, faults, min_c, max_c, observed_s, weighted_cs, kinetic_s)
	SELECT h.day, u.d, h.probe, h.samples, h.faults, h.min_c, h.max_c, h.observed_s, h.weighted_cs, h.kinetic_s
	FROM unnest(devices, sinces) AS u (d, since)
	CROSS JOIN LATERAL (
		SELECT i.probe, i.day, sum(i.samples) AS samples, sum(i.faults) AS faults, min(i.min_c) AS min_c, max(i.max_c) AS max_c,
			sum(i.observed_s) AS observed_s, sum(i.weighted_cs) AS weighted_cs, sum(i.kinetic_s) AS kinetic_s
		FROM (SELECT date_bin('1 day', s.hour, 'epoch') AS day, s.* FROM analytics.hour AS s
		      WHERE s.device_id = u.d AND s.hour >= date_bin('1 day', u.since - interval '1260 seconds', 'epoch')
		      ORDER BY s.probe, date_bin('1 day', s.hour, 'epoch'), s.hour) AS i
		GROUP BY i.probe, i.day ORDER BY i.probe, i.day) AS h
	ON CONFLICT (device_id, day, probe) DO UPDATE SET samples = excluded.samples, faults = excluded.faults, min_c = excluded.min_c,
		max_c = excluded.max_c, observed_s = excluded.observed_s, weighted_cs = excluded.weighted_cs, kinetic_s = excluded.kinetic_s
	WHERE (t.samples, t.faults, t.min_c, t.max_c, t.observed_s, t.weighted_cs, t.kinetic_s) IS DISTINCT FROM (excluded.samples,
		excluded.faults, excluded.min_c, excluded.max_c, excluded.observed_s, excluded.weighted_cs, excluded.kinetic_s);
END
$$;
COMMENT ON FUNCTION analytics.compute(int[], timestamptz[]) IS
	'Computes hours and days of these devices, which the caller has locked, as far as readings from those measurement times on matter. None '
	'is ever taken away: readings are only added, and what a sample stands for cannot be taken out of an hour altogether by others.';

CREATE FUNCTION analytics.refresh(most int, before timestamptz DEFAULT date_trunc('hour', now())) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	devices int[];
	claimed int[];
	sinces timestamptz[];
BEGIN
	-- What a crash takes back is due again with it: not worth waiting for the disk.
	PERFORM set_config('synchronous_commit', 'off', true);
	-- Those that another session is at do not count. OFFSET 0: tried in that order, and no more of them than are wanted.
	SELECT array_agg(c.device_id) INTO devices
	FROM (SELECT w.device_id FROM (SELECT d.device_id FROM analytics.due AS d GROUP BY d.device_id ORDER BY min(d.due_id) OFFSET 0) AS w
	      WHERE pg_try_advisory_xact_lock('analytics.due'::regclass::oid::int, w.device_id) LIMIT most) AS c;
	-- A new statement sees what was committed when the lock was had, and later ones the readings that belong to it.
	IF devices IS NOT NULL THEN
		WITH gone AS (DELETE FROM analytics.due AS d WHERE d.device_id = ANY (devices) RETURNING d.device_id, d.since)
		SELECT array_agg(g.device_id ORDER BY g.device_id), array_agg(g.since ORDER BY g.device_id) INTO claimed, sinces
		FROM (SELECT device_id, min(since) AS since FROM gone GROUP BY device_id) AS g;
		PERFORM analytics.compute(claimed, sinces) WHERE claimed IS NOT NULL;
	END IF;

	-- At the end, so that who stores readings waits for the end of this transaction only, not for the computing: that is the next call's.
	WITH marked AS MATERIALIZED (
		SELECT s.device_id, s.rollup_from FROM telemetry.device_state AS s
		WHERE s.rollup_from < refresh.before LIMIT most FOR NO KEY UPDATE SKIP LOCKED
	), cleared AS (
		UPDATE telemetry.device_state AS s SET rollup_from = NULL FROM marked AS m WHERE s.device_id = m.device_id
	), added AS (
		INSERT INTO analytics.due (device_id, since) SELECT m.device_id, m.rollup_from FROM marked AS m ORDER BY m.device_id RETURNING device_id
	)
	SELECT array_agg(a.device_id) INTO devices FROM added AS a;
	RETURN coalesce(cardinality(claimed), 0) + coalesce(cardinality(devices), 0);
END
$$;
COMMENT ON FUNCTION analytics.refresh(int, timestamptz) IS
	'Computes hours and days of up to so many devices that are due, then takes up to as many of those that have new readings of before a moment '
	'(by default of hours that are over: the hour under way would be computed for nothing) for the next call. Returns how many of both; 0: nothing '
	'to do. Several may call at once, each call a transaction of its own (READ COMMITTED).';

CREATE VIEW analytics.hourly AS
SELECT device_id, probe, hour, samples, faults, min_c, max_c, weighted_cs / nullif(observed_s, 0) AS mean_c,
	coldchain.kinetic_c(kinetic_s / nullif(observed_s, 0), 83.144, 8.3144) AS mkt_c, observed_s, weighted_cs, kinetic_s
FROM analytics.hour;
COMMENT ON VIEW analytics.hourly IS 'Temperatures of a probe in an hour, one row each, as far as there are any; complete a few minutes after the hour is over, and again after late readings.';
COMMENT ON COLUMN analytics.hourly.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.hourly.probe IS 'The probe; 0 is the first or only one.';
COMMENT ON COLUMN analytics.hourly.hour IS 'Its beginning, in measurement time.';
COMMENT ON COLUMN analytics.hourly.samples IS 'Temperatures measured in it; of several of a moment one; sensor faults are none.';
COMMENT ON COLUMN analytics.hourly.faults IS 'Readings in it that a sensor''s fault made.';
COMMENT ON COLUMN analytics.hourly.min_c IS 'Lowest sample, degrees Celsius; NULL: none was measured in it.';
COMMENT ON COLUMN analytics.hourly.max_c IS 'Highest sample, degrees Celsius; NULL: none was measured in it.';
COMMENT ON COLUMN analytics.hourly.mean_c IS 'Mean over the observed time, degrees Celsius; NULL: none was observed.';
COMMENT ON COLUMN analytics.hourly.mkt_c IS 'Mean kinetic temperature over the observed time, degrees Celsius, 83.144 kJ/mol and 8.3144 J/(mol K). Not for frozen products.';
COMMENT ON COLUMN analytics.hourly.observed_s IS 'Time that samples stand for, seconds; the rest of it is unobserved.';
COMMENT ON COLUMN analytics.hourly.weighted_cs IS 'Sum over that time of temperature times seconds: for means over several, sum(weighted_cs) / sum(observed_s).';
COMMENT ON COLUMN analytics.hourly.kinetic_s IS 'Sum over that time of exp(-10000 K / kelvin) times seconds: for several, coldchain.kinetic_c(sum(kinetic_s) / sum(observed_s), 83.144, 8.3144).';

CREATE VIEW analytics.daily AS
SELECT device_id, probe, day, samples, faults, min_c, max_c, weighted_cs / nullif(observed_s, 0) AS mean_c,
	coldchain.kinetic_c(kinetic_s / nullif(observed_s, 0), 83.144, 8.3144) AS mkt_c, observed_s, weighted_cs, kinetic_s
FROM analytics.day;
COMMENT ON VIEW analytics.daily IS 'Temperatures of a probe in a day of UTC, one row each, as far as there are any; complete a few minutes after the hour is over, and again after late readings.';
COMMENT ON COLUMN analytics.daily.day IS 'Its beginning, midnight of UTC.';
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT attname AS name, col_description(attrelid, attnum) AS meaning FROM pg_attribute
		WHERE attrelid = 'analytics.hourly'::regclass AND attname <> 'hour'
	LOOP
		EXECUTE format('COMMENT ON COLUMN analytics.daily.%I IS %L', c.name, c.meaning);
	END LOOP;
END
$$;

CREATE VIEW analytics.device AS
SELECT d.device_id, d.serial, m.manufacturer, m.name AS model, d.hardware_revision, d.state, nullif(d.firmware, '') AS firmware, m.end_of_support,
	o.model AS module_model, t.module_firmware, i.iccid, s.received_at AS last_heard_at, s.reading_ts AS last_reading_at, s.battery_pct,
	s.rsrp_dbm, s.clock_offset_s, s.epoch, telemetry.complete_through(s) AS complete_through, s.seq_high, s.gaps, s.renumbered_at
FROM fleet.device AS d JOIN fleet.model AS m USING (model_id)
LEFT JOIN telemetry.device_state AS s USING (device_id)
LEFT JOIN telemetry.device_status AS t USING (device_id)
LEFT JOIN fleet.module AS o USING (device_id)
LEFT JOIN fleet.sim AS i USING (device_id);
COMMENT ON VIEW analytics.device IS 'Devices with what is known of them now, one row each.';
COMMENT ON COLUMN analytics.device.device_id IS 'Number of the device.';
COMMENT ON COLUMN analytics.device.serial IS 'Its serial number.';
COMMENT ON COLUMN analytics.device.manufacturer IS 'Who makes the model.';
COMMENT ON COLUMN analytics.device.model IS 'Its model.';
COMMENT ON COLUMN analytics.device.hardware_revision IS 'Its hardware revision; empty: not said.';
COMMENT ON COLUMN analytics.device.state IS 'registered, active, disabled, quarantined or decommissioned.';
COMMENT ON COLUMN analytics.device.firmware IS 'Its firmware version; NULL: not known.';
COMMENT ON COLUMN analytics.device.end_of_support IS 'Day on which its maker''s support ends; NULL: not said.';
COMMENT ON COLUMN analytics.device.module_model IS 'Model of its radio module; NULL: none is registered.';
COMMENT ON COLUMN analytics.device.module_firmware IS 'Firmware of that module as the device tells; NULL: it has not.';
COMMENT ON COLUMN analytics.device.iccid IS 'Number of its SIM; NULL: none is registered.';
COMMENT ON COLUMN analytics.device.last_heard_at IS 'When it was last heard, by our clock; NULL: never.';
COMMENT ON COLUMN analytics.device.last_reading_at IS 'Time of its newest reading, by its clock; NULL: it has none.';
COMMENT ON COLUMN analytics.device.battery_pct IS 'Its last battery charge, percent.';
COMMENT ON COLUMN analytics.device.rsrp_dbm IS 'Its last signal strength, dBm.';
COMMENT ON COLUMN analytics.device.clock_offset_s IS 'Its clock minus ours when it last told, seconds.';
COMMENT ON COLUMN analytics.device.epoch IS 'Its latest epoch; one step is one loss of its memory.';
COMMENT ON COLUMN analytics.device.complete_through IS
	'Up to which sample number of that epoch each is stored or declared lost; NULL: none came; -1: already number 0 is missing.';
COMMENT ON COLUMN analytics.device.seq_high IS 'Highest sample number of that epoch; -1: none came.';
COMMENT ON COLUMN analytics.device.gaps IS 'How many ranges of numbers are missing in that epoch.';
COMMENT ON COLUMN analytics.device.renumbered_at IS 'When it last gave known numbers to new samples, by our clock; NULL: never.';

CREATE VIEW analytics.reading AS
SELECT r.*, c.calibration_id, c.calibration_id IS NULL OR coalesce(r.temperature_c < c.lower_c::real OR r.temperature_c > c.upper_c::real, false)
	AS outside_calibration
FROM telemetry.reading AS r
LEFT JOIN coldchain.calibration AS c ON c.device_id = r.device_id AND c.probe = r.probe AND c.valid @> r.ts;
COMMENT ON VIEW analytics.reading IS
	'Readings, one row each, and by which calibration their probe measured then, as records say it now. Ask for some devices, or some time.';
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT attname AS name, col_description(attrelid, attnum) AS meaning FROM pg_attribute
		WHERE attrelid = 'telemetry.reading'::regclass
	LOOP
		EXECUTE format('COMMENT ON COLUMN analytics.reading.%I IS %L', c.name, c.meaning);
	END LOOP;
END
$$;
COMMENT ON COLUMN analytics.reading.calibration_id IS 'The record of a calibration that held for the probe at that moment, analytics.calibration; NULL: none did.';
COMMENT ON COLUMN analytics.reading.outside_calibration IS
	'True: measured without a valid calibration, or a temperature that it does not cover. analytics.outside_calibration has why, by days.';

CREATE VIEW analytics.shipment AS
SELECT s.shipment_id, s.reference, s.state, l.lane_id, l.origin, l.destination, l.carrier, s.started_at, s.delivered_at,
	extract(epoch FROM s.delivered_at - s.started_at)::double precision / 3600 AS transit_h, s.decision, s.decided_at
FROM coldchain.shipment AS s LEFT JOIN coldchain.lane AS l USING (lane_id);
COMMENT ON VIEW analytics.shipment IS 'Shipments with their lanes, one row each.';
COMMENT ON COLUMN analytics.shipment.shipment_id IS 'Number of the shipment.';
COMMENT ON COLUMN analytics.shipment.reference IS 'What logistics people call it.';
COMMENT ON COLUMN analytics.shipment.state IS 'ready, shipping, delivered, closed or cancelled.';
COMMENT ON COLUMN analytics.shipment.lane_id IS 'Number of its lane; NULL: not said.';
COMMENT ON COLUMN analytics.shipment.origin IS 'Where the lane begins.';
COMMENT ON COLUMN analytics.shipment.destination IS 'Where it ends.';
COMMENT ON COLUMN analytics.shipment.carrier IS 'Who carries.';
COMMENT ON COLUMN analytics.shipment.started_at IS 'When it left, in measurement time.';
COMMENT ON COLUMN analytics.shipment.delivered_at IS 'When it arrived, in measurement time.';
COMMENT ON COLUMN analytics.shipment.transit_h IS 'Hours between both.';
COMMENT ON COLUMN analytics.shipment.decision IS 'released, quarantined or rejected; NULL: nobody has decided.';
COMMENT ON COLUMN analytics.shipment.decided_at IS 'When that was decided.';

CREATE VIEW analytics.assignment AS
SELECT a.assignment_id, a.shipment_id, a.lot_id, a.device_id, a.probe, a.role, lower(a.judged) AS judged_from, upper(a.judged) AS judged_to,
	a.sample_interval_s, p.name AS product, l.number AS lot, f.code AS profile, v.version AS profile_version
FROM coldchain.assignment AS a JOIN coldchain.lot AS l USING (lot_id) JOIN coldchain.product AS p USING (product_id)
JOIN coldchain.profile_version AS v USING (profile_version_id) JOIN coldchain.profile AS f USING (profile_id)
WHERE NOT isempty(a.judged);
COMMENT ON VIEW analytics.assignment IS 'Which probe watched which lot in which shipment, as far as anything of it is judged; one row each.';
COMMENT ON COLUMN analytics.assignment.assignment_id IS 'Number of the assignment; for coldchain.figures() and coldchain.band_figures().';
COMMENT ON COLUMN analytics.assignment.shipment_id IS 'The shipment, analytics.shipment.';
COMMENT ON COLUMN analytics.assignment.lot_id IS 'Number of the lot; for coldchain.lot_figures().';
COMMENT ON COLUMN analytics.assignment.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.assignment.probe IS 'Which probe of it.';
COMMENT ON COLUMN analytics.assignment.role IS 'product: judged; ambient: never.';
COMMENT ON COLUMN analytics.assignment.judged_from IS 'From when on it is judged, in measurement time.';
COMMENT ON COLUMN analytics.assignment.judged_to IS 'Until when; NULL: it still is.';
COMMENT ON COLUMN analytics.assignment.sample_interval_s IS 'How often the device measures, seconds.';
COMMENT ON COLUMN analytics.assignment.product IS 'Name of the product.';
COMMENT ON COLUMN analytics.assignment.lot IS 'Number of the lot, as its maker writes it.';
COMMENT ON COLUMN analytics.assignment.profile IS 'Code of the profile that it is judged by.';
COMMENT ON COLUMN analytics.assignment.profile_version IS 'Version of that profile.';

CREATE VIEW analytics.excursion AS
SELECT e.excursion_id, e.revision, e.state, e.device_id, e.probe, a.shipment_id, a.lot_id, b.code AS band, b.counting, e.started_at, e.last_at,
	e.ended_at, e.alarm_at, e.out_s, e.unobserved_s, b.allowed_s, e.min_c, e.max_c, e.late, e.found_at,
	(SELECT (range_agg(c.valid) @> tstzrange(e.started_at, e.last_at, '[]')) IS NOT TRUE OR bool_or(e.min_c < c.lower_c::real OR e.max_c > c.upper_c::real)
	 FROM coldchain.calibration AS c WHERE c.device_id = e.device_id AND c.probe = e.probe AND c.valid && tstzrange(e.started_at, e.last_at, '[]'))
	AS outside_calibration
FROM coldchain.excursion AS e JOIN coldchain.assignment AS a USING (assignment_id) JOIN coldchain.band AS b USING (band_id)
WHERE e.state IN ('open', 'ended');
COMMENT ON VIEW analytics.excursion IS 'Excursions that stand, one row each.';
COMMENT ON COLUMN analytics.excursion.excursion_id IS 'Number of the excursion.';
COMMENT ON COLUMN analytics.excursion.revision IS 'How often something was said about it.';
COMMENT ON COLUMN analytics.excursion.state IS 'open or ended.';
COMMENT ON COLUMN analytics.excursion.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.excursion.probe IS 'The probe.';
COMMENT ON COLUMN analytics.excursion.shipment_id IS 'The shipment, analytics.shipment.';
COMMENT ON COLUMN analytics.excursion.lot_id IS 'The lot.';
COMMENT ON COLUMN analytics.excursion.band IS 'Code of the band that it stayed in.';
COMMENT ON COLUMN analytics.excursion.counting IS 'single or cumulative.';
COMMENT ON COLUMN analytics.excursion.started_at IS 'First sample in the band, in measurement time.';
COMMENT ON COLUMN analytics.excursion.last_at IS 'Last sample in it.';
COMMENT ON COLUMN analytics.excursion.ended_at IS 'First sample outside again, or the end of what is judged; NULL: open.';
COMMENT ON COLUMN analytics.excursion.alarm_at IS 'When the allowed duration was used up; NULL: it was not, or the band is cumulative: see analytics.budget.';
COMMENT ON COLUMN analytics.excursion.out_s IS 'Observed time in the band, seconds.';
COMMENT ON COLUMN analytics.excursion.unobserved_s IS 'Unobserved time of the stay, seconds.';
COMMENT ON COLUMN analytics.excursion.allowed_s IS 'Allowed duration, seconds.';
COMMENT ON COLUMN analytics.excursion.min_c IS 'Lowest temperature, degrees Celsius.';
COMMENT ON COLUMN analytics.excursion.max_c IS 'Highest temperature, degrees Celsius.';
COMMENT ON COLUMN analytics.excursion.late IS 'True: its alarm was found late.';
COMMENT ON COLUMN analytics.excursion.found_at IS 'When it was found, by our clock.';
COMMENT ON COLUMN analytics.excursion.outside_calibration IS
	'True: from its first to its last sample the probe was for some time without a valid calibration, or the lowest or highest temperature is one that '
	'a calibration which held meanwhile does not cover.';

CREATE VIEW analytics.budget AS
SELECT x.lot_id, p.name AS product, l.number AS lot, x.band_code AS band, x.counting, x.allowed_s, x.out_s, x.longest_s,
	greatest(0, x.allowed_s - CASE x.counting WHEN 'single' THEN x.longest_s ELSE x.out_s END) AS remaining_s, x.excursions, x.first_at, x.alarm_at
FROM coldchain.exposure AS x JOIN coldchain.lot AS l USING (lot_id) JOIN coldchain.product AS p USING (product_id);
COMMENT ON VIEW analytics.budget IS 'Stability budget of lots that have used some: one row a lot and band, over all shipments and devices.';
COMMENT ON COLUMN analytics.budget.lot_id IS 'Number of the lot.';
COMMENT ON COLUMN analytics.budget.product IS 'Name of the product.';
COMMENT ON COLUMN analytics.budget.lot IS 'Number of the lot, as its maker writes it.';
COMMENT ON COLUMN analytics.budget.band IS 'Code of the band.';
COMMENT ON COLUMN analytics.budget.counting IS 'single: each stay counts by itself; cumulative: all together.';
COMMENT ON COLUMN analytics.budget.allowed_s IS 'Allowed duration, seconds.';
COMMENT ON COLUMN analytics.budget.out_s IS 'Time in the band, seconds.';
COMMENT ON COLUMN analytics.budget.longest_s IS 'The longest stay, seconds.';
COMMENT ON COLUMN analytics.budget.remaining_s IS 'What is left of the allowed duration, seconds.';
COMMENT ON COLUMN analytics.budget.excursions IS 'How many stays.';
COMMENT ON COLUMN analytics.budget.first_at IS 'When the first began, in measurement time.';
COMMENT ON COLUMN analytics.budget.alarm_at IS 'When nothing was left; NULL: something is.';

CREATE VIEW analytics.gap AS
SELECT g.device_id, g.epoch, g.seq_from, g.seq_to, g.first_seen, g.closed_at, g.asked, g.asked_at,
	(SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(g.missing) AS r)::int AS missing,
	(SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(g.lost) AS r)::int AS lost
FROM telemetry.gap AS g;
COMMENT ON VIEW analytics.gap IS 'Sample numbers that were passed over, one row a hole as it was first seen.';
COMMENT ON COLUMN analytics.gap.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.gap.epoch IS 'The epoch of the numbers.';
COMMENT ON COLUMN analytics.gap.seq_from IS 'First missing number when the hole was seen.';
COMMENT ON COLUMN analytics.gap.seq_to IS 'Last missing number then.';
COMMENT ON COLUMN analytics.gap.first_seen IS 'When the message arrived that showed it.';
COMMENT ON COLUMN analytics.gap.closed_at IS 'When the last of it arrived or was declared lost; NULL: some are missing.';
COMMENT ON COLUMN analytics.gap.asked IS 'In how many rounds the device was asked for it.';
COMMENT ON COLUMN analytics.gap.asked_at IS 'When the last round began; NULL: none did.';
COMMENT ON COLUMN analytics.gap.missing IS 'How many are still missing.';
COMMENT ON COLUMN analytics.gap.lost IS 'How many the device declared lost.';

CREATE VIEW analytics.command AS
SELECT c.command_id, c.request_id, c.device_id, c.operation, c.class, c.state, c.requested_at, c.sent_at, c.ended_at, c.sends, c.late,
	extract(epoch FROM c.ended_at - c.requested_at)::double precision AS took_s
FROM command.command AS c;
COMMENT ON VIEW analytics.command IS 'Commands to devices, one row each.';
COMMENT ON COLUMN analytics.command.command_id IS 'Number of the command.';
COMMENT ON COLUMN analytics.command.request_id IS 'The request that it is part of.';
COMMENT ON COLUMN analytics.command.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.command.operation IS 'What the device is told to do.';
COMMENT ON COLUMN analytics.command.class IS 'Its class, 1 to 5.';
COMMENT ON COLUMN analytics.command.state IS 'Its state; succeeded, failed, rejected, expired and cancelled are final.';
COMMENT ON COLUMN analytics.command.requested_at IS 'When it was requested.';
COMMENT ON COLUMN analytics.command.sent_at IS 'When it was last sent; NULL: never.';
COMMENT ON COLUMN analytics.command.ended_at IS 'When it reached a final state; NULL: not yet.';
COMMENT ON COLUMN analytics.command.sends IS 'How often it was sent.';
COMMENT ON COLUMN analytics.command.late IS 'True: its result came after it had ended otherwise.';
COMMENT ON COLUMN analytics.command.took_s IS 'Seconds from request to end.';

CREATE VIEW analytics.calibration AS
SELECT c.calibration_id, c.device_id, c.probe, c.probe_serial, c.certificate, c.laboratory, c.accreditation, c.calibrated_on, c.valid_until,
	coldchain.calibration_state(c, now()) AS state, lower(c.valid) AS valid_from, upper(c.valid) AS valid_to, c.latest,
	c.lower_c::double precision AS lower_c, c.upper_c::double precision AS upper_c, p.points, p.worst_error_c::double precision AS worst_error_c,
	p.worst_uncertainty_c::double precision AS worst_uncertainty_c, e.drift_c::double precision AS drift_c, c.created_at AS recorded_at
FROM coldchain.calibration AS c
CROSS JOIN LATERAL (
	SELECT count(*)::int AS points, (array_agg(q.error_c ORDER BY abs(q.error_c) DESC) FILTER (WHERE q.status = 'as-left'))[1] AS worst_error_c,
		max(q.uncertainty_c) AS worst_uncertainty_c, bool_or(q.status = 'as-found') AS was_found
	FROM coldchain.calibration_point AS q WHERE q.calibration_id = c.calibration_id) AS p
LEFT JOIN LATERAL (
	SELECT (array_agg(q.error_c - r.error_c ORDER BY abs(q.error_c - r.error_c) DESC))[1] AS drift_c
	FROM (SELECT o.calibration_id FROM coldchain.calibration AS o
	      WHERE o.device_id = c.device_id AND o.probe = c.probe AND o.probe_serial IS NOT DISTINCT FROM c.probe_serial AND o.voided_at IS NULL
		AND (o.begins_at, o.calibration_id) < (c.begins_at, c.calibration_id) ORDER BY o.begins_at DESC, o.calibration_id DESC LIMIT 1) AS o
	JOIN coldchain.calibration_point AS r ON r.calibration_id = o.calibration_id AND r.status = 'as-left'
	JOIN coldchain.calibration_point AS q ON q.calibration_id = c.calibration_id AND q.reference_c = r.reference_c
		AND q.status = CASE WHEN p.was_found THEN 'as-found' ELSE 'as-left' END) AS e ON true;
COMMENT ON VIEW analytics.calibration IS 'Calibration records of probes, void ones too, one row each.';
COMMENT ON COLUMN analytics.calibration.calibration_id IS 'Number of the record.';
COMMENT ON COLUMN analytics.calibration.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.calibration.probe IS 'Which probe of it.';
COMMENT ON COLUMN analytics.calibration.probe_serial IS 'Serial number of a probe that can be taken off; NULL: it has none.';
COMMENT ON COLUMN analytics.calibration.certificate IS 'Number of the certificate.';
COMMENT ON COLUMN analytics.calibration.laboratory IS 'Who calibrated.';
COMMENT ON COLUMN analytics.calibration.accreditation IS 'The laboratory''s accreditation; empty: not said.';
COMMENT ON COLUMN analytics.calibration.calibrated_on IS 'Day of the calibration.';
COMMENT ON COLUMN analytics.calibration.valid_until IS 'Its last day.';
COMMENT ON COLUMN analytics.calibration.state IS 'Now: valid, expired, superseded (a newer one began before it was due), future or void.';
COMMENT ON COLUMN analytics.calibration.valid_from IS 'First measurement time that it is the calibration of; NULL: of none.';
COMMENT ON COLUMN analytics.calibration.valid_to IS 'First measurement time after it: it is due, or a newer one begins.';
COMMENT ON COLUMN analytics.calibration.latest IS 'True: the newest of its probe.';
COMMENT ON COLUMN analytics.calibration.lower_c IS 'Lowest temperature that it covers, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration.upper_c IS 'Highest temperature that it covers, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration.points IS 'How many points it has.';
COMMENT ON COLUMN analytics.calibration.worst_error_c IS 'Of its as-left points the error (indicated less reference) that is farthest from 0, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration.worst_uncertainty_c IS 'The largest expanded uncertainty of its points, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration.drift_c IS
	'Drift since the calibration before of the same probe: the largest change from its as-left error to what was found now (as-found points, else '
	'as-left), at a temperature that both have, degrees Celsius; NULL: there is none to compare with.';
COMMENT ON COLUMN analytics.calibration.recorded_at IS 'When it was recorded, by our clock.';

CREATE VIEW analytics.calibration_point AS
SELECT p.calibration_id, p.point, p.device_id, p.status, p.reference_c::double precision AS reference_c, p.indicated_c::double precision AS indicated_c,
	p.error_c::double precision AS error_c, p.uncertainty_c::double precision AS uncertainty_c, p.coverage_factor::double precision AS coverage_factor
FROM coldchain.calibration_point AS p;
COMMENT ON VIEW analytics.calibration_point IS 'The temperatures at which probes were compared, one row a point of a record.';
COMMENT ON COLUMN analytics.calibration_point.calibration_id IS 'The record, analytics.calibration.';
COMMENT ON COLUMN analytics.calibration_point.point IS 'Counts the points of a record from 1.';
COMMENT ON COLUMN analytics.calibration_point.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.calibration_point.status IS 'as-found: before an adjustment; as-left: as the probe left the laboratory.';
COMMENT ON COLUMN analytics.calibration_point.reference_c IS 'The temperature as the reference has it, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration_point.indicated_c IS 'What the probe indicated, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration_point.error_c IS 'Indicated less reference, degrees Celsius; the correction is its negative.';
COMMENT ON COLUMN analytics.calibration_point.uncertainty_c IS 'Expanded uncertainty of the error, degrees Celsius.';
COMMENT ON COLUMN analytics.calibration_point.coverage_factor IS 'Its coverage factor k.';

CREATE VIEW analytics.outside_calibration AS
SELECT t.device_id, t.probe, t.day, coalesce(s.lack, 'beyond') AS why, c.calibration_id, t.samples, t.min_c, t.max_c
FROM analytics.daily AS t
LEFT JOIN coldchain.calibration AS c ON c.device_id = t.device_id AND c.probe = t.probe AND c.valid @> t.day
LEFT JOIN LATERAL coldchain.calibration_spans(t.device_id, t.probe) AS s ON c.calibration_id IS NULL AND s.during @> t.day
WHERE t.samples > 0 AND (c.calibration_id IS NULL OR t.min_c < c.lower_c::real OR t.max_c > c.upper_c::real);
COMMENT ON VIEW analytics.outside_calibration IS
	'Days (UTC) on which a probe measured without a valid calibration, or beyond the temperatures that it covers; one row a probe and day. Ask for '
	'some days or devices.';
COMMENT ON COLUMN analytics.outside_calibration.device_id IS 'The device, analytics.device.';
COMMENT ON COLUMN analytics.outside_calibration.probe IS 'Which probe of it.';
COMMENT ON COLUMN analytics.outside_calibration.day IS 'The beginning of the day, midnight of UTC; calibrations hold by whole days.';
COMMENT ON COLUMN analytics.outside_calibration.why IS
	'never: it was never calibrated; not-yet; expired; void: the record was voided; beyond: some of the day''s samples are outside of what is covered.';
COMMENT ON COLUMN analytics.outside_calibration.calibration_id IS 'The calibration that held, analytics.calibration; NULL: none did.';
COMMENT ON COLUMN analytics.outside_calibration.samples IS 'Temperatures measured on that day.';
COMMENT ON COLUMN analytics.outside_calibration.min_c IS 'Lowest of them, degrees Celsius.';
COMMENT ON COLUMN analytics.outside_calibration.max_c IS 'Highest of them, degrees Celsius.';

CREATE VIEW analytics.storage AS
SELECT c.relname::text AS partition, p.lower AS from_time, p.upper AS to_time, c.reltuples::bigint AS readings,
	pg_total_relation_size(c.oid) + coalesce((SELECT sum(pg_total_relation_size(i.inhrelid)) FROM pg_inherits AS i WHERE i.inhparent = c.oid), 0)
		AS bytes
FROM telemetry.partitions() AS p JOIN pg_class AS c ON c.relname = p.name AND c.relnamespace = 'telemetry'::regnamespace;
COMMENT ON VIEW analytics.storage IS 'Space on disk of readings, one row a partition of time.';
COMMENT ON COLUMN analytics.storage.partition IS 'Name of the table.';
COMMENT ON COLUMN analytics.storage.from_time IS 'First moment of it, in measurement time.';
COMMENT ON COLUMN analytics.storage.to_time IS 'First moment after it.';
COMMENT ON COLUMN analytics.storage.readings IS 'How many readings it has, as the last ANALYZE estimated; -1: not known.';
COMMENT ON COLUMN analytics.storage.bytes IS 'Its size with indexes.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA analytics FROM PUBLIC;
GRANT USAGE ON SCHEMA analytics TO coldfleet_analyst, coldfleet_notify;
GRANT EXECUTE ON FUNCTION analytics.refresh(int, timestamptz) TO coldfleet_notify;
GRANT EXECUTE ON FUNCTION telemetry.partitions() TO coldfleet_analyst;
GRANT SELECT ON analytics.hourly, analytics.daily, analytics.device, analytics.reading, analytics.shipment, analytics.assignment, analytics.excursion,
	analytics.budget, analytics.gap, analytics.command, analytics.calibration, analytics.calibration_point, analytics.outside_calibration,
	analytics.storage TO coldfleet_analyst;

COMMIT;
