-- SPDX-License-Identifier: Apache-2.0
-- Conditions of devices that alarm: an open door, tampering, no mains power, a low battery, a broken probe, silence. Ingest does
-- nothing for them: coldchain.watch() looks, every second or so, for devices whose latest state was written since it looked last and
-- may tell of any, and reads what they have measured since. What was told holds until something else is told. A condition is a row
-- from the moment of measurement at which it began; it alarms when it has lasted as long as coldchain.alarm_rule says.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

ALTER TABLE coldchain.alarm_rule ADD COLUMN wake interval CHECK (wake > '0') CHECK (kind = 'silence' OR wake IS NULL);
COMMENT ON COLUMN coldchain.alarm_rule.wake IS
	'Of silence: how often a device wakes whose configuration (wake_interval_s, reported or desired) does not say it. Otherwise NULL.';
UPDATE coldchain.alarm_rule SET wake = '1 hour' WHERE kind = 'silence';

CREATE TABLE coldchain.watch_state (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	seen pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
	looked_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO coldchain.watch_state DEFAULT VALUES;
COMMENT ON TABLE coldchain.watch_state IS 'How far coldchain.watch() is: one row, held by who is at it.';
COMMENT ON COLUMN coldchain.watch_state.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN coldchain.watch_state.seen IS 'What it has seen: states written by other transactions are news.';
COMMENT ON COLUMN coldchain.watch_state.looked_at IS 'When it looked last.';

CREATE TABLE coldchain.watched (
	device_id int PRIMARY KEY,
	looked_to timestamptz NOT NULL,
	mains boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE coldchain.watched IS 'How far the readings of a device were looked at for conditions, one row a device that has told of any.';
COMMENT ON COLUMN coldchain.watched.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN coldchain.watched.looked_to IS 'Its readings up to here, in measurement time, were looked at.';
COMMENT ON COLUMN coldchain.watched.mains IS 'True: it once said that it has mains power, so that being without is worth an alarm.';

CREATE TABLE coldchain.condition (
	kind text NOT NULL COLLATE "C" REFERENCES coldchain.alarm_kind,
	device_id int NOT NULL,
	probe smallint NOT NULL,
	since timestamptz NOT NULL,
	due_at timestamptz,
	body jsonb NOT NULL DEFAULT '{}',
	PRIMARY KEY (device_id, kind, probe)
);
CREATE INDEX condition_due ON coldchain.condition (due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE coldchain.condition IS 'What is the matter with devices now, one row a condition; gone when it ends.';
COMMENT ON COLUMN coldchain.condition.kind IS 'The kind of alarm.';
COMMENT ON COLUMN coldchain.condition.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN coldchain.condition.probe IS 'The probe; -1: the whole device.';
COMMENT ON COLUMN coldchain.condition.since IS 'Since when, in measurement time.';
COMMENT ON COLUMN coldchain.condition.due_at IS 'When it alarms if it lasts; infinity: not while its rule wants no such alarms; NULL: it has.';
COMMENT ON COLUMN coldchain.condition.body IS 'What the alarm will tell.';

CREATE FUNCTION coldchain.condition_key(probe smallint, since timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN concat_ws(' ', CASE WHEN probe >= 0 THEN 'p' || probe END, coldchain.json_time(since));
COMMENT ON FUNCTION coldchain.condition_key(smallint, timestamptz) IS 'The key of the alarm of a condition: probe and beginning.';

CREATE FUNCTION coldchain.shipment_of(device int, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT a.shipment_id::bigint FROM coldchain.assignment AS a WHERE a.device_id = device AND a.during @> at ORDER BY a.assignment_id LIMIT 1
$$;
COMMENT ON FUNCTION coldchain.shipment_of(int, timestamptz) IS 'The shipment that a device watched at a moment of measurement; NULL: none.';

CREATE FUNCTION coldchain.condition_alarm(c coldchain.condition) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coldchain.alarm_raise(c.kind, c.device_id, coldchain.shipment_of(c.device_id, c.due_at), nullif(c.probe, -1)::smallint,
		coldchain.condition_key(c.probe, c.since), c.due_at, false, c.body || jsonb_build_object('since', coldchain.json_time(c.since)))
$$;
COMMENT ON FUNCTION coldchain.condition_alarm(coldchain.condition) IS 'Raises the alarm of a condition.';

CREATE FUNCTION coldchain.condition_due(kind text, device_id int, since timestamptz, body jsonb) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN r.enabled THEN since + r.after + coalesce(make_interval(secs => (body ->> 'wake_interval_s')::float8), '0') ELSE 'infinity' END
	FROM coldchain.alarm_rule_of(kind, device_id) AS r
$$;
COMMENT ON FUNCTION coldchain.condition_due(text, int, timestamptz, jsonb) IS
	'When a condition alarms if it lasts, by the rule that counts now, of silence beyond the wake interval that its body tells; infinity: the '
	'rule wants no such alarms.';

CREATE FUNCTION coldchain.condition_begins(kind text, device_id int, probe smallint, since timestamptz, body jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO coldchain.condition (kind, device_id, probe, since, due_at, body)
	VALUES (condition_begins.kind, condition_begins.device_id, condition_begins.probe, condition_begins.since,
		coldchain.condition_due(condition_begins.kind, condition_begins.device_id, condition_begins.since, condition_begins.body), condition_begins.body)
	ON CONFLICT ON CONSTRAINT condition_pkey DO NOTHING;
END
$$;
COMMENT ON FUNCTION coldchain.condition_begins(text, int, smallint, timestamptz, jsonb) IS 'A condition holds since then, unless it does already.';

CREATE FUNCTION coldchain.condition_ends(kind text, device_id int, probe smallint, at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c coldchain.condition;
BEGIN
	DELETE FROM coldchain.condition AS x
	WHERE x.kind = condition_ends.kind AND x.device_id = condition_ends.device_id AND x.probe = condition_ends.probe AND x.since <= at RETURNING * INTO c;
	IF c.kind IS NULL THEN
		RETURN;
	END IF;
	-- It lasted long enough, which nobody knew before.
	IF c.due_at < at OR c.due_at = c.since THEN
		PERFORM coldchain.condition_alarm(c);
	END IF;
	PERFORM coldchain.alarm_clear(c.kind, c.device_id, coldchain.condition_key(c.probe, c.since), at);
END
$$;
COMMENT ON FUNCTION coldchain.condition_ends(text, int, smallint, timestamptz) IS
	'A condition, if it holds, ended then: its alarm is raised if that is still to be done, and cleared.';

CREATE FUNCTION coldchain.conditions_end_with_service() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM coldchain.condition_ends(c.kind, c.device_id, c.probe, greatest(c.since, now()))
	FROM (SELECT x.* FROM coldchain.condition AS x WHERE x.device_id = new.device_id OFFSET 0) AS c;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.conditions_end_with_service() IS
	'Trigger: nothing of a device that is banned or decommissioned goes on to be alarmed of. Excursions stay: they are evidence.';
CREATE TRIGGER conditions_end_with_service AFTER UPDATE OF state ON fleet.device
	FOR EACH ROW WHEN (new.state IN ('banned', 'decommissioned') AND old.state IS DISTINCT FROM new.state)
	EXECUTE FUNCTION coldchain.conditions_end_with_service();

CREATE FUNCTION coldchain.watch_devices(devices int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
	low CONSTANT real := (SELECT max(r.below) FROM coldchain.alarm_rule AS r WHERE r.kind = 'battery' AND r.enabled);
	r record;
BEGIN
	FOR r IN
		WITH news AS MATERIALIZED (
			-- Who has told nothing of these since the last look, and whose temperature is as new as its readings, is passed over.
			SELECT s.device_id, s.reading_ts, w.looked_to, coalesce(w.mains, false) AS mains FROM unnest(devices) AS d (id)
			JOIN telemetry.device_state AS s ON s.device_id = d.id LEFT JOIN coldchain.watched AS w ON w.device_id = d.id
			WHERE s.reading_ts > coalesce(w.looked_to, '-infinity') AND (s.temperature_ts IS DISTINCT FROM s.reading_ts
				OR greatest(s.door_ts, s.tampered_ts, s.power_ts) > coalesce(w.looked_to, '-infinity')
				OR EXISTS (SELECT FROM coldchain.condition AS c WHERE c.device_id = d.id AND c.kind = 'sensor'))
		), reading AS (
			SELECT n.device_id, n.mains, m.* FROM news AS n CROSS JOIN LATERAL (
				SELECT m.ts, m.probe, m.door_open, m.tampered, m.mains_power, m.flags, m.temperature_c FROM telemetry.reading AS m
				WHERE m.device_id = n.device_id AND m.ts > coalesce(n.looked_to, n.reading_ts - interval '2 days') AND m.ts <= n.reading_ts) AS m
		), told AS (
			SELECT t.device_id, t.mains, t.ts, v.kind, v.probe, v.bad, v.body,
				lag(v.bad) OVER (PARTITION BY t.device_id, v.kind, v.probe ORDER BY t.ts, v.bad) AS was,
				bool_or(t.mains_power) OVER (PARTITION BY t.device_id ORDER BY t.ts ROWS UNBOUNDED PRECEDING) AS had_mains
			FROM reading AS t CROSS JOIN LATERAL (VALUES
				('door', -1, t.door_open, NULL::jsonb), ('tamper', -1, t.tampered, NULL), ('power', -1, NOT t.mains_power, NULL),
				('sensor', t.probe::int, CASE WHEN t.flags & 1 = 1 THEN true WHEN t.temperature_c IS NOT NULL THEN false END,
				 jsonb_build_object('temperature_c', t.temperature_c))) AS v (kind, probe, bad, body)
			WHERE v.bad IS NOT NULL
		)
		SELECT o.* FROM told AS o WHERE o.bad IS DISTINCT FROM o.was AND (o.bad OR o.was OR EXISTS (
				SELECT FROM coldchain.condition AS c WHERE c.device_id = o.device_id AND c.kind = o.kind AND c.probe = o.probe))
			AND (o.kind <> 'power' OR NOT o.bad OR o.mains OR o.had_mains)
		ORDER BY o.device_id, o.ts, o.kind
	LOOP
		IF r.bad THEN
			PERFORM coldchain.condition_begins(r.kind, r.device_id, r.probe::smallint, r.ts, coalesce(r.body, '{}'));
		ELSE
			PERFORM coldchain.condition_ends(r.kind, r.device_id, r.probe::smallint, r.ts);
		END IF;
	END LOOP;
	INSERT INTO coldchain.watched AS w (device_id, looked_to, mains)
	SELECT s.device_id, s.reading_ts, coalesce(s.mains_power, false) FROM telemetry.device_state AS s
	WHERE s.device_id = ANY (devices) AND s.reading_ts IS NOT NULL
		AND coalesce(s.door_ts, s.tampered_ts, s.power_ts, CASE WHEN s.temperature_ts IS DISTINCT FROM s.reading_ts THEN s.reading_ts END) IS NOT NULL
	ON CONFLICT (device_id) DO UPDATE SET looked_to = greatest(w.looked_to, excluded.looked_to), mains = w.mains OR excluded.mains
	WHERE excluded.looked_to > w.looked_to;
	-- A battery is what it was last; what it was between does not matter.
	FOR r IN
		SELECT s.device_id, s.battery_ts, s.battery_pct, s.battery_pct < (coldchain.alarm_rule_of('battery', s.device_id)).below AS bad
		FROM telemetry.device_state AS s WHERE s.device_id = ANY (devices) AND (s.battery_pct < low OR EXISTS (
			SELECT FROM coldchain.condition AS c WHERE c.device_id = s.device_id AND c.kind = 'battery'))
		ORDER BY s.device_id
	LOOP
		IF r.bad THEN
			PERFORM coldchain.condition_begins('battery', r.device_id, -1::smallint, r.battery_ts, jsonb_build_object('battery_pct', r.battery_pct));
		ELSE
			PERFORM coldchain.condition_ends('battery', r.device_id, -1::smallint, r.battery_ts);
		END IF;
	END LOOP;
	-- Whoever is heard is silent no longer.
	PERFORM coldchain.condition_ends('silence', c.device_id, -1::smallint, s.received_at)
	FROM coldchain.condition AS c JOIN telemetry.device_state AS s USING (device_id)
	WHERE c.device_id = ANY (devices) AND c.kind = 'silence' AND s.received_at > c.since;
END
$$;
COMMENT ON FUNCTION coldchain.watch_devices(int[]) IS
	'Looks at what these devices have measured since it looked last, and begins and ends conditions. Of a device that it has not met it '
	'looks two days back. Readings that come after newer ones of their device are not looked at.';

CREATE FUNCTION coldchain.watch_due(most int) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c coldchain.condition;
	done int := 0;
BEGIN
	-- Once readings of the device reach so far, or nothing has come for as long: the end may be in a pack on its way.
	FOR c IN
		SELECT x.* FROM coldchain.condition AS x JOIN telemetry.device_state AS s USING (device_id)
		WHERE x.due_at <= now() AND (x.kind = 'silence' OR x.due_at = x.since OR s.reading_ts >= x.due_at OR s.received_at <= now() - (x.due_at - x.since))
		ORDER BY x.due_at LIMIT most FOR UPDATE OF x SKIP LOCKED
	LOOP
		UPDATE coldchain.condition AS x SET due_at = CASE WHEN coldchain.condition_alarm(c) IS NULL THEN timestamptz 'infinity' END
		WHERE x.device_id = c.device_id AND x.kind = c.kind AND x.probe = c.probe;
		done := done + 1;
	END LOOP;
	RETURN done;
END
$$;
COMMENT ON FUNCTION coldchain.watch_due(int) IS 'Raises the alarms of conditions that have lasted long enough, up to so many; returns how many.';

CREATE FUNCTION coldchain.watch_rules(most int) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE coldchain.condition AS c SET due_at = w.due_at FROM (
		SELECT x.device_id, x.kind, x.probe, coldchain.condition_due(x.kind, x.device_id, x.since, x.body) AS due_at FROM coldchain.condition AS x
		WHERE x.due_at = 'infinity' AND x.kind IN (SELECT r.kind FROM coldchain.alarm_rule AS r WHERE r.enabled)
			AND (coldchain.alarm_rule_of(x.kind, x.device_id)).enabled
		ORDER BY x.device_id, x.kind, x.probe LIMIT most FOR UPDATE SKIP LOCKED) AS w
	WHERE (c.device_id, c.kind, c.probe) = (w.device_id, w.kind, w.probe)
$$;
COMMENT ON FUNCTION coldchain.watch_rules(int) IS
	'Conditions that did not alarm because their rule wanted no such alarms do when the one that counts now wants them, up to so many.';

CREATE FUNCTION coldchain.watch_news(seen pg_snapshot, OUT told int[], OUT moved int[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- As telemetry.states_changed(), but all of the table as it lies: the whole fleet is looked at anyway.
	base CONSTANT xid8 := pg_snapshot_xmin(pg_current_snapshot());
	newest CONSTANT bigint := base::text::bigint + age(base::xid);
	reach CONSTANT bigint := newest - pg_snapshot_xmin(seen)::text::bigint;
	low CONSTANT real := (SELECT max(r.below) FROM coldchain.alarm_rule AS r WHERE r.kind = 'battery' AND r.enabled);
BEGIN
	-- Most have told of nothing but a temperature. That shows in the row that is at hand, so nothing else is asked about them.
	SELECT coalesce(array_agg(n.device_id ORDER BY n.device_id) FILTER (WHERE n.told), '{}'),
		coalesce(array_agg(n.device_id ORDER BY n.device_id) FILTER (WHERE n.moved), '{}') INTO told, moved
	FROM (SELECT s.device_id,
			coalesce(s.door_ts, s.tampered_ts, s.power_ts) IS NOT NULL OR s.temperature_ts IS DISTINCT FROM s.reading_ts OR s.battery_pct < low
				OR s.device_id IN (SELECT c.device_id FROM coldchain.condition AS c WHERE c.kind IN ('sensor', 'battery', 'silence')) AS told,
			s.position_ts IS NOT NULL AND s.device_id IN (SELECT a.device_id FROM coldchain.shipment AS p JOIN coldchain.assignment AS a USING (shipment_id)
				WHERE p.geofenced AND p.state IN ('ready', 'shipping')) AS moved
		FROM telemetry.device_state AS s
		WHERE age(s.xmin) <= reach AND NOT pg_visible_in_snapshot((greatest(newest - age(s.xmin), 3)::text)::xid8, seen) OFFSET 0) AS n
	WHERE n.told OR n.moved;
END
$$;
COMMENT ON FUNCTION coldchain.watch_news(pg_snapshot) IS
	'Of the devices whose row of telemetry.device_state was written by a transaction that the snapshot did not see, those for which '
	'coldchain.watch_devices() (told) and coldchain.stages_move() (moved) may have anything to do.';

CREATE FUNCTION coldchain.watch(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	this CONSTANT pg_snapshot := pg_current_snapshot();
	at coldchain.watch_state;
	news record;
BEGIN
	SELECT * INTO at FROM coldchain.watch_state FOR UPDATE SKIP LOCKED;
	IF at.one_row IS NULL THEN
		RETURN 0;
	END IF;
	SELECT * INTO news FROM coldchain.watch_news(at.seen);
	FOR n IN 1..cardinality(news.told) BY most LOOP
		PERFORM coldchain.watch_devices(news.told[n:n + most - 1]);
	END LOOP;
	FOR n IN 1..cardinality(news.moved) BY most LOOP
		PERFORM coldchain.stages_move(news.moved[n:n + most - 1]);
	END LOOP;
	UPDATE coldchain.watch_state SET looked_at = now(), seen = this;
	RETURN CASE WHEN coldchain.watch_due(most) = most THEN 1 ELSE 0 END;
END
$$;
COMMENT ON FUNCTION coldchain.watch(int) IS
	'Looks at the devices whose state has changed since the last call, so many at a time, and raises what is due, up to so many; 1: call it '
	'again at once. While somebody else is at it, nothing.';

-- By our clock, not by that of devices: silence is when nothing arrives.
CREATE FUNCTION coldchain.watch_silence(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	shortest CONSTANT interval := (SELECT min(r.after) FROM coldchain.alarm_rule AS r WHERE r.kind = 'silence' AND r.enabled);
	r record;
	done int := 0;
BEGIN
	PERFORM coldchain.watch_rules(most);
	-- When nobody at all is heard, it is not the devices that are silent.
	IF NOT EXISTS (SELECT FROM telemetry.device_state AS s WHERE s.received_at > now() - interval '10 minutes') THEN
		RETURN 0;
	END IF;
	FOR r IN
		SELECT q.* FROM (
			SELECT s.device_id, s.received_at, u.enabled, u.after, CASE WHEN s.battery_pct < 10 THEN greatest(w.wake, interval '24 hours') ELSE w.wake END AS wake
			FROM telemetry.device_state AS s JOIN fleet.device AS d USING (device_id)
			LEFT JOIN telemetry.device_status AS t USING (device_id) LEFT JOIN fleet.config_report AS p USING (device_id)
			-- As coldchain.alarm_rule_of() says, for all at once.
			LEFT JOIN coldchain.alarm_rule AS o ON o.kind = 'silence' AND o.device_id = s.device_id
			LEFT JOIN (SELECT DISTINCT ON (n.device_id) n.device_id AS member, x.* FROM coldchain.alarm_rule AS x JOIN fleet.group_member AS n USING (group_id)
				WHERE x.kind = 'silence' ORDER BY n.device_id, x.group_id) AS g ON g.member = s.device_id
			LEFT JOIN coldchain.alarm_rule AS m ON m.kind = 'silence' AND m.model_id = d.model_id
			LEFT JOIN coldchain.alarm_rule AS e ON e.kind = 'silence' AND num_nonnulls(e.model_id, e.group_id, e.device_id) = 0
			CROSS JOIN LATERAL (SELECT coalesce(o.enabled, g.enabled, m.enabled, e.enabled) AS enabled,
				coalesce(o.after, g.after, m.after, e.after) AS after, CASE WHEN o.rule_id IS NOT NULL THEN o.wake
				WHEN g.rule_id IS NOT NULL THEN g.wake WHEN m.rule_id IS NOT NULL THEN m.wake ELSE e.wake END AS wake) AS u
			CROSS JOIN LATERAL (SELECT coalesce(
				CASE WHEN jsonb_typeof(p.body -> 'wake_interval_s') = 'number' THEN make_interval(secs => least((p.body ->> 'wake_interval_s')::float8, 31536000)) END,
				(SELECT CASE WHEN jsonb_typeof(c.body -> 'wake_interval_s') = 'number' THEN make_interval(secs => least((c.body ->> 'wake_interval_s')::float8, 31536000)) END
				 FROM fleet.config AS c WHERE c.device_id = s.device_id ORDER BY c.version DESC LIMIT 1), u.wake, interval '1 hour') AS wake) AS w
			WHERE s.received_at < now() - shortest AND d.state = 'active' AND t.mcu_state IS DISTINCT FROM 'disabled'
				-- Below 5 % the radio stays off, in an aeroplane too: that is expected.
				AND (s.battery_pct < 5) IS NOT TRUE AND (p.body -> 'flight_mode' = 'true') IS NOT TRUE
				AND NOT EXISTS (SELECT FROM coldchain.condition AS c WHERE c.device_id = s.device_id AND c.kind = 'silence')) AS q
		WHERE q.enabled AND q.received_at < now() - q.after - q.wake ORDER BY q.device_id LIMIT most
	LOOP
		INSERT INTO coldchain.condition (kind, device_id, probe, since, due_at, body)
		VALUES ('silence', r.device_id, -1, r.received_at, r.received_at + r.after + r.wake, jsonb_build_object('wake_interval_s', extract(epoch FROM r.wake)))
		ON CONFLICT DO NOTHING;
		done := done + 1;
	END LOOP;
	RETURN CASE WHEN done = most THEN 1 ELSE 0 END;
END
$$;
COMMENT ON FUNCTION coldchain.watch_silence(int) IS
	'Finds up to so many devices that should have been heard: active, not turned off, not in flight mode (configuration flight_mode), not '
	'below 5 % battery, and not heard for their wake interval (a day below 10 %) and what the rule adds. 1: call it again at once. Call it once a minute. '
	'Conditions that waited for their rule to be enabled are found too.';

REVOKE ALL ON FUNCTION coldchain.conditions_end_with_service(), coldchain.condition_key(smallint, timestamptz), coldchain.shipment_of(int, timestamptz),
	coldchain.condition_alarm(coldchain.condition), coldchain.condition_due(text, int, timestamptz, jsonb), coldchain.condition_begins(text, int, smallint, timestamptz, jsonb),
	coldchain.condition_ends(text, int, smallint, timestamptz), coldchain.watch_devices(int[]), coldchain.watch_due(int), coldchain.watch(int), coldchain.watch_rules(int), coldchain.watch_news(pg_snapshot),
	coldchain.watch_silence(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.watch(int), coldchain.watch_silence(int), coldchain.evaluate(int) TO coldfleet_notify;

COMMIT;
