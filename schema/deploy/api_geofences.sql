-- SPDX-License-Identifier: Apache-2.0
-- Geofences over REST, and the legs of shipments begun, ended and corrected by people.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_geofence(g coldchain.geofence) RETURNS json
LANGUAGE sql STABLE
AS $$
	SELECT json_build_object('id', g.geofence_id, 'place', g.place, 'latitude', g.latitude, 'longitude', g.longitude, 'radius_m', g.radius_m,
		'created_at', api.json_at(g.created_at), 'created_by', g.created_by)
$$;
COMMENT ON FUNCTION api.json_geofence(coldchain.geofence) IS 'A geofence as a JSON object.';

CREATE FUNCTION api.geofence_answer(id int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	g coldchain.geofence;
BEGIN
	SELECT * INTO g FROM coldchain.geofence AS x WHERE x.geofence_id = id;
	IF g.geofence_id IS NULL THEN
		RAISE EXCEPTION 'there is no geofence %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN (status, api.json_geofence(g)::text, g.revision::text, CASE WHEN status = 201 THEN '/v1/geofences/' || id END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.geofence_answer(int, int) IS 'A geofence as an answer; its revision is the entity tag. Unknown: CF404.';

CREATE FUNCTION api.geofences(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_place CONSTANT text := coalesce(api.cursor_key('geofences', page), '');
	items text;
	last_place text;
BEGIN
	SELECT string_agg(api.json_geofence(g)::text, ',' ORDER BY n) FILTER (WHERE n <= max_rows),
		max((g).place) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_place
	FROM (SELECT q.g, row_number() OVER (ORDER BY (q.g).place) AS n, count(*) OVER () AS shown
	      FROM (SELECT x AS g FROM coldchain.geofence AS x WHERE x.place > after_place COLLATE "C" ORDER BY x.place LIMIT max_rows + 1) AS q) AS found;
	RETURN api.json_page(items, 'geofences', last_place);
END
$$;
COMMENT ON FUNCTION api.geofences(int, text) IS 'GET /v1/geofences: a page of geofences, by place.';

CREATE FUNCTION api.geofence_get(id int) RETURNS api.answer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.geofence_answer(id)
$$;
COMMENT ON FUNCTION api.geofence_get(int) IS 'GET /v1/geofences/{id}. Unknown: CF404.';

CREATE FUNCTION api.geofence_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made int;
BEGIN
	PERFORM api.must_see_all('geofences are made'), api.because(body ->> 'reason');
	INSERT INTO coldchain.geofence AS g (place, latitude, longitude, radius_m)
	VALUES (body ->> 'place', (body ->> 'latitude')::float8, (body ->> 'longitude')::float8, (body ->> 'radius_m')::int)
	RETURNING g.geofence_id INTO made;
	RETURN api.geofence_answer(made, 201);
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'place: there is a geofence of % already', body ->> 'place' USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.geofence_create(jsonb) IS 'POST /v1/geofences. One of that place is there: CF409; a token with a scope: CF403.';

CREATE FUNCTION api.geofence_lock(id int) RETURNS coldchain.geofence
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	g coldchain.geofence;
BEGIN
	PERFORM api.must_see_all('geofences are changed'), api.geofence_answer(id);
	SELECT * INTO g FROM coldchain.geofence AS x WHERE x.geofence_id = id FOR UPDATE;
	RETURN g;
END
$$;
COMMENT ON FUNCTION api.geofence_lock(int) IS 'A geofence that is about to be changed. A token with a scope: CF403; unknown: CF404.';

CREATE FUNCTION api.geofence_patch(id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	g CONSTANT coldchain.geofence := api.geofence_lock(id);
BEGIN
	PERFORM api.check_match(if_match, g.revision::text), api.because(body ->> 'reason');
	UPDATE coldchain.geofence AS x SET latitude = coalesce((body ->> 'latitude')::float8, x.latitude),
		longitude = coalesce((body ->> 'longitude')::float8, x.longitude), radius_m = coalesce((body ->> 'radius_m')::int, x.radius_m)
	WHERE x.geofence_id = id;
	RETURN api.geofence_answer(id);
END
$$;
COMMENT ON FUNCTION api.geofence_patch(int, jsonb, text) IS
	'PATCH /v1/geofences/{id}; stages that have begun or ended stay so. If-Match names another revision: CF412; a scope: CF403; unknown: CF404.';

CREATE FUNCTION api.geofence_delete(id int, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM api.geofence_lock(id), api.because(reason);
	DELETE FROM coldchain.geofence AS x WHERE x.geofence_id = id;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.geofence_delete(int, text) IS 'DELETE /v1/geofences/{id}. A scope: CF403; unknown: CF404.';

CREATE FUNCTION api.leg_change(id int, its_leg int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id, true);
	starts CONSTANT timestamptz := api.check_moment('started_at', (body ->> 'started_at')::timestamptz);
	ends CONSTANT timestamptz := api.check_moment('ended_at', (body ->> 'ended_at')::timestamptz);
BEGIN
	IF NOT EXISTS (SELECT FROM coldchain.leg AS g WHERE g.shipment_id = id AND g.leg = its_leg) THEN
		RAISE EXCEPTION 'shipment % has no leg %', id, its_leg USING ERRCODE = 'CF404';
	END IF;
	PERFORM api.check_match(if_match, s.revision::text), api.because(body ->> 'reason');
	IF s.state NOT IN ('shipping', 'delivered') THEN
		RAISE EXCEPTION 'shipment % is %: its legs begin when it leaves and stand when it is closed', id, s.state USING ERRCODE = 'CF409';
	END IF;
	UPDATE coldchain.leg AS g SET
		started_at = CASE WHEN body ? 'started_at' THEN starts ELSE g.started_at END,
		started_how = CASE WHEN body ? 'started_at' THEN CASE WHEN starts IS NOT NULL THEN 'person' END ELSE g.started_how END,
		ended_at = CASE WHEN body ? 'ended_at' THEN ends ELSE g.ended_at END,
		ended_how = CASE WHEN body ? 'ended_at' THEN CASE WHEN ends IS NOT NULL THEN 'person' END ELSE g.ended_how END
	WHERE g.shipment_id = id AND g.leg = its_leg;
	IF EXISTS (SELECT FROM (SELECT g.started_at, max(coalesce(g.ended_at, g.started_at)) OVER (ORDER BY g.leg
			ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM coldchain.leg AS g
			WHERE g.shipment_id = id) AS q WHERE q.started_at < q.before) THEN
		RAISE EXCEPTION 'started_at: expected no time before the end of the leg before, nor after the start of the next' USING ERRCODE = 'CF422';
	END IF;
	-- The revision follows, for a leg is part of its shipment.
	UPDATE coldchain.shipment AS t SET note = t.note WHERE t.shipment_id = id;
	RETURN api.shipment_answer(id);
EXCEPTION WHEN check_violation THEN
	RAISE EXCEPTION 'ended_at: expected a time after started_at' USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.leg_change(int, int, jsonb, text) IS
	'PATCH /v1/shipments/{id}/legs/{leg}: a person says when a leg began or ended, or corrects it; answers with the shipment. If-Match names '
	'another revision: CF412; not under way or delivered: CF409; unknown: CF404.';

REVOKE ALL ON FUNCTION api.json_geofence(coldchain.geofence), api.geofence_answer(int, int), api.geofences(int, text), api.geofence_get(int),
	api.geofence_create(jsonb), api.geofence_lock(int), api.geofence_patch(int, jsonb, text), api.geofence_delete(int, text),
	api.leg_change(int, int, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.geofences(int, text), api.geofence_get(int), api.geofence_create(jsonb), api.geofence_patch(int, jsonb, text),
	api.geofence_delete(int, text), api.leg_change(int, int, jsonb, text) TO coldfleet_api;

COMMIT;
