-- SPDX-License-Identifier: Apache-2.0
-- What trackers say: readings in partitions by time, the latest state of each device, which sample numbers are missing,
-- and what could not be read. Only functions change anything but readings, so no runtime role can rewrite evidence.
BEGIN;

CREATE SCHEMA telemetry AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA telemetry IS 'What trackers say: readings, latest state, gaps, and what could not be read.';

CREATE TABLE telemetry.setting (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	partition_days int NOT NULL DEFAULT 7 CHECK (partition_days BETWEEN 1 AND 92),
	partitions_ahead int NOT NULL DEFAULT 2 CHECK (partitions_ahead BETWEEN 1 AND 52),
	retention_days int NOT NULL DEFAULT 1150 CHECK (retention_days >= 410),
	quarantine_days int NOT NULL DEFAULT 400 CHECK (quarantine_days >= 1)
);
INSERT INTO telemetry.setting DEFAULT VALUES;
COMMENT ON TABLE telemetry.setting IS 'How readings are kept: one row.';
COMMENT ON COLUMN telemetry.setting.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN telemetry.setting.partition_days IS 'Width of new partitions of telemetry.measurement, days; existing ones keep theirs.';
COMMENT ON COLUMN telemetry.setting.partitions_ahead IS 'How many partitions beyond the current one are made before they are needed.';
COMMENT ON COLUMN telemetry.setting.retention_days IS
	'Readings older than this, days, are dropped a partition at a time. At least 410: data up to 400 days late is accepted.';
COMMENT ON COLUMN telemetry.setting.quarantine_days IS 'Quarantined messages not received again for this many days are deleted.';

-- What few readings have is one column, so that there are 8: PostgreSQL keeps the NULLs of 8 columns in a byte that its row header has
-- room for, those of more cost 8 bytes a row. With it a reading of temperature, humidity and battery is 68 bytes; 76 with 21 columns.
CREATE TYPE telemetry.seldom AS (
	latitude double precision,
	longitude double precision,
	altitude_m real,
	accuracy_m real,
	light_lux real,
	shock_ms2 real,
	rsrp_dbm real,
	flags smallint,
	door_open boolean,
	tampered boolean,
	mains_power boolean,
	extra jsonb
);
COMMENT ON TYPE telemetry.seldom IS 'What few readings have; the columns of telemetry.reading say what each is.';

CREATE TABLE telemetry.measurement (
	ts timestamptz NOT NULL,
	received_at timestamptz NOT NULL,
	number bigint NOT NULL,
	device_id int NOT NULL,
	temperature_c real,
	humidity_pct real,
	battery_pct real,
	seldom telemetry.seldom
) PARTITION BY RANGE (ts);
COMMENT ON TABLE telemetry.measurement IS
	'Readings as they are stored, to be read as telemetry.reading; never changed once stored. Each week is two tables: the first reading of '
	'a device at a moment, with the key (device_id, ts), and further ones of the same moment, with the key (device_id, ts, number). That key '
	'is the one of all, but 16 bytes of it are 28 in an index, and PostgreSQL packs them as they come; 24 would be 36 in half-empty pages. '
	'No foreign key to fleet.device, whose rows are never deleted: checking it would cost more than storing.';
COMMENT ON COLUMN telemetry.measurement.ts IS 'When it was measured, by the device''s clock.';
COMMENT ON COLUMN telemetry.measurement.received_at IS 'When it arrived here, by our clock.';
COMMENT ON COLUMN telemetry.measurement.number IS
	'From the highest bit on: 1 bit, set in further readings of a moment; 15 bits probe; 16 bits epoch; 32 bits seq plus 2147483648.';
COMMENT ON COLUMN telemetry.measurement.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.measurement.temperature_c IS 'Temperature, degrees Celsius.';
COMMENT ON COLUMN telemetry.measurement.humidity_pct IS 'Relative humidity, percent.';
COMMENT ON COLUMN telemetry.measurement.battery_pct IS 'Battery charge, percent.';
COMMENT ON COLUMN telemetry.measurement.seldom IS 'What few readings have; NULL: this one has nothing of it.';

-- Of the caller: the policies of telemetry.measurement are to be those of whoever asks.
CREATE VIEW telemetry.reading WITH (security_invoker = true) AS
SELECT m.ts, m.received_at, m.device_id,
	((m.number & 4294967295) - 2147483648)::int AS seq,
	(m.number >> 32 & 32767)::smallint AS epoch,
	(m.number >> 48 & 32767)::smallint AS probe,
	m.temperature_c, m.humidity_pct, (m.seldom).light_lux, (m.seldom).shock_ms2, m.battery_pct, (m.seldom).rsrp_dbm,
	(m.seldom).latitude, (m.seldom).longitude, (m.seldom).altitude_m, (m.seldom).accuracy_m,
	(m.seldom).door_open, (m.seldom).tampered, (m.seldom).mains_power, (m.seldom).flags, (m.seldom).extra
FROM telemetry.measurement AS m;
COMMENT ON VIEW telemetry.reading IS
	'What one probe of one device measured at one moment, one row each; never changed once stored. A channel that was not measured '
	'then is NULL. (device_id, ts, probe, epoch, seq) are unique. Ask by device_id and ts: these are indexed.';
COMMENT ON COLUMN telemetry.reading.ts IS 'When it was measured, by the device''s clock.';
COMMENT ON COLUMN telemetry.reading.received_at IS 'When it arrived here, by our clock.';
COMMENT ON COLUMN telemetry.reading.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.reading.seq IS
	'Number of the sample, counted by the device within the epoch; below 0 the device gave none: -k is the k-th sample of that moment.';
COMMENT ON COLUMN telemetry.reading.epoch IS 'Counter that the device raises when it can no longer continue seq; 0 at first.';
COMMENT ON COLUMN telemetry.reading.probe IS 'Which probe of the device; 0 is the first or only one.';
COMMENT ON COLUMN telemetry.reading.temperature_c IS 'Temperature, degrees Celsius. See flags before judging it.';
COMMENT ON COLUMN telemetry.reading.humidity_pct IS 'Relative humidity, percent.';
COMMENT ON COLUMN telemetry.reading.light_lux IS 'Illuminance, lux.';
COMMENT ON COLUMN telemetry.reading.shock_ms2 IS 'Largest acceleration since the sample before, metres per second squared.';
COMMENT ON COLUMN telemetry.reading.battery_pct IS 'Battery charge, percent.';
COMMENT ON COLUMN telemetry.reading.rsrp_dbm IS 'Reference signal received power of the radio cell, dBm.';
COMMENT ON COLUMN telemetry.reading.latitude IS 'Latitude, degrees, WGS 84, north positive.';
COMMENT ON COLUMN telemetry.reading.longitude IS 'Longitude, degrees, WGS 84, east positive.';
COMMENT ON COLUMN telemetry.reading.altitude_m IS 'Altitude, metres.';
COMMENT ON COLUMN telemetry.reading.accuracy_m IS 'Accuracy of the position, metres.';
COMMENT ON COLUMN telemetry.reading.door_open IS 'True: the door or lid was open.';
COMMENT ON COLUMN telemetry.reading.tampered IS 'True: the device saw tampering.';
COMMENT ON COLUMN telemetry.reading.mains_power IS 'True: external power was present.';
COMMENT ON COLUMN telemetry.reading.flags IS
	'NULL: nothing special. Bit 0 (1): sensor fault, the temperature is kept and never judged.';
COMMENT ON COLUMN telemetry.reading.extra IS 'Everything else that the device said of this probe and moment, by name; NULL: nothing.';

-- A single expression without settings: it becomes part of the statement.
CREATE FUNCTION telemetry.number(probe smallint, epoch smallint, seq int) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT (probe::bigint << 48) | (epoch::bigint << 32) | (seq::bigint + 2147483648)
$$;
COMMENT ON FUNCTION telemetry.number(smallint, smallint, int) IS
	'telemetry.measurement.number of the first reading of a moment: sorts as (probe, epoch, seq). None of probe and epoch may be below 0; '
	'a probe less 32768 makes it that of a further one.';

CREATE FUNCTION telemetry.seldom(latitude double precision, longitude double precision, altitude_m real, accuracy_m real, light_lux real,
				 shock_ms2 real, rsrp_dbm real, flags smallint, door_open boolean, tampered boolean,
				 mains_power boolean, extra jsonb) RETURNS telemetry.seldom
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN num_nonnulls(latitude, longitude, altitude_m, accuracy_m, light_lux, shock_ms2, rsrp_dbm, flags, door_open, tampered,
		mains_power, extra) > 0
	THEN ROW(latitude, longitude, altitude_m, accuracy_m, light_lux, shock_ms2, rsrp_dbm, flags, door_open, tampered, mains_power,
		extra)::telemetry.seldom END
$$;
COMMENT ON FUNCTION telemetry.seldom(double precision, double precision, real, real, real, real, real, smallint, boolean, boolean, boolean,
				     jsonb) IS 'telemetry.measurement.seldom of a reading; NULL when it has nothing of it.';

-- A single SELECT without settings: it becomes part of the statement. Unnesting in the select list keeps rows out of a tuplestore.
CREATE FUNCTION telemetry.measurements(
	device_id int[], ts timestamptz[], received_at timestamptz[], seq int[], epoch smallint[], probe smallint[],
	temperature_c real[], humidity_pct real[], light_lux real[], shock_ms2 real[], battery_pct real[], rsrp_dbm real[],
	latitude double precision[], longitude double precision[], altitude_m real[], accuracy_m real[],
	door_open boolean[], tampered boolean[], mains_power boolean[], flags smallint[], extra text[])
RETURNS SETOF telemetry.measurement
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT n.ts, n.received_at, telemetry.number(n.probe, n.epoch, n.seq), n.device_id, n.temperature_c, n.humidity_pct, n.battery_pct,
		telemetry.seldom(n.latitude, n.longitude, n.altitude_m, n.accuracy_m, n.light_lux, n.shock_ms2, n.rsrp_dbm,
			n.flags, n.door_open, n.tampered, n.mains_power, n.extra::jsonb)
	FROM (SELECT unnest(device_id) AS device_id, unnest(ts) AS ts, unnest(received_at) AS received_at, unnest(seq) AS seq,
		unnest(epoch) AS epoch, unnest(probe) AS probe, unnest(temperature_c) AS temperature_c,
		unnest(humidity_pct) AS humidity_pct, unnest(light_lux) AS light_lux, unnest(shock_ms2) AS shock_ms2,
		unnest(battery_pct) AS battery_pct, unnest(rsrp_dbm) AS rsrp_dbm, unnest(latitude) AS latitude,
		unnest(longitude) AS longitude, unnest(altitude_m) AS altitude_m, unnest(accuracy_m) AS accuracy_m,
		unnest(door_open) AS door_open, unnest(tampered) AS tampered, unnest(mains_power) AS mains_power,
		unnest(flags) AS flags, unnest(extra) AS extra) AS n
$$;
COMMENT ON FUNCTION telemetry.measurements(
	int[], timestamptz[], timestamptz[], int[], smallint[], smallint[], real[], real[], real[], real[], real[], real[], double precision[],
	double precision[], real[], real[], boolean[], boolean[], boolean[], smallint[], text[]) IS
	'The rows of telemetry.measurement that the arrays of telemetry.store_readings are, in their order.';

CREATE FUNCTION telemetry.store_readings(
	device_id int[], ts timestamptz[], received_at timestamptz[], seq int[], epoch smallint[], probe smallint[],
	temperature_c real[], humidity_pct real[], light_lux real[], shock_ms2 real[], battery_pct real[], rsrp_dbm real[],
	latitude double precision[], longitude double precision[], altitude_m real[], accuracy_m real[],
	door_open boolean[], tampered boolean[], mains_power boolean[], flags smallint[], extra text[], fresh boolean,
	OUT stored int, OUT taken boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
	further int;
BEGIN
	taken := false;
	IF fresh THEN
		-- Finding a moment taken costs the rows before it, which are dead then; finding it free costs nothing. Where it is free, it
		-- is so for its further readings too: they are never stored without a first one.
		BEGIN
			INSERT INTO telemetry.measurement
			SELECT * FROM telemetry.measurements(device_id, ts, received_at, seq, epoch, probe, temperature_c, humidity_pct,
				light_lux, shock_ms2, battery_pct, rsrp_dbm, latitude, longitude, altitude_m, accuracy_m,
				door_open, tampered, mains_power, flags, extra);
			GET DIAGNOSTICS stored = ROW_COUNT;
			RETURN;
		EXCEPTION WHEN unique_violation THEN
			taken := true;
		END;
	END IF;

	INSERT INTO telemetry.measurement
	SELECT n.ts, n.received_at, n.number & 9223372036854775807, n.device_id, n.temperature_c, n.humidity_pct, n.battery_pct, n.seldom
	FROM telemetry.measurements(device_id, ts, received_at, seq, epoch, probe, temperature_c, humidity_pct,
		light_lux, shock_ms2, battery_pct, rsrp_dbm, latitude, longitude, altitude_m, accuracy_m,
		door_open, tampered, mains_power, flags, extra) AS n
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS stored = ROW_COUNT;
	IF stored = cardinality(store_readings.device_id) THEN
		RETURN;
	END IF;

	-- Somebody else has the moment: this reading, then it is here already, or another one, then this one is a further one.
	-- What other sessions committed while the statement before waited for them is seen by this one.
	INSERT INTO telemetry.measurement
	SELECT n.ts, n.received_at, n.number | bigint '-9223372036854775808', n.device_id, n.temperature_c, n.humidity_pct, n.battery_pct, n.seldom
	FROM telemetry.measurements(device_id, ts, received_at, seq, epoch, probe, temperature_c, humidity_pct,
		light_lux, shock_ms2, battery_pct, rsrp_dbm, latitude, longitude, altitude_m, accuracy_m,
		door_open, tampered, mains_power, flags, extra) AS n
	WHERE NOT EXISTS (SELECT FROM telemetry.measurement AS f WHERE f.device_id = n.device_id AND f.ts = n.ts
		AND f.number = n.number & 9223372036854775807)
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS further = ROW_COUNT;
	stored := stored + further;
END
$$;
COMMENT ON FUNCTION telemetry.store_readings(
	int[], timestamptz[], timestamptz[], int[], smallint[], smallint[], real[], real[], real[], real[], real[], real[], double precision[],
	double precision[], real[], real[], boolean[], boolean[], boolean[], smallint[], text[], boolean) IS
	'Stores readings, one array a column; one that is stored already, by (device_id, ts, probe, epoch, seq), stays as it is. Sorted by that '
	'key, so that sessions wait for each other in one order; one of the same moment as the row before and another sample has 32768 taken off '
	'its probe. stored: how many were new. fresh: nothing of their moments is expected to be there, which is tried first, in a '
	'subtransaction and at two thirds of the cost; taken: it was tried, and something was.';

CREATE FUNCTION telemetry.store_reading() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	packed CONSTANT bigint := telemetry.number(NEW.probe, NEW.epoch, NEW.seq);
	others CONSTANT telemetry.seldom := telemetry.seldom(NEW.latitude, NEW.longitude, NEW.altitude_m, NEW.accuracy_m, NEW.light_lux,
		NEW.shock_ms2, NEW.rsrp_dbm, NEW.flags, NEW.door_open, NEW.tampered, NEW.mains_power, NEW.extra);
BEGIN
	IF NEW.probe < 0 OR NEW.epoch < 0 THEN
		RAISE EXCEPTION 'probe and epoch: expected 0 or more' USING ERRCODE = 'check_violation';
	END IF;
	INSERT INTO telemetry.measurement (device_id, ts, received_at, number, temperature_c, humidity_pct, battery_pct, seldom)
	VALUES (NEW.device_id, NEW.ts, NEW.received_at, packed, NEW.temperature_c, NEW.humidity_pct, NEW.battery_pct, others)
	ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RETURN NEW;
	END IF;
	IF EXISTS (SELECT FROM telemetry.measurement AS m WHERE m.device_id = NEW.device_id AND m.ts = NEW.ts AND m.number = packed) THEN
		RETURN NULL;
	END IF;
	INSERT INTO telemetry.measurement (device_id, ts, received_at, number, temperature_c, humidity_pct, battery_pct, seldom)
	VALUES (NEW.device_id, NEW.ts, NEW.received_at, packed | bigint '-9223372036854775808', NEW.temperature_c, NEW.humidity_pct,
		NEW.battery_pct, others)
	ON CONFLICT DO NOTHING;
	RETURN CASE WHEN FOUND THEN NEW END;
END
$$;
COMMENT ON FUNCTION telemetry.store_reading() IS
	'Trigger: a row inserted into telemetry.reading is stored; one that is stored already is left as it is and not counted.';
CREATE TRIGGER store_reading INSTEAD OF INSERT ON telemetry.reading FOR EACH ROW EXECUTE FUNCTION telemetry.store_reading();

CREATE FUNCTION telemetry.partitions() RETURNS TABLE (name text, lower timestamptz, upper timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	SELECT child.relname::text, bound[1]::timestamptz, bound[2]::timestamptz
	FROM pg_inherits
	JOIN pg_class AS child ON child.oid = inhrelid
	CROSS JOIN regexp_match(pg_get_expr(child.relpartbound, child.oid), 'FROM \(''(.*)''\) TO \(''(.*)''\)') AS bound
	WHERE inhparent = 'telemetry.measurement'::regclass AND NOT inhdetachpending
	ORDER BY 2
$$;
COMMENT ON FUNCTION telemetry.partitions() IS 'The partitions of telemetry.measurement: readings with lower <= ts < upper.';

CREATE FUNCTION telemetry.ensure_partition(at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
DECLARE
	setting telemetry.setting;
	lower timestamptz;
	upper timestamptz;
	partition text;
	part record;
BEGIN
	IF EXISTS (SELECT FROM telemetry.partitions() AS p WHERE at >= p.lower AND at < p.upper) THEN
		RETURN NULL;
	END IF;
	SELECT * INTO STRICT setting FROM telemetry.setting;
	IF at IS NULL OR at < now() - make_interval(days => setting.retention_days)
			OR at > now() + interval '400 days' THEN
		RAISE EXCEPTION 'no partition for %: expected a time within the last % days or the next 400',
			at, setting.retention_days USING ERRCODE = 'datetime_field_overflow';
	END IF;
	PERFORM pg_advisory_xact_lock('telemetry.measurement'::regclass::oid::int, 1);
	IF EXISTS (SELECT FROM telemetry.partitions() AS p WHERE at >= p.lower AND at < p.upper) THEN
		RETURN NULL;
	END IF;
	-- 1900-01-01 was a Monday. Neighbours of another width, from before a change of the setting, cut the new one short.
	lower := date_bin(make_interval(days => setting.partition_days), at, timestamptz '1900-01-01 00:00Z');
	upper := lower + make_interval(days => setting.partition_days);
	lower := greatest(lower, (SELECT max(p.upper) FROM telemetry.partitions() AS p WHERE p.upper <= at));
	upper := least(upper, (SELECT min(p.lower) FROM telemetry.partitions() AS p WHERE p.lower > at));
	partition := 'reading_' || to_char(lower, 'YYYYMMDD');
	-- Attached, not created as a partition: that would lock all readings against every insert and query meanwhile.
	-- Rows never change, so the vacuum that inserts call for freezes them at once and need not come again.
	EXECUTE format('CREATE TABLE telemetry.%I (LIKE telemetry.measurement INCLUDING COMMENTS) PARTITION BY LIST ((number < 0))', partition);
	FOR part IN SELECT * FROM (VALUES ('first', 'false', 'device_id, ts', 'the first of a device at a moment'),
			('further', 'true', 'device_id, ts, number', 'further ones of the same moment'))
			AS p (name, is_further, key, what) LOOP
		EXECUTE format('CREATE TABLE telemetry.%I (LIKE telemetry.measurement INCLUDING COMMENTS, PRIMARY KEY (%s)) '
			       'WITH (autovacuum_freeze_min_age = 0)', partition || '_' || part.name, part.key);
		EXECUTE format('COMMENT ON TABLE telemetry.%I IS %L', partition || '_' || part.name,
			       format('Readings from %s until before %s UTC: %s.', lower::date, upper::date, part.what));
		EXECUTE format('ALTER TABLE telemetry.%I ATTACH PARTITION telemetry.%I FOR VALUES IN (%s)', partition,
			       partition || '_' || part.name, part.is_further);
	END LOOP;
	EXECUTE format('COMMENT ON TABLE telemetry.%I IS %L', partition,
		       format('Readings from %s until before %s UTC.', lower::date, upper::date));
	EXECUTE format('ALTER TABLE telemetry.measurement ATTACH PARTITION telemetry.%I FOR VALUES FROM (%L) TO (%L)',
		       partition, lower, upper);
	RETURN partition;
END
$$;
COMMENT ON FUNCTION telemetry.ensure_partition(timestamptz) IS
	'Makes the partition for readings of that moment unless there is one; returns its name when it was made, else NULL. '
	'A moment before the retention or more than 400 days ahead: datetime_field_overflow (22008).';

CREATE TABLE telemetry.device_state (
	device_id int PRIMARY KEY,
	epoch smallint NOT NULL DEFAULT 0,
	seq_high int NOT NULL DEFAULT -1,
	gaps int NOT NULL DEFAULT 0,
	received_at timestamptz,
	reading_ts timestamptz,
	temperature_ts timestamptz,
	humidity_ts timestamptz,
	battery_ts timestamptz,
	rsrp_ts timestamptz,
	position_ts timestamptz,
	door_ts timestamptz,
	tampered_ts timestamptz,
	power_ts timestamptz,
	clock_at timestamptz,
	latitude double precision,
	longitude double precision,
	altitude_m real,
	accuracy_m real,
	temperature_c real,
	humidity_pct real,
	battery_pct real,
	rsrp_dbm real,
	clock_offset_s real,
	door_open boolean,
	tampered boolean,
	mains_power boolean,
	watch_low real,
	watch_high real,
	watch_from timestamptz,
	watch_to timestamptz,
	watch_all boolean,
	rollup_from timestamptz,
	ask_at timestamptz,
	renumbered_at timestamptz
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE telemetry.device_state IS
	'The latest of each channel of a device, one row a device. A value is kept with the time at which it was measured; the newer one '
	'wins, of two at the same time the greater one, so the order of arrival does not matter. Only the primary key is indexed, and a '
	'page keeps room: an update then touches no index.';
COMMENT ON COLUMN telemetry.device_state.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.device_state.epoch IS 'Highest epoch that the device has numbered samples in.';
COMMENT ON COLUMN telemetry.device_state.seq_high IS
	'Highest sample number of that epoch that is stored or declared lost; -1: none.';
COMMENT ON COLUMN telemetry.device_state.gaps IS 'How many separate ranges of sample numbers below seq_high are missing in that epoch.';
COMMENT ON COLUMN telemetry.device_state.received_at IS 'When the device was last heard, by our clock.';
COMMENT ON COLUMN telemetry.device_state.reading_ts IS 'Time of its newest reading, by its clock.';
COMMENT ON COLUMN telemetry.device_state.temperature_ts IS 'When temperature_c was measured.';
COMMENT ON COLUMN telemetry.device_state.humidity_ts IS 'When humidity_pct was measured.';
COMMENT ON COLUMN telemetry.device_state.battery_ts IS 'When battery_pct was measured.';
COMMENT ON COLUMN telemetry.device_state.rsrp_ts IS 'When rsrp_dbm was measured.';
COMMENT ON COLUMN telemetry.device_state.position_ts IS 'When the position was measured.';
COMMENT ON COLUMN telemetry.device_state.door_ts IS 'When door_open was measured.';
COMMENT ON COLUMN telemetry.device_state.tampered_ts IS 'When tampered was measured.';
COMMENT ON COLUMN telemetry.device_state.power_ts IS 'When mains_power was measured.';
COMMENT ON COLUMN telemetry.device_state.clock_at IS 'When the pack that told clock_offset_s arrived, by our clock.';
COMMENT ON COLUMN telemetry.device_state.latitude IS 'Latitude, degrees, WGS 84, north positive.';
COMMENT ON COLUMN telemetry.device_state.longitude IS 'Longitude, degrees, WGS 84, east positive.';
COMMENT ON COLUMN telemetry.device_state.altitude_m IS 'Altitude at that position, metres; NULL: not told.';
COMMENT ON COLUMN telemetry.device_state.accuracy_m IS 'Accuracy of that position, metres; NULL: not told.';
COMMENT ON COLUMN telemetry.device_state.temperature_c IS 'Temperature of probe 0, degrees Celsius.';
COMMENT ON COLUMN telemetry.device_state.humidity_pct IS 'Relative humidity of probe 0, percent.';
COMMENT ON COLUMN telemetry.device_state.battery_pct IS 'Battery charge, percent.';
COMMENT ON COLUMN telemetry.device_state.rsrp_dbm IS 'Reference signal received power of the radio cell, dBm.';
COMMENT ON COLUMN telemetry.device_state.clock_offset_s IS 'The device''s clock minus ours at clock_at, seconds.';
COMMENT ON COLUMN telemetry.device_state.door_open IS 'True: the door or lid was open.';
COMMENT ON COLUMN telemetry.device_state.tampered IS 'True: the device saw tampering.';
COMMENT ON COLUMN telemetry.device_state.mains_power IS 'True: external power was present.';
COMMENT ON COLUMN telemetry.device_state.watch_low IS
	'A temperature of this or less is to be evaluated (coldchain.evaluate), degrees Celsius; NULL: the device watches nothing.';
COMMENT ON COLUMN telemetry.device_state.watch_high IS 'A temperature of this or more is to be evaluated, degrees Celsius.';
COMMENT ON COLUMN telemetry.device_state.watch_from IS 'From when on its readings are judged, in measurement time.';
COMMENT ON COLUMN telemetry.device_state.watch_to IS 'Until when, in measurement time.';
COMMENT ON COLUMN telemetry.device_state.watch_all IS
	'True: any reading is to be evaluated, for an excursion goes on, as far as readings reach, or an evaluation is due.';
COMMENT ON COLUMN telemetry.device_state.rollup_from IS
	'The oldest of its readings that analytics.refresh() has not seen, in measurement time; NULL: it has seen all.';
COMMENT ON COLUMN telemetry.device_state.ask_at IS
	'From when on the next message of the device is answered by asking again for what is missing, of any epoch; NULL: nothing was.';
COMMENT ON COLUMN telemetry.device_state.renumbered_at IS
	'When it last came, by our clock, that the device numbered a sample newer than all before with a number that was accounted for '
	'already, or in an epoch that it had left: it counts anew without raising its epoch. Noted once a day. NULL: never.';

CREATE FUNCTION telemetry.device_registered() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO telemetry.device_state (device_id) SELECT device_id FROM registered ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION telemetry.device_registered() IS
	'Trigger: a device has its row of latest state from the start, so storing its readings is an update and no more.';
CREATE TRIGGER device_registered AFTER INSERT ON fleet.device REFERENCING NEW TABLE AS registered
	FOR EACH STATEMENT EXECUTE FUNCTION telemetry.device_registered();
INSERT INTO telemetry.device_state (device_id) SELECT device_id FROM fleet.device;

CREATE TABLE telemetry.epoch (
	device_id int NOT NULL,
	epoch smallint NOT NULL,
	seq_high int NOT NULL,
	PRIMARY KEY (device_id, epoch)
);
COMMENT ON TABLE telemetry.epoch IS 'Epochs of a device before its latest one, which is in telemetry.device_state.';
COMMENT ON COLUMN telemetry.epoch.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.epoch.epoch IS 'The epoch.';
COMMENT ON COLUMN telemetry.epoch.seq_high IS 'Highest sample number of that epoch that is stored or declared lost.';

CREATE TABLE telemetry.gap (
	device_id int NOT NULL,
	epoch smallint NOT NULL,
	seq_from int NOT NULL,
	seq_to int NOT NULL,
	missing int4multirange NOT NULL,
	lost int4multirange NOT NULL,
	first_seen timestamptz NOT NULL,
	closed_at timestamptz,
	asked int NOT NULL DEFAULT 0,
	asked_at timestamptz,
	PRIMARY KEY (device_id, epoch, seq_from),
	CHECK (seq_from >= 0 AND seq_to >= seq_from),
	CHECK (isempty(missing) = (closed_at IS NOT NULL)),
	CHECK ((asked = 0) = (asked_at IS NULL))
);
-- A hole filled at random is rewritten often: not compressed, that costs a third less.
ALTER TABLE telemetry.gap ALTER missing SET STORAGE EXTERNAL;
CREATE INDEX gap_open ON telemetry.gap (device_id, epoch, seq_from) WHERE closed_at IS NULL;
COMMENT ON TABLE telemetry.gap IS
	'Sample numbers that were passed over, one row a hole as it was first seen. Numbers start at 0 in every epoch, so a first number '
	'of 800 leaves the hole 0 to 799.';
COMMENT ON COLUMN telemetry.gap.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.gap.epoch IS 'The epoch of the numbers.';
COMMENT ON COLUMN telemetry.gap.seq_from IS 'First missing number when the hole was seen.';
COMMENT ON COLUMN telemetry.gap.seq_to IS 'Last missing number when the hole was seen.';
COMMENT ON COLUMN telemetry.gap.missing IS 'Numbers still missing: neither stored nor declared lost.';
COMMENT ON COLUMN telemetry.gap.lost IS 'Numbers that the device declared lost while they were missing.';
COMMENT ON COLUMN telemetry.gap.first_seen IS 'When the message arrived that showed the hole.';
COMMENT ON COLUMN telemetry.gap.closed_at IS 'When the message arrived after which nothing was missing; NULL: open.';
COMMENT ON COLUMN telemetry.gap.asked IS
	'In how many rounds the device was asked for it: a receipt named numbers of it. What is told before the next round is due, see '
	'telemetry.ask_again_at(), is the same round.';
COMMENT ON COLUMN telemetry.gap.asked_at IS 'When the last round began, by our clock; NULL: none did.';

CREATE FUNCTION telemetry.first_missing(device_id int, epoch smallint) RETURNS int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT min(lower(g.missing)) FROM telemetry.gap AS g
	WHERE g.device_id = first_missing.device_id AND g.epoch = first_missing.epoch AND g.closed_at IS NULL
$$;
COMMENT ON FUNCTION telemetry.first_missing(int, smallint) IS 'The lowest sample number of the epoch that is in an open gap; NULL: there is none.';

-- A single expression without settings or subquery: it becomes part of the statement.
CREATE FUNCTION telemetry.complete_through(state telemetry.device_state) RETURNS int
LANGUAGE sql STABLE
AS $$
	SELECT CASE WHEN state.gaps = 0 THEN nullif(state.seq_high, -1) ELSE telemetry.first_missing(state.device_id, state.epoch) - 1 END
$$;
COMMENT ON FUNCTION telemetry.complete_through(telemetry.device_state) IS
	'Up to which sample number of its latest epoch nothing of a device is missing: each is stored or declared lost. NULL: none is '
	'accounted for; -1: already number 0 is missing. SELECT telemetry.complete_through(s) FROM telemetry.device_state AS s.';

CREATE TABLE telemetry.quarantine (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	first_received_at timestamptz NOT NULL,
	last_received_at timestamptz NOT NULL,
	kept_at timestamptz NOT NULL DEFAULT now(),
	device_id int,
	seen int NOT NULL,
	digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
	reason text NOT NULL CHECK (reason IN ('empty', 'too-large', 'syntax', 'senml', 'content', 'clock', 'topic',
					       'unknown-device', 'conflict', 'refused')),
	topic text NOT NULL,
	content_type text,
	detail text,
	replayed_at timestamptz,
	payload bytea NOT NULL
);
CREATE INDEX quarantine_last_received ON telemetry.quarantine (last_received_at);
CREATE INDEX quarantine_device ON telemetry.quarantine (device_id, id);
COMMENT ON TABLE telemetry.quarantine IS 'Messages that could not be stored as readings, whole or in part, byte for byte; one row a different message.';
COMMENT ON COLUMN telemetry.quarantine.id IS 'Number of the row.';
COMMENT ON COLUMN telemetry.quarantine.first_received_at IS 'When the message first arrived.';
COMMENT ON COLUMN telemetry.quarantine.last_received_at IS 'When the same message last arrived.';
COMMENT ON COLUMN telemetry.quarantine.kept_at IS 'When it was first kept, by the clock of the database.';
COMMENT ON COLUMN telemetry.quarantine.device_id IS 'The device of its topic, fleet.device; NULL: none is known.';
COMMENT ON COLUMN telemetry.quarantine.seen IS 'How often it arrived.';
COMMENT ON COLUMN telemetry.quarantine.digest IS 'SHA-256 of topic, a zero byte, payload: what makes two messages the same.';
COMMENT ON COLUMN telemetry.quarantine.reason IS
	'empty, too-large, syntax, senml, content, clock, topic: what decoding found; unknown-device: no such serial; conflict: a reading '
	'with the same key and other values is stored already; refused: the database would not store it.';
COMMENT ON COLUMN telemetry.quarantine.topic IS 'MQTT topic that it came on.';
COMMENT ON COLUMN telemetry.quarantine.content_type IS 'MQTT 5 content type that it came with; NULL: none.';
COMMENT ON COLUMN telemetry.quarantine.detail IS 'What is wrong, where, and what was expected, for a person.';
COMMENT ON COLUMN telemetry.quarantine.replayed_at IS 'When it was last decoded anew; NULL: never.';
COMMENT ON COLUMN telemetry.quarantine.payload IS 'The message''s payload.';

CREATE FUNCTION telemetry.quarantine_store(device_id int[], topic text[], payload bytea[], content_type text[],
					   received_at timestamptz[], reason text[], detail text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH message AS (
		SELECT *, sha256(convert_to(topic, 'UTF8') || '\x00' || payload) AS digest
		FROM unnest(device_id, topic, payload, content_type, received_at, reason, detail) WITH ORDINALITY
			AS m (device_id, topic, payload, content_type, received_at, reason, detail, place)
	), times AS (
		SELECT digest, min(place) AS place, min(received_at) AS first, max(received_at) AS last, count(*) AS seen
		FROM message GROUP BY digest
	)
	INSERT INTO telemetry.quarantine AS q
		(first_received_at, last_received_at, device_id, seen, digest, reason, topic, content_type, detail, payload)
	SELECT first, last, device_id, seen, digest, reason, topic, content_type, detail, payload
	FROM times JOIN message USING (digest, place)
	ORDER BY digest
	ON CONFLICT (digest) DO UPDATE SET
		seen = q.seen + excluded.seen,
		first_received_at = least(q.first_received_at, excluded.first_received_at),
		last_received_at = greatest(q.last_received_at, excluded.last_received_at)
$$;
COMMENT ON FUNCTION telemetry.quarantine_store(int[], text[], bytea[], text[], timestamptz[], text[], text[]) IS
	'Keeps messages that could not be stored as readings; one that is kept already is counted.';

CREATE FUNCTION telemetry.drop_partition(name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
	EXECUTE format('ALTER TABLE telemetry.measurement DETACH PARTITION telemetry.%I', name);
	EXECUTE format('DROP TABLE telemetry.%I', name);
	RETURN true;
EXCEPTION
	-- Somebody reads all readings, and whoever comes next would queue behind this lock: another time, then.
	WHEN lock_not_available OR deadlock_detected THEN
		RETURN false;
END
$$;
COMMENT ON FUNCTION telemetry.drop_partition(text) IS
	'Drops a partition of telemetry.measurement; false: it was in use for 200 ms and is still there.';

CREATE FUNCTION telemetry.maintain() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	setting telemetry.setting;
	partition text;
	purged bigint;
BEGIN
	IF NOT pg_try_advisory_xact_lock('telemetry.measurement'::regclass::oid::int, 2) THEN
		RETURN;
	END IF;
	SELECT * INTO STRICT setting FROM telemetry.setting;
	FOR step IN 0..setting.partitions_ahead LOOP
		partition := telemetry.ensure_partition(now() + make_interval(days => step * setting.partition_days));
		IF partition IS NOT NULL THEN
			RETURN NEXT format('created %s', partition);
		END IF;
	END LOOP;
	DELETE FROM telemetry.quarantine WHERE id IN (
		SELECT id FROM telemetry.quarantine
		WHERE last_received_at < now() - make_interval(days => setting.quarantine_days)
		ORDER BY last_received_at LIMIT 10000);
	GET DIAGNOSTICS purged = ROW_COUNT;
	IF purged > 0 THEN
		RETURN NEXT format('deleted %s quarantined messages', purged);
	END IF;
	FOR partition IN
		SELECT p.name FROM telemetry.partitions() AS p
		WHERE p.upper < now() - make_interval(days => setting.retention_days)
	LOOP
		RETURN NEXT format(CASE WHEN telemetry.drop_partition(partition) THEN 'dropped %s'
					ELSE 'postponed dropping %s: it is in use' END, partition);
	END LOOP;
END
$$;
COMMENT ON FUNCTION telemetry.maintain() IS
	'Makes partitions ahead, deletes what is older than the retention; call it every hour or so. Returns what it did, a line each; '
	'nothing while another session does the same.';

DO $$ BEGIN PERFORM telemetry.maintain(); END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA telemetry FROM PUBLIC;
GRANT USAGE ON SCHEMA telemetry TO coldfleet_ingest, coldfleet_bridge, coldfleet_analyst;
GRANT SELECT ON telemetry.reading, telemetry.measurement TO coldfleet_ingest;
GRANT EXECUTE ON FUNCTION telemetry.partitions(), telemetry.ensure_partition(timestamptz), telemetry.maintain(),
	telemetry.quarantine_store(int[], text[], bytea[], text[], timestamptz[], text[], text[]),
	telemetry.store_readings(
		int[], timestamptz[], timestamptz[], int[], smallint[], smallint[], real[], real[], real[], real[], real[], real[],
		double precision[], double precision[], real[], real[], boolean[], boolean[], boolean[], smallint[], text[], boolean)
	TO coldfleet_ingest;
GRANT SELECT ON telemetry.device_state TO coldfleet_bridge;
GRANT SELECT ON telemetry.reading, telemetry.measurement, telemetry.device_state, telemetry.epoch, telemetry.gap, telemetry.quarantine,
	telemetry.setting TO coldfleet_analyst;
GRANT EXECUTE ON FUNCTION telemetry.first_missing(int, smallint), telemetry.complete_through(telemetry.device_state) TO coldfleet_analyst;

COMMIT;
