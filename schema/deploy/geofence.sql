-- SPDX-License-Identifier: Apache-2.0
-- Circles around places, and the stages of shipments that begin and end by them: a stage begins when a tracker leaves the circle of
-- its origin and ends when it enters that of its destination, at the moment at which that position was measured. What has begun or
-- ended stays so, whatever comes late; people correct it.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.geofence (
	geofence_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	place text NOT NULL UNIQUE COLLATE "C" CHECK (length(place) BETWEEN 1 AND 200),
	latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
	longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
	radius_m int NOT NULL CHECK (radius_m BETWEEN 10 AND 100000),
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE TRIGGER revised BEFORE UPDATE ON coldchain.geofence FOR EACH ROW EXECUTE FUNCTION coldchain.revised();
COMMENT ON TABLE coldchain.geofence IS 'Circles around places, one row a place.';
COMMENT ON COLUMN coldchain.geofence.geofence_id IS 'Number of the circle.';
COMMENT ON COLUMN coldchain.geofence.place IS 'The place, as lanes and legs write it: a name, or a GLN.';
COMMENT ON COLUMN coldchain.geofence.latitude IS 'Latitude of its centre, degrees, WGS 84, north positive.';
COMMENT ON COLUMN coldchain.geofence.longitude IS 'Longitude of its centre, degrees, WGS 84, east positive.';
COMMENT ON COLUMN coldchain.geofence.radius_m IS 'Its radius, metres.';
COMMENT ON COLUMN coldchain.geofence.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.geofence.created_by IS 'Who made it.';
COMMENT ON COLUMN coldchain.geofence.revision IS 'The transaction that last changed it; its ETag.';

ALTER TABLE coldchain.shipment ADD COLUMN geofenced boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN coldchain.shipment.geofenced IS 'True: its stages begin and end by geofences, where people have not said it before.';
CREATE INDEX shipment_geofenced ON coldchain.shipment (shipment_id) WHERE geofenced AND state IN ('ready', 'shipping');

CREATE FUNCTION coldchain.distance_m(lat1 double precision, lon1 double precision, lat2 double precision, lon2 double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 2 * 6371008.8 * asin(least(1, sqrt(power(sind((lat2 - lat1) / 2), 2) + cosd(lat1) * cosd(lat2) * power(sind((lon2 - lon1) / 2), 2))));
COMMENT ON FUNCTION coldchain.distance_m(double precision, double precision, double precision, double precision) IS
	'How far two positions are from each other, metres: on a sphere with the mean radius of the Earth, half a percent off at most.';

CREATE FUNCTION coldchain.crossed(shipment int, place text, since timestamptz, leaving boolean, OUT at timestamptz, OUT serial text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH seen AS MATERIALIZED (
		SELECT d.serial, r.ts, coldchain.distance_m(g.latitude, g.longitude, r.latitude, r.longitude) AS far, g.radius_m, coalesce(r.accuracy_m, 0) AS blur
		FROM coldchain.geofence AS g, (SELECT DISTINCT a.device_id, a.during FROM coldchain.assignment AS a WHERE a.shipment_id = shipment) AS a
		JOIN fleet.device AS d USING (device_id) JOIN telemetry.reading AS r USING (device_id)
		WHERE g.place = crossed.place AND r.ts >= greatest(since, now() - interval '31 days') AND a.during @> r.ts
			-- A degree of latitude is 111.2 km: who is farther away than that is not in it, and this is a fifth of the cost.
			AND CASE WHEN leaving THEN r.latitude IS NOT NULL ELSE abs(r.latitude - g.latitude) <= g.radius_m / 111000.0::float8 END
	), judged AS (
		-- Out is who is out for sure; a position that may be anywhere moves nothing.
		SELECT s.serial, s.ts, s.far <= s.radius_m AND s.blur <= s.radius_m AS inside, s.far > s.radius_m + s.blur AS outside,
			bool_or(s.far <= s.radius_m AND s.blur <= s.radius_m) OVER (PARTITION BY s.serial ORDER BY s.ts) AS been
		FROM seen AS s
	)
	SELECT j.ts, j.serial FROM judged AS j WHERE CASE WHEN leaving THEN j.outside AND j.been ELSE j.inside AND j.ts > since END
	ORDER BY j.ts, j.serial LIMIT 1
$$;
COMMENT ON FUNCTION coldchain.crossed(int, text, timestamptz, boolean) IS
	'When, since then, a tracker of a shipment was first seen to have left the geofence of a place, having been in it, or to be in it, and '
	'which tracker; in measurement time, of the last 31 days. NULL: it was not, or there is no such geofence.';

CREATE FUNCTION coldchain.stage_move(id int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s coldchain.shipment;
	g record;
	c record;
BEGIN
	SELECT * INTO s FROM coldchain.shipment AS x WHERE x.shipment_id = id;
	IF NOT s.geofenced OR s.state NOT IN ('ready', 'shipping') THEN
		RETURN false;
	END IF;
	-- The stage that is to move: the first that has not ended of those from the last on that has begun, for people may have left
	-- one before it open; a shipment without legs is one stage.
	SELECT q.*, q.leg = max(q.leg) OVER () AS last,
		q.ended_at IS NOT NULL OR q.leg < coalesce(max(q.leg) FILTER (WHERE q.started_at IS NOT NULL) OVER (), 0) AS over INTO g FROM (
		SELECT l.leg, l.origin, l.destination, l.started_at, l.ended_at,
			max(coalesce(l.ended_at, l.started_at)) OVER (ORDER BY l.leg ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
		FROM coldchain.leg AS l WHERE l.shipment_id = id
		UNION ALL SELECT 0, l.origin, l.destination, s.started_at, s.delivered_at, NULL FROM coldchain.lane AS l
		WHERE l.lane_id = s.lane_id AND NOT EXISTS (SELECT FROM coldchain.leg AS x WHERE x.shipment_id = id)) AS q
	ORDER BY over, q.leg LIMIT 1;
	IF g.leg IS NULL OR g.over THEN
		RETURN false;
	END IF;
	SELECT * INTO c FROM coldchain.crossed(id, CASE WHEN g.started_at IS NULL THEN g.origin ELSE g.destination END,
		coalesce(greatest(g.started_at, g.before, s.started_at), '-infinity'), g.started_at IS NULL);
	IF c.at IS NULL THEN
		RETURN false;
	END IF;
	-- Only who moves is locked, or people would wait for looks that move nothing. Who was changed meanwhile is looked at again.
	PERFORM FROM coldchain.shipment AS x WHERE x.shipment_id = id AND x.revision = s.revision FOR UPDATE;
	IF NOT FOUND THEN
		RETURN true;
	END IF;
	PERFORM set_config('coldfleet.reason', format('%s %s the geofence of %s', c.serial, CASE WHEN g.started_at IS NULL THEN 'left' ELSE 'entered' END,
		CASE WHEN g.started_at IS NULL THEN g.origin ELSE g.destination END), true);
	IF g.started_at IS NULL THEN
		UPDATE coldchain.leg AS l SET started_at = c.at, started_how = 'geofence' WHERE l.shipment_id = id AND l.leg = g.leg;
	ELSE
		UPDATE coldchain.leg AS l SET ended_at = c.at, ended_how = 'geofence' WHERE l.shipment_id = id AND l.leg = g.leg;
	END IF;
	-- The revision follows, for a leg is part of its shipment.
	UPDATE coldchain.shipment AS x SET
		state = CASE WHEN x.state = 'ready' THEN 'shipping' WHEN g.last AND g.started_at IS NOT NULL THEN 'delivered' ELSE x.state END,
		started_at = coalesce(x.started_at, c.at), delivered_at = CASE WHEN g.last AND g.started_at IS NOT NULL THEN c.at END
	WHERE x.shipment_id = id;
	PERFORM set_config('coldfleet.reason', '', true);
	RETURN true;
END
$$;
COMMENT ON FUNCTION coldchain.stage_move(int) IS
	'Begins or ends the stage of a geofenced shipment that is to begin or end next, if a tracker has crossed the geofence of that place since '
	'the stage before: the first begins the shipment, the end of the last delivers it. False: nothing moves; true: ask again. It never changes what '
	'was said.';

CREATE FUNCTION coldchain.stages_move(devices int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id int;
BEGIN
	FOR id IN
		SELECT s.shipment_id FROM coldchain.shipment AS s WHERE s.geofenced AND s.state IN ('ready', 'shipping') AND EXISTS (
			SELECT FROM coldchain.assignment AS a WHERE a.shipment_id = s.shipment_id AND a.device_id = ANY (devices))
		ORDER BY s.shipment_id
	LOOP
		WHILE coldchain.stage_move(id) LOOP
		END LOOP;
	END LOOP;
END
$$;
COMMENT ON FUNCTION coldchain.stages_move(int[]) IS 'Moves the stages of geofenced shipments that these devices watch as far as their positions tell.';

DO $$
BEGIN
	PERFORM audit.watch('coldchain.geofence', 'geofence', '{place}', '{revision}');
END
$$;

REVOKE ALL ON FUNCTION coldchain.distance_m(double precision, double precision, double precision, double precision),
	coldchain.crossed(int, text, timestamptz, boolean), coldchain.stage_move(int), coldchain.stages_move(int[]) FROM PUBLIC;
GRANT SELECT ON coldchain.geofence TO coldfleet_api_definer, coldfleet_analyst;
GRANT INSERT, UPDATE, DELETE ON coldchain.geofence TO coldfleet_api_definer;

COMMIT;
