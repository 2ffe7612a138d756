-- SPDX-License-Identifier: Apache-2.0
-- Latest state, sequence numbers and receipts of a batch in one call. What is accounted for is a set of numbers, and all
-- that is kept follows from that set alone, so any order, repetition or batching of the same messages ends the same.
-- In the steady state (one range a device, which continues the last) a call is one HOT update a device.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

-- Facts and wishes of a batch come as lists; here they are put beside the devices. Both joins must hash: the planner
-- cannot know how long an array will be, expects ten elements and would loop. It is said in full, for the settings of the
-- caller hold here too: those of telemetry.advance() forbid to hash.
CREATE FUNCTION telemetry.align(device_id int[], q_device int[], q_epoch smallint[], q_first int[], q_last int[],
				q_lost boolean[], a_device int[], a_epoch smallint[],
				OUT f_epoch smallint[], OUT f_first int[], OUT f_last int[],
				OUT ask_epoch smallint[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_hashjoin = on
AS $$
	SELECT array_agg(f.epoch ORDER BY place), array_agg(f.first ORDER BY place), array_agg(f.last ORDER BY place),
		array_agg(CASE WHEN a.device_id IS NULL THEN -2 ELSE a.epoch END ORDER BY place)
	FROM unnest(device_id) WITH ORDINALITY AS d (device_id, place)
	LEFT JOIN (
		SELECT device_id, min(first) AS first, max(last) AS last,
			CASE WHEN count(*) = 1 AND NOT bool_or(coalesce(lost, false)) THEN min(epoch) ELSE -1 END AS epoch
		FROM unnest(q_device, q_epoch, q_first, q_last, q_lost) AS q (device_id, epoch, first, last, lost)
		GROUP BY device_id) AS f USING (device_id)
	LEFT JOIN (
		SELECT device_id, CASE WHEN count(*) = 1 THEN min(epoch) ELSE -1 END AS epoch
		FROM unnest(a_device, a_epoch) AS a (device_id, epoch)
		WHERE a.epoch IS DISTINCT FROM -2
		GROUP BY device_id) AS a USING (device_id)
$$;
COMMENT ON FUNCTION telemetry.align(int[], int[], smallint[], int[], int[], boolean[], int[], smallint[]) IS
	'Facts (f_) and asked receipts of a batch, put beside its devices; an epoch of -1 stands for several, see the lists; '
	'-2: no receipt is asked for.';

CREATE FUNCTION telemetry.facts_of(devices int[], device_id int[], received_at timestamptz[], q_device int[],
				   q_epoch smallint[], q_first int[], q_last int[], q_lost boolean[])
RETURNS TABLE (device_id int, epoch smallint, received_at timestamptz, stored int4multirange, lost int4multirange)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_hashjoin = on
AS $$
	SELECT q.device_id, q.epoch, min(d.received_at),
		coalesce(range_agg(int4range(q.first, q.last, '[]')) FILTER (WHERE q.lost IS NOT TRUE), '{}'),
		coalesce(range_agg(int4range(q.first, q.last, '[]')) FILTER (WHERE q.lost), '{}')
	FROM unnest(q_device, q_epoch, q_first, q_last, q_lost) AS q (device_id, epoch, first, last, lost)
	JOIN unnest(devices) AS w (device_id) USING (device_id)
	JOIN unnest(facts_of.device_id, facts_of.received_at) AS d (device_id, received_at) USING (device_id)
	GROUP BY q.device_id, q.epoch
$$;
COMMENT ON FUNCTION telemetry.facts_of(int[], int[], timestamptz[], int[], smallint[], int[], int[], boolean[]) IS
	'The sample numbers that a batch accounts for, as sets by device and epoch, of some of its devices.';

-- The caller holds the rows of telemetry.device_state of these devices, so nobody else changes what hangs on them.
CREATE FUNCTION telemetry.advance_sequences(devices int[], device_id int[], received_at timestamptz[], q_device int[],
					    q_epoch smallint[], q_first int[], q_last int[], q_lost boolean[],
					    OUT opened_device int[], OUT opened_epoch smallint[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	k_device int[];
	k_epoch smallint[];
	k_at timestamptz[];
	k_high int[];
	k_stored int4multirange[];
	k_lost int4multirange[];
	unseen boolean;
BEGIN
	SELECT array_agg(f.device_id ORDER BY f.device_id, f.epoch), array_agg(f.epoch ORDER BY f.device_id, f.epoch),
		array_agg(f.received_at ORDER BY f.device_id, f.epoch),
		array_agg(coalesce(s.seq_high, e.seq_high, -1) ORDER BY f.device_id, f.epoch),
		array_agg(f.stored ORDER BY f.device_id, f.epoch), array_agg(f.lost - f.stored ORDER BY f.device_id, f.epoch),
		bool_or(s.device_id IS NULL AND e.device_id IS NULL)
	INTO k_device, k_epoch, k_at, k_high, k_stored, k_lost, unseen
	FROM telemetry.facts_of(devices, advance_sequences.device_id, advance_sequences.received_at,
				q_device, q_epoch, q_first, q_last, q_lost) AS f
	LEFT JOIN telemetry.device_state AS s ON s.device_id = f.device_id AND s.epoch = f.epoch
	LEFT JOIN telemetry.epoch AS e ON e.device_id = f.device_id AND e.epoch = f.epoch;

	IF unseen THEN
		PERFORM telemetry.note_epochs(k_device, k_epoch);
	END IF;

	-- A hole that is filled at random is a long multirange: each operation on it counts.
	UPDATE telemetry.gap AS g SET
		missing = g.missing - k.told,
		lost = CASE WHEN isempty(k.lost) THEN g.lost ELSE g.lost + g.missing * k.lost END,
		-- What fills a hole can have come before what showed it, over another connection.
		closed_at = CASE WHEN g.missing <@ k.told THEN greatest(k.at, g.first_seen) END
	FROM (SELECT *, u.stored + u.lost AS told
	      FROM unnest(k_device, k_epoch, k_at, k_stored, k_lost) AS u (device_id, epoch, at, stored, lost)
	      OFFSET 0) AS k
	WHERE g.device_id = k.device_id AND g.epoch = k.epoch AND g.closed_at IS NULL
		AND g.seq_from < upper(k.told) AND g.missing && k.told;

	WITH opened AS (
		INSERT INTO telemetry.gap AS g (device_id, epoch, seq_from, seq_to, missing, lost, first_seen, closed_at)
		SELECT k.device_id, k.epoch, lower(hole), upper(hole) - 1, hole - k.lost, hole * k.lost, k.at,
			CASE WHEN hole <@ k.lost THEN k.at END
		FROM unnest(k_device, k_epoch, k_at, k_high, k_stored, k_lost) AS k (device_id, epoch, at, high, stored, lost)
		CROSS JOIN unnest(int4multirange(int4range(k.high, greatest(k.high + 1, upper(k.stored + k.lost)), '()'))
				  - k.stored) AS h (range)
		CROSS JOIN int4multirange(h.range) AS hole
		RETURNING g.device_id, g.epoch, g.closed_at)
	SELECT array_agg(o.device_id), array_agg(o.epoch) INTO opened_device, opened_epoch
	FROM (SELECT DISTINCT n.device_id, n.epoch FROM opened AS n WHERE n.closed_at IS NULL) AS o;

	WITH reached AS (
		SELECT k.device_id, k.epoch, greatest(k.high, upper(k.stored + k.lost) - 1) AS seq_high
		FROM unnest(k_device, k_epoch, k_high, k_stored, k_lost) AS k (device_id, epoch, high, stored, lost)
		UNION ALL
		SELECT s.device_id, s.epoch, s.seq_high FROM telemetry.device_state AS s
		WHERE s.device_id = ANY (devices) AND s.seq_high >= 0
	), best AS (
		SELECT r.device_id, r.epoch, max(r.seq_high) AS seq_high,
			max(r.epoch) OVER (PARTITION BY r.device_id) = r.epoch AS latest
		FROM reached AS r GROUP BY r.device_id, r.epoch
	), past AS (
		INSERT INTO telemetry.epoch AS e (device_id, epoch, seq_high)
		SELECT b.device_id, b.epoch, b.seq_high FROM best AS b WHERE NOT b.latest ORDER BY 1, 2
		ON CONFLICT ON CONSTRAINT epoch_pkey DO UPDATE SET seq_high = greatest(e.seq_high, excluded.seq_high)
	)
	UPDATE telemetry.device_state AS s SET
		epoch = b.epoch,
		seq_high = b.seq_high,
		gaps = (SELECT count(*) FROM telemetry.gap AS g CROSS JOIN unnest(g.missing)
			WHERE g.device_id = b.device_id AND g.epoch = b.epoch AND g.closed_at IS NULL)
	FROM best AS b
	WHERE s.device_id = b.device_id AND b.latest;
END
$$;
COMMENT ON FUNCTION telemetry.advance_sequences(int[], int[], timestamptz[], int[], smallint[], int[], int[], boolean[]) IS
	'Accounts for sample numbers that do not simply continue: fills and opens gaps, moves on to a new epoch. Returns where a gap '
	'was opened that is still open.';

CREATE FUNCTION telemetry.receipts(of_device int[], of_epoch smallint[], a_device int[], a_epoch smallint[])
RETURNS TABLE (device_id int, epoch smallint, through int, missing int[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
	SELECT k.device_id, k.epoch, coalesce(hole.cut, CASE WHEN k.epoch = s.epoch THEN s.seq_high ELSE e.seq_high END, -1),
		coalesce(hole.bounds, '{}')
	FROM (SELECT DISTINCT w.device_id, coalesce(w.epoch, c.epoch) AS epoch
	      FROM (SELECT * FROM unnest(of_device, of_epoch) AS o (device_id, epoch) WHERE epoch IS DISTINCT FROM -1
		    UNION ALL
		    SELECT * FROM unnest(a_device, a_epoch) AS a (device_id, epoch)
		    WHERE a.device_id IN (SELECT o.device_id FROM unnest(of_device, of_epoch) AS o (device_id, epoch)
					  WHERE o.epoch = -1)) AS w
	      JOIN telemetry.device_state AS c ON c.device_id = w.device_id) AS k
	JOIN telemetry.device_state AS s ON s.device_id = k.device_id
	LEFT JOIN telemetry.epoch AS e ON e.device_id = k.device_id AND e.epoch = k.epoch
	CROSS JOIN LATERAL (
		SELECT min(first) FILTER (WHERE place = 33) - 1 AS cut,
			array_agg(bound ORDER BY place, bound) FILTER (WHERE place <= 32) AS bounds
		FROM (SELECT lower(m) AS first, upper(m) - 1 AS last, row_number() OVER (ORDER BY lower(m)) AS place
		      FROM telemetry.gap AS g CROSS JOIN unnest(g.missing) AS m
		      WHERE g.device_id = k.device_id AND g.epoch = k.epoch AND g.closed_at IS NULL
		      ORDER BY 1 LIMIT 33) AS h
		CROSS JOIN LATERAL (VALUES (first), (last)) AS v (bound)) AS hole
$$;
COMMENT ON FUNCTION telemetry.receipts(int[], smallint[], int[], smallint[]) IS
	'What is stored of an epoch (NULL: the latest) of devices: all numbers up to through but for the ranges in missing '
	'(from, to, from, to...; at most 32, through ends before the 33rd). through is -1 when no number is accounted for. '
	'An epoch of -1 stands for those of that device in the second pair of lists.';

-- Without SET, so that the planner puts their bodies in place of the calls; their callers have fixed the search path.
CREATE FUNCTION telemetry.later(new_ts timestamptz, new_value anyelement, old_ts timestamptz, old_value anyelement)
RETURNS anyelement
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN old_ts IS NULL OR (new_ts, new_value) > (old_ts, old_value) THEN new_value ELSE old_value END
$$;
COMMENT ON FUNCTION telemetry.later(timestamptz, anyelement, timestamptz, anyelement) IS
	'The value measured later; of two at the same time the greater one.';

CREATE FUNCTION telemetry.position_wins(new_ts timestamptz, new_lat double precision, new_lon double precision, new_alt real,
					new_acc real, old_ts timestamptz, old_lat double precision,
					old_lon double precision, old_alt real, old_acc real)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	-- CASE, for OR and AND would compare the records of all that bring no position: with a NULL beside them they decide.
	SELECT CASE WHEN new_ts = old_ts
		THEN record_gt(ROW(new_lat, new_lon, new_alt, new_acc), ROW(old_lat, old_lon, old_alt, old_acc))
		ELSE old_ts IS NULL OR new_ts > old_ts END
$$;
COMMENT ON FUNCTION telemetry.position_wins(timestamptz, double precision, double precision, real, real, timestamptz,
					    double precision, double precision, real, real) IS
	'True when the new position was measured later, or at the same time and sorts higher (an absent part highest).';

CREATE FUNCTION telemetry.advance(
	device_id int[], received_at timestamptz[], reading_ts timestamptz[],
	temperature_c real[], temperature_ts timestamptz[], humidity_pct real[], humidity_ts timestamptz[],
	battery_pct real[], battery_ts timestamptz[], rsrp_dbm real[], rsrp_ts timestamptz[],
	latitude double precision[], longitude double precision[], altitude_m real[], accuracy_m real[],
	position_ts timestamptz[], door_open boolean[], door_ts timestamptz[], tampered boolean[], tampered_ts timestamptz[],
	mains_power boolean[], power_ts timestamptz[], clock_offset_s real[], clock_at timestamptz[],
	q_device int[], q_epoch smallint[], q_first int[], q_last int[], q_lost boolean[],
	a_device int[], a_epoch smallint[],
	lowest_c real[] DEFAULT NULL, highest_c real[] DEFAULT NULL, oldest_ts timestamptz[] DEFAULT NULL)
RETURNS TABLE (receipt_device int, receipt_epoch smallint, through int, missing int[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	f_epoch smallint[] := q_epoch;
	f_first int[] := q_first;
	f_last int[] := q_last;
	asks CONSTANT boolean := coalesce(cardinality(a_device) > 0, false);
	w_epoch smallint[] := a_epoch;
	known int;
	r_device int[];
	r_epoch smallint[];
	r_high int[];
	ask_device int[];
	open_asked smallint[];
	slow int[];
	open_device int[];
	open_epoch smallint[];
	due int[];
	due_since timestamptz[];
	again int[];
	opened int[];
	renumbered int[];
BEGIN
	IF (cardinality(q_device) > 0 AND (q_device <> advance.device_id OR true = ANY (q_lost)))
			OR (cardinality(a_device) > 0 AND a_device <> advance.device_id) THEN
		SELECT * INTO f_epoch, f_first, f_last, w_epoch
		FROM telemetry.align(advance.device_id, q_device, q_epoch, q_first, q_last, q_lost, a_device, a_epoch);
	END IF;

	-- With the settings above a plan can only visit rows in the order of the arrays or of the primary key, so every session
	-- locks them by rising device_id, and none waits for another in a circle.
	WITH state AS (
		UPDATE telemetry.device_state AS s SET
			-- A clock of ingest that was ahead must not make a device seem heard, and asked, for as long.
			received_at = greatest(s.received_at, least(d.received_at, now())),
			reading_ts = greatest(s.reading_ts, d.reading_ts),
			temperature_c = telemetry.later(d.temperature_ts, d.temperature_c, s.temperature_ts, s.temperature_c),
			temperature_ts = greatest(s.temperature_ts, d.temperature_ts),
			humidity_pct = telemetry.later(d.humidity_ts, d.humidity_pct, s.humidity_ts, s.humidity_pct),
			humidity_ts = greatest(s.humidity_ts, d.humidity_ts),
			battery_pct = telemetry.later(d.battery_ts, d.battery_pct, s.battery_ts, s.battery_pct),
			battery_ts = greatest(s.battery_ts, d.battery_ts),
			rsrp_dbm = telemetry.later(d.rsrp_ts, d.rsrp_dbm, s.rsrp_ts, s.rsrp_dbm),
			rsrp_ts = greatest(s.rsrp_ts, d.rsrp_ts),
			latitude = CASE WHEN telemetry.position_wins(
					d.position_ts, d.latitude, d.longitude, d.altitude_m, d.accuracy_m,
					s.position_ts, s.latitude, s.longitude, s.altitude_m, s.accuracy_m)
				THEN d.latitude ELSE s.latitude END,
			longitude = CASE WHEN telemetry.position_wins(
					d.position_ts, d.latitude, d.longitude, d.altitude_m, d.accuracy_m,
					s.position_ts, s.latitude, s.longitude, s.altitude_m, s.accuracy_m)
				THEN d.longitude ELSE s.longitude END,
			altitude_m = CASE WHEN telemetry.position_wins(
					d.position_ts, d.latitude, d.longitude, d.altitude_m, d.accuracy_m,
					s.position_ts, s.latitude, s.longitude, s.altitude_m, s.accuracy_m)
				THEN d.altitude_m ELSE s.altitude_m END,
			accuracy_m = CASE WHEN telemetry.position_wins(
					d.position_ts, d.latitude, d.longitude, d.altitude_m, d.accuracy_m,
					s.position_ts, s.latitude, s.longitude, s.altitude_m, s.accuracy_m)
				THEN d.accuracy_m ELSE s.accuracy_m END,
			position_ts = greatest(s.position_ts, d.position_ts),
			door_open = telemetry.later(d.door_ts, d.door_open, s.door_ts, s.door_open),
			door_ts = greatest(s.door_ts, d.door_ts),
			tampered = telemetry.later(d.tampered_ts, d.tampered, s.tampered_ts, s.tampered),
			tampered_ts = greatest(s.tampered_ts, d.tampered_ts),
			mains_power = telemetry.later(d.power_ts, d.mains_power, s.power_ts, s.mains_power),
			power_ts = greatest(s.power_ts, d.power_ts),
			clock_offset_s = telemetry.later(d.clock_at, d.clock_offset_s, s.clock_at, s.clock_offset_s),
			clock_at = greatest(s.clock_at, d.clock_at),
			seq_high = CASE WHEN d.epoch = s.epoch AND s.gaps = 0 AND d.first - 1 <= s.seq_high
				THEN greatest(s.seq_high, d.last) ELSE s.seq_high END,
			-- A reading outside of the limits, or older than one that is here, of the time that is judged.
			watch_all = CASE WHEN s.watch_low IS NULL THEN NULL WHEN s.watch_all THEN true
				WHEN (d.lowest_c <= s.watch_low OR d.highest_c >= s.watch_high OR d.oldest_ts < s.reading_ts)
					AND d.oldest_ts < s.watch_to AND d.reading_ts >= s.watch_from THEN true END,
			rollup_from = least(s.rollup_from, d.oldest_ts),
			-- A known number with a sample that is newer than all before; in gaps other than from 0 on, a clock may have been set.
			renumbered_at = CASE WHEN (d.last <= s.seq_high OR d.epoch < s.epoch) AND d.reading_ts > s.reading_ts
					AND (d.epoch = s.epoch AND (s.gaps = 0 OR d.first = 0) OR d.epoch BETWEEN 0 AND s.epoch - 1)
					AND (s.renumbered_at < d.received_at - interval '1 day') IS NOT FALSE
				THEN d.received_at ELSE s.renumbered_at END
		FROM (SELECT unnest(advance.device_id) AS device_id,
			unnest(advance.received_at) AS received_at,
			unnest(advance.reading_ts) AS reading_ts,
			unnest(advance.temperature_c) AS temperature_c,
			unnest(advance.temperature_ts) AS temperature_ts,
			unnest(advance.humidity_pct) AS humidity_pct,
			unnest(advance.humidity_ts) AS humidity_ts,
			unnest(advance.battery_pct) AS battery_pct,
			unnest(advance.battery_ts) AS battery_ts,
			unnest(advance.rsrp_dbm) AS rsrp_dbm,
			unnest(advance.rsrp_ts) AS rsrp_ts,
			unnest(advance.latitude) AS latitude,
			unnest(advance.longitude) AS longitude,
			unnest(advance.altitude_m) AS altitude_m,
			unnest(advance.accuracy_m) AS accuracy_m,
			unnest(advance.position_ts) AS position_ts,
			unnest(advance.door_open) AS door_open,
			unnest(advance.door_ts) AS door_ts,
			unnest(advance.tampered) AS tampered,
			unnest(advance.tampered_ts) AS tampered_ts,
			unnest(advance.mains_power) AS mains_power,
			unnest(advance.power_ts) AS power_ts,
			unnest(advance.clock_offset_s) AS clock_offset_s,
			unnest(advance.clock_at) AS clock_at,
			unnest(f_epoch) AS epoch, unnest(f_first) AS first, unnest(f_last) AS last, unnest(w_epoch) AS ask_epoch,
			unnest(advance.lowest_c) AS lowest_c, unnest(advance.highest_c) AS highest_c,
			unnest(advance.oldest_ts) AS oldest_ts) AS d
		WHERE s.device_id = d.device_id
		-- Of the row as it is now: had the range been taken, this would still hold; had it not, it would still not.
		RETURNING s.device_id, s.epoch, s.seq_high, s.gaps, d.ask_epoch,
			d.first IS NOT NULL AND NOT (d.epoch = s.epoch AND s.gaps = 0 AND d.first - 1 <= s.seq_high) AS slow,
			s.ask_at <= s.received_at AS again, s.renumbered_at = d.received_at AS renumbered,
			d.oldest_ts, s.watch_all AND d.oldest_ts < s.watch_to AND d.reading_ts >= s.watch_from AS due)
	SELECT count(*), array_agg(n.device_id) FILTER (WHERE n.slow),
		array_agg(n.device_id) FILTER (WHERE n.answer), array_agg(n.epoch) FILTER (WHERE n.answer),
		array_agg(n.seq_high) FILTER (WHERE n.answer),
		array_agg(n.device_id) FILTER (WHERE n.asked AND NOT n.answer), array_agg(n.ask_epoch) FILTER (WHERE n.asked AND NOT n.answer),
		array_agg(n.device_id) FILTER (WHERE n.due), array_agg(n.oldest_ts) FILTER (WHERE n.due),
		array_agg(n.device_id) FILTER (WHERE n.again), array_agg(n.device_id) FILTER (WHERE n.renumbered)
	INTO known, slow, r_device, r_epoch, r_high, ask_device, open_asked, due, due_since, again, renumbered
	FROM (SELECT s.*, s.asked AND NOT s.slow AND s.gaps = 0 AND (s.ask_epoch IS NULL OR s.ask_epoch = s.epoch) AS answer
	      FROM (SELECT w.*, asks AND w.ask_epoch IS DISTINCT FROM -2 AS asked FROM state AS w OFFSET 0) AS s) AS n;

	-- Devices have their row from registration on. Should one lack it, it is made, and all is done again: that is harmless.
	IF cardinality(advance.device_id) > known THEN
		INSERT INTO telemetry.device_state AS s (device_id)
		SELECT d FROM unnest(advance.device_id) AS d ORDER BY d ON CONFLICT DO NOTHING;
		RETURN QUERY SELECT * FROM telemetry.advance(advance.device_id, advance.received_at, advance.reading_ts,
			advance.temperature_c, advance.temperature_ts, advance.humidity_pct, advance.humidity_ts,
			advance.battery_pct, advance.battery_ts, advance.rsrp_dbm, advance.rsrp_ts,
			advance.latitude, advance.longitude, advance.altitude_m, advance.accuracy_m, advance.position_ts,
			advance.door_open, advance.door_ts, advance.tampered, advance.tampered_ts,
			advance.mains_power, advance.power_ts, advance.clock_offset_s, advance.clock_at,
			q_device, q_epoch, q_first, q_last, q_lost, a_device, a_epoch, lowest_c, highest_c, oldest_ts);
		RETURN;
	END IF;
	IF due IS NOT NULL THEN
		INSERT INTO coldchain.due (device_id, since) SELECT unnest(due), unnest(due_since);
	END IF;

	IF renumbered IS NOT NULL THEN
		PERFORM telemetry.note_renumbered(renumbered);
	END IF;

	IF slow IS NOT NULL THEN
		SELECT * INTO open_device, open_epoch
		FROM telemetry.advance_sequences(slow, advance.device_id, advance.received_at,
						 q_device, q_epoch, q_first, q_last, q_lost);
	END IF;
	RETURN QUERY SELECT unnest(r_device), unnest(r_epoch), unnest(r_high), '{}'::int[];
	opened := open_device;
	open_device := open_device || ask_device;
	open_epoch := open_epoch || open_asked;
	IF again IS NOT NULL OR opened IS NOT NULL THEN
		RETURN QUERY SELECT * FROM telemetry.ask_again(again, opened, open_device, open_epoch, a_device, a_epoch);
	ELSIF open_device IS NOT NULL THEN
		RETURN QUERY SELECT * FROM telemetry.receipts(open_device, open_epoch, a_device, a_epoch);
	END IF;
END
$$;
COMMENT ON FUNCTION telemetry.advance(
	int[], timestamptz[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[],
	timestamptz[], double precision[], double precision[], real[], real[], timestamptz[], boolean[], timestamptz[],
	boolean[], timestamptz[], boolean[], timestamptz[], real[], timestamptz[], int[], smallint[], int[], int[], boolean[],
	int[], smallint[], real[], real[], timestamptz[]) IS
	'Brings the latest state of devices up to a batch, accounts for its sample numbers and returns the receipts to be sent; marks devices '
	'whose readings have to be evaluated. '
	'See the statement ingest_advance for the arrays.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA telemetry FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry.advance(
	int[], timestamptz[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[],
	timestamptz[], double precision[], double precision[], real[], real[], timestamptz[], boolean[], timestamptz[],
	boolean[], timestamptz[], boolean[], timestamptz[], real[], timestamptz[], int[], smallint[], int[], int[], boolean[],
	int[], smallint[], real[], real[], timestamptz[]) TO coldfleet_ingest;

COMMIT;
