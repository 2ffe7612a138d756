-- SPDX-License-Identifier: Apache-2.0
-- What the fleet is listed, filtered and sorted by: a narrow copy, a row for each device and for each of its groups. What
-- people change is there at once, by triggers; what trackers say is brought up by fleet.sweep(), so that storing a
-- reading touches no index but the primary key of telemetry.device_state.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

-- Without SET, so that the planner puts their bodies in place of the calls.
CREATE FUNCTION fleet.heard_step(at timestamptz) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT coalesce(floor(date_part('epoch', at - timestamptz '1970-01-01 00:00Z') / 60)::int, -2147483648)
$$;
COMMENT ON FUNCTION fleet.heard_step(timestamptz) IS 'Whole minutes since 1970, UTC; -2147483648: never.';

CREATE FUNCTION fleet.battery_step(battery_pct real) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN battery_pct IS NULL THEN 32767 ELSE greatest(-1, least(101, floor(battery_pct))) END::smallint
$$;
COMMENT ON FUNCTION fleet.battery_step(real) IS 'Whole percents, -1 to 101; 32767: not told.';

CREATE FUNCTION fleet.place_step(degrees double precision, most int) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN degrees BETWEEN -most AND most THEN floor((degrees + most) * 5)::smallint END
$$;
COMMENT ON FUNCTION fleet.place_step(double precision, int) IS
	'Fifths of a degree from 90 south or 180 west (the second argument); NULL: no such place.';

CREATE TABLE fleet.listing (
	device_id int NOT NULL,
	group_id int NOT NULL,
	heard int NOT NULL DEFAULT fleet.heard_step(NULL),
	model_id int NOT NULL,
	battery_step smallint NOT NULL DEFAULT fleet.battery_step(NULL),
	lat_step smallint,
	lon_step smallint,
	in_excursion boolean NOT NULL DEFAULT false,
	incomplete boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL,
	serial text COLLATE "C" NOT NULL,
	state text COLLATE "C" NOT NULL,
	firmware text COLLATE "C" NOT NULL,
	tags text[] COLLATE "C" NOT NULL,
	PRIMARY KEY (device_id, group_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
-- Each holds everything that a filter may ask, behind the order that it is for: devices that do not meet the filter are passed
-- over within the index, ten in the time that one visit to the table takes, and most pages are found without such visits.
CREATE INDEX listing_serial ON fleet.listing (group_id, serial, state, model_id, firmware, battery_step, heard, lat_step, lon_step)
	INCLUDE (device_id);
CREATE INDEX listing_heard ON fleet.listing (group_id, heard, device_id, state, model_id, firmware, battery_step, lat_step, lon_step);
CREATE INDEX listing_battery ON fleet.listing (group_id, battery_step, device_id, state, model_id, firmware, heard, lat_step, lon_step);
CREATE INDEX listing_kind ON fleet.listing (group_id, state, model_id, firmware, battery_step, heard, lat_step, lon_step)
	INCLUDE (serial, device_id);
CREATE INDEX listing_place ON fleet.listing (group_id, lat_step, lon_step);
-- Few devices are in an excursion, or miss samples: orders of their own cost the others nothing.
CREATE INDEX listing_excursion_serial ON fleet.listing (group_id, serial) WHERE in_excursion;
CREATE INDEX listing_excursion_heard ON fleet.listing (group_id, heard, device_id) WHERE in_excursion;
CREATE INDEX listing_excursion_battery ON fleet.listing (group_id, battery_step, device_id) WHERE in_excursion;
CREATE INDEX listing_incomplete_serial ON fleet.listing (group_id, serial) WHERE incomplete;
CREATE INDEX listing_incomplete_heard ON fleet.listing (group_id, heard, device_id) WHERE incomplete;
CREATE INDEX listing_incomplete_battery ON fleet.listing (group_id, battery_step, device_id) WHERE incomplete;
COMMENT ON TABLE fleet.listing IS
	'What devices are listed by: a row for each device (group_id 0) and one more for each static group that it is in. serial, model_id, '
	'state, firmware, tags and created_at are those of fleet.device at any time; the steps and incomplete are those of telemetry.device_state '
	'and telemetry.gap when fleet.sweep() last came by (fleet.sweep_state); in_excursion is what coldchain.evaluate() found last. fleet.fill_listing() makes it anew.';
COMMENT ON COLUMN fleet.listing.device_id IS 'The device.';
COMMENT ON COLUMN fleet.listing.group_id IS 'The group whose list the row is in; 0: the list of all devices.';
COMMENT ON COLUMN fleet.listing.heard IS 'Minute in which the device was last heard, since 1970, UTC; -2147483648: never.';
COMMENT ON COLUMN fleet.listing.model_id IS 'What kind of tracker it is.';
COMMENT ON COLUMN fleet.listing.battery_step IS 'Battery charge in whole percents, -1 to 101; 32767: not told.';
COMMENT ON COLUMN fleet.listing.lat_step IS 'Latitude in fifths of a degree from 90 south, rounded down; NULL: no position.';
COMMENT ON COLUMN fleet.listing.lon_step IS 'Longitude in fifths of a degree from 180 west, rounded down; NULL: no position.';
COMMENT ON COLUMN fleet.listing.in_excursion IS 'True: an excursion of the device is open.';
COMMENT ON COLUMN fleet.listing.incomplete IS 'True: samples of the device are missing, of whatever epoch: one of its gaps is open.';
COMMENT ON COLUMN fleet.listing.created_at IS 'When it was registered.';
COMMENT ON COLUMN fleet.listing.serial IS 'Its serial number.';
COMMENT ON COLUMN fleet.listing.state IS 'Its state.';
COMMENT ON COLUMN fleet.listing.firmware IS 'Firmware version of its own controller; empty: unknown.';
COMMENT ON COLUMN fleet.listing.tags IS 'Its tags, sorted by bytes.';

CREATE TABLE fleet.fence (
	group_id int NOT NULL,
	sort text NOT NULL CHECK (sort IN ('serial', 'last_seen', 'battery')),
	serial text COLLATE "C" NOT NULL,
	step int NOT NULL,
	device_id int NOT NULL,
	PRIMARY KEY (group_id, sort, serial, step, device_id)
);
COMMENT ON TABLE fleet.fence IS
	'Places in the lists of fleet.listing, about fleet.fence_width() devices apart, for lists longer than that. One request looks no '
	'further than the second one that it meets. fleet.plant_fences() samples them, so they are no more than a guide.';
COMMENT ON COLUMN fleet.fence.group_id IS 'The group whose list it is in; 0: the list of all devices.';
COMMENT ON COLUMN fleet.fence.sort IS 'The order of the list: serial, last_seen, battery.';
COMMENT ON COLUMN fleet.fence.serial IS 'Serial number at the place; empty in other orders.';
COMMENT ON COLUMN fleet.fence.step IS 'heard or battery_step at the place; 0 by serial number.';
COMMENT ON COLUMN fleet.fence.device_id IS 'The device at the place.';

CREATE TABLE fleet.sweep_state (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	at timestamptz NOT NULL DEFAULT '-infinity',
	after_device_id int NOT NULL DEFAULT 0,
	began_at timestamptz NOT NULL DEFAULT '-infinity',
	as_of timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO fleet.sweep_state DEFAULT VALUES;
COMMENT ON TABLE fleet.sweep_state IS 'How far fleet.sweep() is: one row.';
COMMENT ON COLUMN fleet.sweep_state.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN fleet.sweep_state.at IS 'When it last did a piece.';
COMMENT ON COLUMN fleet.sweep_state.after_device_id IS 'The device that the piece ended with; 0: the next one begins a round.';
COMMENT ON COLUMN fleet.sweep_state.began_at IS 'When the round began that is under way.';
COMMENT ON COLUMN fleet.sweep_state.as_of IS 'When the last whole round began: every step in fleet.listing, and incomplete, is of this moment or later.';

-- What people change

CREATE FUNCTION fleet.device_listed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO fleet.listing (device_id, group_id, model_id, created_at, serial, state, firmware, tags)
	SELECT device_id, 0, model_id, created_at, serial, state, firmware, tags FROM registered;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.device_listed() IS 'Trigger: a new device is listed.';
CREATE TRIGGER device_listed AFTER INSERT ON fleet.device REFERENCING NEW TABLE AS registered
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.device_listed();

-- Rows are locked by rising number, as fleet.sweep() does, so that neither waits for the other in a circle.
CREATE FUNCTION fleet.device_relisted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids int[];
BEGIN
	SELECT array_agg(n.device_id ORDER BY n.device_id) INTO ids FROM becomes AS n JOIN was AS o USING (device_id)
	WHERE (n.state, n.model_id, n.firmware, n.tags) <> (o.state, o.model_id, o.firmware, o.tags) OR n.created_at <> o.created_at;
	IF ids IS NOT NULL THEN
		PERFORM FROM fleet.listing AS f WHERE f.device_id = ANY (ids) ORDER BY f.device_id, f.group_id FOR NO KEY UPDATE;
		UPDATE fleet.listing AS f SET state = n.state, model_id = n.model_id, firmware = n.firmware, tags = n.tags,
			created_at = n.created_at
		FROM becomes AS n WHERE f.device_id = n.device_id AND n.device_id = ANY (ids);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.device_relisted() IS 'Trigger: what changed of devices changes in all lists that they are in.';
CREATE TRIGGER device_relisted AFTER UPDATE ON fleet.device REFERENCING OLD TABLE AS was NEW TABLE AS becomes
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.device_relisted();

CREATE FUNCTION fleet.member_listed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Whoever is changing one of the devices is waited for, or waits until this row is there to be changed too.
	PERFORM FROM fleet.device AS d WHERE d.device_id IN (SELECT j.device_id FROM joined AS j) ORDER BY d.device_id FOR SHARE;
	PERFORM FROM fleet.listing AS f WHERE f.device_id IN (SELECT j.device_id FROM joined AS j) AND f.group_id = 0
	ORDER BY f.device_id FOR SHARE;
	INSERT INTO fleet.listing (device_id, group_id, heard, model_id, battery_step, lat_step, lon_step, in_excursion, incomplete,
		created_at, serial, state, firmware, tags)
	SELECT f.device_id, j.group_id, f.heard, f.model_id, f.battery_step, f.lat_step, f.lon_step, f.in_excursion, f.incomplete,
		f.created_at, f.serial, f.state, f.firmware, f.tags
	FROM joined AS j JOIN fleet.listing AS f ON f.device_id = j.device_id AND f.group_id = 0;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.member_listed() IS 'Trigger: a device that joins a group is in its list.';
CREATE TRIGGER member_listed AFTER INSERT ON fleet.group_member REFERENCING NEW TABLE AS joined
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.member_listed();

CREATE FUNCTION fleet.member_unlisted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM fleet.listing AS f USING gone AS g WHERE f.device_id = g.device_id AND f.group_id = g.group_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.member_unlisted() IS 'Trigger: a device that leaves a group leaves its list.';
CREATE TRIGGER member_unlisted AFTER DELETE ON fleet.group_member REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.member_unlisted();

-- What trackers say

CREATE FUNCTION fleet.fence_width() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT 8000
$$;
COMMENT ON FUNCTION fleet.fence_width() IS 'How many devices there are between two fences, about.';

CREATE FUNCTION fleet.plant_fences() RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET work_mem = '32MB'
SET jit = off
AS $$
	DELETE FROM fleet.fence;
	WITH sample AS MATERIALIZED (
		SELECT group_id, serial, heard, battery_step, device_id FROM fleet.listing TABLESAMPLE SYSTEM (5)
	), place AS (
		SELECT group_id, 'serial' AS sort, serial, 0 AS step, device_id,
			row_number() OVER (PARTITION BY group_id ORDER BY serial) AS n FROM sample
		UNION ALL
		SELECT group_id, 'last_seen', '', heard, device_id,
			row_number() OVER (PARTITION BY group_id ORDER BY heard, device_id) FROM sample
		UNION ALL
		SELECT group_id, 'battery', '', battery_step, device_id,
			row_number() OVER (PARTITION BY group_id ORDER BY battery_step, device_id) FROM sample)
	INSERT INTO fleet.fence (group_id, sort, serial, step, device_id)
	SELECT group_id, sort, serial, step, device_id FROM place WHERE n % (fleet.fence_width() * 5 / 100) = 0
$$;
COMMENT ON FUNCTION fleet.plant_fences() IS 'Makes fleet.fence anew from a twentieth of the pages of fleet.listing.';

CREATE FUNCTION fleet.sweep(pace interval DEFAULT '1 s', width int DEFAULT 20000, most int DEFAULT 5000) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
AS $$
DECLARE
	state fleet.sweep_state;
	upto int;
	ids int[];
	whole boolean;
BEGIN
	SELECT * INTO state FROM fleet.sweep_state FOR UPDATE SKIP LOCKED;
	IF state.one_row IS NULL OR state.at + pace > clock_timestamp() THEN
		RETURN false;
	END IF;
	IF state.after_device_id = 0 THEN
		state.began_at := clock_timestamp();
	END IF;
	upto := state.after_device_id + width;
	SELECT array_agg(DISTINCT c.device_id) INTO ids
	FROM (SELECT f.device_id FROM fleet.listing AS f JOIN telemetry.device_state AS s USING (device_id)
	      LEFT JOIN (SELECT DISTINCT o.device_id FROM telemetry.gap AS o
			 WHERE o.closed_at IS NULL AND o.device_id > state.after_device_id AND o.device_id <= upto) AS g USING (device_id)
	      WHERE f.device_id > state.after_device_id AND f.device_id <= upto
		AND s.device_id > state.after_device_id AND s.device_id <= upto
		AND (f.heard <> fleet.heard_step(s.received_at) OR f.battery_step <> fleet.battery_step(s.battery_pct)
			OR f.lat_step IS DISTINCT FROM fleet.place_step(s.latitude, 90)
			OR f.lon_step IS DISTINCT FROM fleet.place_step(s.longitude, 180)
			OR f.incomplete <> (g.device_id IS NOT NULL))
	      ORDER BY f.device_id LIMIT most) AS c;
	UPDATE fleet.listing AS f SET heard = fleet.heard_step(s.received_at), battery_step = fleet.battery_step(s.battery_pct),
		lat_step = fleet.place_step(s.latitude, 90), lon_step = fleet.place_step(s.longitude, 180),
		incomplete = EXISTS (SELECT FROM telemetry.gap AS o WHERE o.device_id = f.device_id AND o.closed_at IS NULL)
	FROM unnest(ids) WITH ORDINALITY AS c (device_id, n), telemetry.device_state AS s
	WHERE f.device_id = c.device_id AND s.device_id = c.device_id;
	IF cardinality(ids) >= most THEN
		upto := ids[cardinality(ids)];
	END IF;
	whole := NOT EXISTS (SELECT FROM fleet.listing AS f WHERE f.device_id > upto);
	UPDATE fleet.sweep_state SET at = clock_timestamp(), after_device_id = CASE WHEN whole THEN 0 ELSE upto END,
		began_at = state.began_at, as_of = CASE WHEN whole THEN state.began_at ELSE as_of END;
	IF whole THEN
		PERFORM fleet.plant_fences();
	END IF;
	RETURN whole;
END
$$;
COMMENT ON FUNCTION fleet.sweep(interval, int, int) IS
	'Brings the steps of the next width devices in fleet.listing up to their latest state, and whether they miss samples, at most about `most` of them changed, in one '
	'short transaction. Does nothing when another session does so, or did less than `pace` ago. True: a round is complete, so every step '
	'is at most as old as the round. Called every second by the background of coldfleet-api, from as many processes as there are.';

CREATE FUNCTION fleet.in_excursion() RETURNS SETOF int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NULL::int LIMIT 0
$$;
COMMENT ON FUNCTION fleet.in_excursion() IS 'The devices with an open excursion, each once; none until coldchain_engine is deployed, which replaces this.';

CREATE FUNCTION fleet.relist_excursions(devices int[], within int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids CONSTANT int[] := ARRAY(SELECT f.device_id FROM fleet.listing AS f WHERE f.device_id = ANY (devices) AND f.group_id = 0
		AND f.in_excursion <> (f.device_id = ANY (within)));
BEGIN
	IF ids <> '{}' THEN
		-- Whoever is putting one of them into a group is waited for, and the new row is then seen.
		PERFORM FROM fleet.listing AS f WHERE f.device_id = ANY (ids) ORDER BY f.device_id, f.group_id FOR NO KEY UPDATE;
		UPDATE fleet.listing AS f SET in_excursion = f.device_id = ANY (within) WHERE f.device_id = ANY (ids);
	END IF;
END
$$;
COMMENT ON FUNCTION fleet.relist_excursions(int[], int[]) IS 'Of these devices those within an excursion are listed so, the others not.';

CREATE FUNCTION fleet.fill_listing() RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	TRUNCATE fleet.listing;
	INSERT INTO fleet.listing (device_id, group_id, heard, model_id, battery_step, lat_step, lon_step, in_excursion, incomplete,
		created_at, serial, state, firmware, tags)
	SELECT d.device_id, g.group_id, fleet.heard_step(s.received_at), d.model_id, fleet.battery_step(s.battery_pct),
		fleet.place_step(s.latitude, 90), fleet.place_step(s.longitude, 180), e.device_id IS NOT NULL, o.device_id IS NOT NULL,
		d.created_at, d.serial, d.state, d.firmware, d.tags
	FROM fleet.device AS d LEFT JOIN telemetry.device_state AS s USING (device_id)
	JOIN (SELECT m.device_id, m.group_id FROM fleet.group_member AS m UNION ALL SELECT n.device_id, 0 FROM fleet.device AS n) AS g
		USING (device_id)
	LEFT JOIN fleet.in_excursion() AS e (device_id) USING (device_id)
	LEFT JOIN (SELECT DISTINCT p.device_id FROM telemetry.gap AS p WHERE p.closed_at IS NULL) AS o USING (device_id)
	ORDER BY d.device_id, g.group_id;
	SELECT fleet.plant_fences()
$$;
COMMENT ON FUNCTION fleet.fill_listing() IS 'Makes fleet.listing anew, all at once; for loading a fleet with triggers off. Locks the lists.';

DO $$ BEGIN PERFORM fleet.fill_listing(); END $$;

-- Neither has a sub-plan a row: the row says whose list it is in.
ALTER TABLE fleet.listing ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.listing TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR group_id = ANY ((SELECT fleet.scope_groups())::int[]));
ALTER TABLE fleet.fence ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.fence TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR group_id = ANY ((SELECT fleet.scope_groups())::int[]));

REVOKE ALL ON FUNCTION fleet.heard_step(timestamptz), fleet.battery_step(real), fleet.place_step(double precision, int),
	fleet.device_listed(), fleet.device_relisted(), fleet.member_listed(), fleet.member_unlisted(), fleet.fence_width(),
	fleet.plant_fences(), fleet.sweep(interval, int, int), fleet.in_excursion(), fleet.relist_excursions(int[], int[]), fleet.fill_listing()
	FROM PUBLIC;
GRANT SELECT ON fleet.listing, fleet.fence, fleet.sweep_state TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION fleet.heard_step(timestamptz), fleet.sweep(interval, int, int) TO coldfleet_api_definer;

COMMIT;
