-- SPDX-License-Identifier: Apache-2.0
-- What trackers say about themselves: firmware by slot, boot count, radio module and SIM, configuration in force, state of
-- the controller. The latest by boot count and time since that boot is kept whole, whatever order they come in; what it
-- changed goes to fleet.history. What was expected stays what people entered, and the view beside it shows where they differ.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE telemetry.device_status (
	device_id int PRIMARY KEY,
	boot int NOT NULL,
	uptime_s double precision NOT NULL,
	received_at timestamptz NOT NULL,
	body jsonb NOT NULL,
	clock timestamptz GENERATED ALWAYS AS (to_timestamp((body ->> 'clock')::double precision)) STORED,
	mcu_state text GENERATED ALWAYS AS (body ->> 'mcu') STORED CHECK (mcu_state IN ('running', 'disabled')),
	slot text GENERATED ALWAYS AS (body #>> '{firmware,running}') STORED,
	firmware text COLLATE "C" GENERATED ALWAYS AS (body #>> ARRAY['firmware', 'slots', body #>> '{firmware,running}']) STORED
		CHECK (length(firmware) BETWEEN 1 AND 64),
	imei text COLLATE "C" GENERATED ALWAYS AS (body #>> '{module,imei}') STORED CHECK (imei ~ '^[0-9]{15}$'),
	iccid text COLLATE "C" GENERATED ALWAYS AS (body #>> '{module,iccid}') STORED CHECK (iccid ~ '^[0-9]{18,20}$'),
	imsi text COLLATE "C" GENERATED ALWAYS AS (body #>> '{module,imsi}') STORED CHECK (imsi ~ '^[0-9]{6,15}$'),
	module_model text GENERATED ALWAYS AS (body #>> '{module,model}') STORED CHECK (length(module_model) <= 64),
	module_firmware text GENERATED ALWAYS AS (body #>> '{module,firmware}') STORED CHECK (length(module_firmware) <= 64),
	config_version int GENERATED ALWAYS AS ((body #>> '{config,version}')::int) STORED,
	history_day date NOT NULL DEFAULT '-infinity',
	history_count int NOT NULL DEFAULT 0
);
CREATE INDEX device_status_iccid ON telemetry.device_status (iccid);
COMMENT ON TABLE telemetry.device_status IS
	'The latest status of a device, one row a device that ever sent one. Latest is the one of the highest boot count, of these the one '
	'with the longest time since that boot; the clock does not count, since it may be set back. Of two with both equal the greater body.';
COMMENT ON COLUMN telemetry.device_status.device_id IS 'The device, fleet.device.';
COMMENT ON COLUMN telemetry.device_status.boot IS 'How often the device had started when it said so.';
COMMENT ON COLUMN telemetry.device_status.uptime_s IS 'Seconds since that start, by a clock that is never set.';
COMMENT ON COLUMN telemetry.device_status.received_at IS 'When it arrived, by our clock.';
COMMENT ON COLUMN telemetry.device_status.body IS 'All of it as it came (docs/protocol.md); the columns that follow are parts of it.';
COMMENT ON COLUMN telemetry.device_status.clock IS 'What the device''s clock said; NULL: it has none that it trusts.';
COMMENT ON COLUMN telemetry.device_status.mcu_state IS 'running; disabled: turned off by a command, which only a command undoes.';
COMMENT ON COLUMN telemetry.device_status.slot IS 'The firmware slot that it runs from.';
COMMENT ON COLUMN telemetry.device_status.firmware IS 'Version of the tracker''s own controller that it runs.';
COMMENT ON COLUMN telemetry.device_status.imei IS 'The identity that its radio module tells; NULL: none was read.';
COMMENT ON COLUMN telemetry.device_status.iccid IS 'The card or profile that its module sees; NULL: none.';
COMMENT ON COLUMN telemetry.device_status.imsi IS 'The subscriber that its module sees; NULL: none.';
COMMENT ON COLUMN telemetry.device_status.module_model IS 'The model that its radio module tells; NULL: none.';
COMMENT ON COLUMN telemetry.device_status.module_firmware IS 'The firmware version that its radio module tells; NULL: none.';
COMMENT ON COLUMN telemetry.device_status.config_version IS 'The version of its configuration that is in force; NULL: not told.';
COMMENT ON COLUMN telemetry.device_status.history_day IS 'The day, UTC, that history_count counts.';
COMMENT ON COLUMN telemetry.device_status.history_count IS
	'Changes that its statuses made that day. Beyond 100 the latest status is still kept here, but the history and the version in '
	'fleet.device wait for the next day: a device that flaps must not fill them.';

CREATE VIEW telemetry.identity_mismatch WITH (security_invoker = true) AS
SELECT s.device_id, v.field, v.expected_by, v.expected, v.reported
FROM telemetry.device_status AS s
LEFT JOIN fleet.module AS m ON m.device_id = s.device_id
LEFT JOIN fleet.sim AS i ON i.device_id = s.device_id
LEFT JOIN fleet.sim AS foreign_sim ON foreign_sim.iccid = s.iccid AND foreign_sim.device_id <> s.device_id
LEFT JOIN fleet.module AS its_module ON its_module.device_id = foreign_sim.device_id
CROSS JOIN LATERAL (VALUES
	('imei', 'device', m.imei, s.imei),
	('iccid', 'device', i.iccid, s.iccid),
	('imsi', 'device', i.imsi, s.imsi),
	('imei', 'sim', its_module.imei, s.imei)) AS v (field, expected_by, expected, reported)
WHERE v.expected COLLATE "C" <> v.reported COLLATE "C";
COMMENT ON VIEW telemetry.identity_mismatch IS
	'What devices last told of their module and SIM that is not what people registered, one row a difference. It is looked up anew each '
	'time, so it ends when either side is put right. Nothing is refused because of it.';
COMMENT ON COLUMN telemetry.identity_mismatch.device_id IS 'The device that told it, fleet.device.';
COMMENT ON COLUMN telemetry.identity_mismatch.field IS 'imei, iccid or imsi.';
COMMENT ON COLUMN telemetry.identity_mismatch.expected_by IS
	'device: what is registered for the device; sim: the SIM that it tells belongs to another device, whose module was expected.';
COMMENT ON COLUMN telemetry.identity_mismatch.expected IS 'What was expected.';
COMMENT ON COLUMN telemetry.identity_mismatch.reported IS 'What came.';

-- The one place where what trackers report becomes what the fleet's pages filter by: one UPDATE a table and call.
CREATE FUNCTION fleet.take_reported(devices int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM set_config('coldfleet.actor', '@device', true), set_config('coldfleet.reason', 'told by its status', true);
	-- Asked first: an UPDATE of no row would still wake everybody who listens for changed devices.
	IF EXISTS (SELECT FROM fleet.device AS d JOIN telemetry.device_status AS s USING (device_id)
		   WHERE d.device_id = ANY (devices) AND d.firmware <> s.firmware AND d.state <> 'decommissioned') THEN
		UPDATE fleet.device AS d SET firmware = s.firmware
		FROM (SELECT x.device_id, y.firmware FROM fleet.device AS x JOIN telemetry.device_status AS y USING (device_id)
		      WHERE x.device_id = ANY (devices) AND x.firmware <> y.firmware AND x.state <> 'decommissioned'
		      ORDER BY x.device_id FOR NO KEY UPDATE OF x) AS s
		WHERE d.device_id = s.device_id;
	END IF;
	-- What its module tells is that module's only if it is the one that is registered.
	UPDATE fleet.module AS m SET firmware = s.module_firmware FROM telemetry.device_status AS s
	WHERE m.device_id = ANY (devices) AND s.device_id = m.device_id AND s.imei = m.imei AND s.module_firmware <> m.firmware;
END
$$;
COMMENT ON FUNCTION fleet.take_reported(int[]) IS
	'Sets the firmware of these devices, and of their modules, to what their latest status says, unless it is so already.';

CREATE FUNCTION telemetry.store_status(devices int[], times timestamptz[], bodies jsonb[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
	history_limit CONSTANT int := 100; -- changes of a device a day
	changed int[];
	within int[];
	stored int;
BEGIN
	-- Held in the order of their numbers until the end, also those that are new.
	INSERT INTO telemetry.device_status (device_id, boot, uptime_s, received_at, body)
	SELECT DISTINCT d, -1, 0, timestamptz '-infinity', jsonb '{}' FROM unnest(devices) AS d ORDER BY d ON CONFLICT DO NOTHING;
	PERFORM FROM telemetry.device_status AS s WHERE s.device_id = ANY (devices) ORDER BY s.device_id FOR UPDATE;

	WITH said AS (
		SELECT DISTINCT ON (u.device_id, boot, uptime, u.body) u.device_id, boot, uptime, u.body, u.received_at
		FROM unnest(devices, times, bodies) AS u (device_id, received_at, body)
		CROSS JOIN LATERAL (SELECT (u.body ->> 'boot')::int, (u.body ->> 'uptime')::double precision) AS k (boot, uptime)
		ORDER BY u.device_id, boot, uptime, u.body, u.received_at
	), news AS (
		SELECT n.*, lag(n.body, 1, s.body) OVER steps AS was, lag(n.boot, 1, s.boot) OVER steps AS was_boot,
			lead(true, 1, false) OVER steps AS outdated
		FROM said AS n JOIN telemetry.device_status AS s USING (device_id)
		WHERE (n.boot, n.uptime, n.body) > (s.boot, s.uptime_s, s.body)
		WINDOW steps AS (PARTITION BY n.device_id ORDER BY n.boot, n.uptime, n.body)
	), change AS (
		SELECT n.device_id, n.boot, n.uptime, part, n.was -> part AS old, n.body -> part AS new,
			format(CASE WHEN n.boot > n.was_boot THEN 'told at boot %s' ELSE 'told while running, boot %s' END, n.boot) AS reason
		FROM news AS n CROSS JOIN unnest(ARRAY['firmware', 'module', 'mcu', 'config']) AS part
		WHERE n.was -> part IS DISTINCT FROM n.body -> part
	), updated AS (
		UPDATE telemetry.device_status AS s SET boot = n.boot, uptime_s = n.uptime, received_at = n.received_at, body = n.body,
			history_day = today, history_count = coalesce(c.n, 0) + CASE WHEN s.history_day = today THEN s.history_count ELSE 0 END
		FROM news AS n LEFT JOIN (SELECT device_id, count(*)::int AS n FROM change GROUP BY 1) AS c USING (device_id)
		WHERE NOT n.outdated AND s.device_id = n.device_id
		RETURNING s.device_id, s.history_count <= history_limit AS within
	), kept AS (
		INSERT INTO fleet.history (device_id, object, key, field, old, new, actor, reason)
		SELECT c.device_id, 'status', d.serial, c.part, c.old, c.new, '@device', c.reason
		FROM change AS c JOIN updated AS u USING (device_id) JOIN fleet.device AS d USING (device_id)
		WHERE u.within ORDER BY c.device_id, c.boot, c.uptime, c.part
	)
	SELECT (SELECT count(*) FROM news), array_agg(u.device_id), array_agg(u.device_id) FILTER (WHERE u.within)
	INTO stored, changed, within FROM updated AS u;

	PERFORM fleet.take_reported(within) WHERE within IS NOT NULL;
	INSERT INTO fleet.config_report (device_id, version, body, reported_at)
	SELECT s.device_id, s.config_version, s.body #> '{config,values}', s.received_at
	FROM telemetry.device_status AS s WHERE s.device_id = ANY (changed) AND s.body ? 'config' ORDER BY s.device_id
	ON CONFLICT (device_id) DO UPDATE SET version = excluded.version, body = excluded.body, reported_at = excluded.reported_at;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION telemetry.store_status(int[], timestamptz[], jsonb[]) IS
	'Takes statuses of devices, when each arrived and what it said, in any order and any number of times. Returns how many were newer '
	'than the latest so far. The versions that the latest one tells are taken over into fleet.device, fleet.module and '
	'fleet.config_report; each part that changed is a row of fleet.history by @device, whose reason says in which boot it was told.';

COMMENT ON COLUMN fleet.history.object IS
	'What was changed: device, module, sim, model, module_type, device_group, group_member; status: what a device told of itself; '
	'numbering: how a device numbers its samples.';
COMMENT ON COLUMN fleet.history.actor IS
	'Who changed it: the name of a token, the subject of an access token, a role of the database; @device: the device itself.';

DO $$ BEGIN PERFORM fleet.guard('telemetry.device_status'); END $$;
REVOKE ALL ON FUNCTION fleet.take_reported(int[]), telemetry.store_status(int[], timestamptz[], jsonb[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry.store_status(int[], timestamptz[], jsonb[]) TO coldfleet_ingest;
GRANT SELECT ON telemetry.device_status, telemetry.identity_mismatch TO coldfleet_api_definer, coldfleet_analyst;

COMMIT;
