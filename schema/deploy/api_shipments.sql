-- SPDX-License-Identifier: Apache-2.0
-- The cold chain over REST: products and profiles, shipments, what is in them and which tracker watched it, what was found, and
-- what somebody decided. Who changed what and why goes to the audit trail by triggers, which read the settings of the call.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_at(at timestamptz) RETURNS json
LANGUAGE sql STABLE
AS $$
	SELECT coalesce(api.json_time(at), 'null')::json
$$;
COMMENT ON FUNCTION api.json_at(timestamptz) IS 'A moment, or null, as a JSON value.';

CREATE FUNCTION api.json_page(items text, scope text, next_key text) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"items":[', items, '],"next":', coalesce(to_json(api.cursor(scope, next_key))::text, 'null'), '}')
$$;
COMMENT ON FUNCTION api.json_page(text, text, text) IS 'A page of a list; next_key: where the following one begins, NULL: this is the last one.';

-- ---- the catalogue ----

CREATE FUNCTION api.must_see_all(what text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION '% by tokens that see all devices', what USING ERRCODE = 'CF403';
	END IF;
END
$$;
COMMENT ON FUNCTION api.must_see_all(text) IS 'Refuses with CF403 a call that does not see all devices.';

CREATE FUNCTION api.json_product(p coldchain.product) RETURNS json
LANGUAGE sql STABLE
AS $$
	SELECT json_build_object('id', p.product_id, 'name', p.name, 'manufacturer', nullif(p.manufacturer, ''), 'gtin', p.gtin, 'frozen', p.frozen,
		'created_at', api.json_at(p.created_at))
$$;
COMMENT ON FUNCTION api.json_product(coldchain.product) IS 'A product as a JSON object.';

CREATE FUNCTION api.products(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_id CONSTANT int := coalesce(api.cursor_key('products', page)::int, 0);
	items text;
	last_id int;
BEGIN
	SELECT string_agg(api.json_product(p)::text, ',' ORDER BY p.product_id) FILTER (WHERE n <= max_rows),
		max(p.product_id) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_id
	FROM (SELECT p.product_id, row_number() OVER (ORDER BY p.product_id) AS n, count(*) OVER () AS shown
	      FROM (SELECT p.product_id FROM coldchain.product AS p WHERE p.product_id > after_id ORDER BY p.product_id LIMIT max_rows + 1) AS p) AS found
	JOIN coldchain.product AS p USING (product_id);
	RETURN api.json_page(items, 'products', last_id::text);
END
$$;
COMMENT ON FUNCTION api.products(int, text) IS 'GET /v1/products: a page of products, in the order in which they were made.';

CREATE FUNCTION api.product_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made coldchain.product;
	broken text;
BEGIN
	PERFORM api.must_see_all('products are made');
	PERFORM api.because(body ->> 'reason');
	IF NOT coldchain.gtin_valid(body ->> 'gtin') THEN
		RAISE EXCEPTION 'gtin: expected 14 digits, the last one the check digit of the others' USING ERRCODE = 'CF422';
	END IF;
	INSERT INTO coldchain.product (name, manufacturer, gtin, frozen)
	VALUES (body ->> 'name', coalesce(body ->> 'manufacturer', ''), body ->> 'gtin', coalesce((body ->> 'frozen')::boolean, false))
	RETURNING * INTO made;
	RETURN (201, api.json_product(made)::text, NULL, '/v1/products')::api.answer;
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
	RAISE EXCEPTION '%: belongs to another product', CASE broken WHEN 'product_gtin_key' THEN 'gtin' ELSE 'name' END USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.product_create(jsonb) IS 'POST /v1/products: makes a product. A name or GTIN that is known: CF409; a wrong GTIN: CF422.';

CREATE FUNCTION api.json_bands(version int) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(json_build_object('code', b.code, 'title', b.title, 'lower_c', b.lower_c, 'lower_inclusive', b.lower_inclusive,
		'upper_c', b.upper_c, 'upper_inclusive', b.upper_inclusive, 'counting', b.counting, 'allowed_s', b.allowed_s,
		'irreversible', b.irreversible) ORDER BY b.band_id), '[]')
	FROM coldchain.band AS b WHERE b.profile_version_id = version
$$;
COMMENT ON FUNCTION api.json_bands(int) IS 'The bands of a version of a profile as a JSON array.';

CREATE FUNCTION api.json_profile(p coldchain.profile, v coldchain.profile_version) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('name', p.code, 'title', p.title,
		'product', (SELECT o.name FROM coldchain.product AS o WHERE o.product_id = p.product_id),
		'region', nullif(p.region, ''), 'version', v.version, 'storage_lower_c', v.storage_lower_c, 'storage_upper_c', v.storage_upper_c,
		'effective_from', v.effective_from, 'effective_to', v.effective_to, 'source', v.source, 'verified', v.verified,
		'note', nullif(v.note, ''), 'created_at', api.json_at(v.created_at), 'created_by', v.created_by, 'reason', v.reason,
		'bands', api.json_bands(v.profile_version_id))
$$;
COMMENT ON FUNCTION api.json_profile(coldchain.profile, coldchain.profile_version) IS 'A version of a profile as a JSON object.';

CREATE FUNCTION api.profiles(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_code CONSTANT text := coalesce(api.cursor_key('profiles', page), '');
	items text;
	last_code text;
BEGIN
	SELECT string_agg(item::text, ',' ORDER BY n) FILTER (WHERE n <= max_rows), max(code) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_code
	FROM (
		SELECT p.code, row_number() OVER (ORDER BY p.code) AS n, count(*) OVER () AS shown, api.json_profile(p, v) AS item
		FROM (SELECT * FROM coldchain.profile AS p WHERE p.code > after_code COLLATE "C" ORDER BY p.code LIMIT max_rows + 1) AS q
		JOIN coldchain.profile AS p USING (profile_id)
		JOIN LATERAL (SELECT * FROM coldchain.profile_version AS x WHERE x.profile_id = p.profile_id ORDER BY x.version DESC LIMIT 1) AS w ON true
		JOIN coldchain.profile_version AS v USING (profile_version_id)) AS found;
	RETURN api.json_page(items, 'profiles', last_code);
END
$$;
COMMENT ON FUNCTION api.profiles(int, text) IS 'GET /v1/profiles: a page of profiles in their latest version, by name.';

CREATE FUNCTION api.profile_answer(name text, wanted int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer api.answer;
BEGIN
	SELECT profile_answer.status, api.json_profile(p, v)::text, v.version::text,
		CASE WHEN profile_answer.status = 201 THEN '/v1/profiles/' || p.code END
	INTO answer
	FROM coldchain.profile AS p JOIN coldchain.profile_version AS v USING (profile_id)
	WHERE p.code = name AND (wanted IS NULL OR v.version = wanted)
	ORDER BY v.version DESC LIMIT 1;
	IF answer.body IS NULL THEN
		RAISE EXCEPTION 'there is no profile % of this version', name USING ERRCODE = 'CF404';
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION api.profile_answer(text, int, int) IS 'A version of a profile as an answer, NULL: the latest; the version is the entity tag. Unknown: CF404.';

CREATE FUNCTION api.profile_get(name text, wanted int) RETURNS api.answer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.profile_answer(name, wanted)
$$;
COMMENT ON FUNCTION api.profile_get(text, int) IS 'GET /v1/profiles/{name}: a version, without one the latest. Unknown: CF404.';

CREATE FUNCTION api.profile_history(name text, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := 'profile ' || name;
	its_profile CONSTANT int := (SELECT p.profile_id FROM coldchain.profile AS p WHERE p.code = name);
	before CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 2147483647);
	items text;
	last_version int;
BEGIN
	IF its_profile IS NULL THEN
		RAISE EXCEPTION 'there is no profile %', name USING ERRCODE = 'CF404';
	END IF;
	SELECT string_agg(item::text, ',' ORDER BY version DESC) FILTER (WHERE n <= max_rows),
		min(version) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_version
	FROM (
		SELECT v.version, row_number() OVER (ORDER BY v.version DESC) AS n, count(*) OVER () AS shown, api.json_profile(p, v) AS item
		FROM coldchain.profile AS p
		JOIN (SELECT * FROM coldchain.profile_version AS x WHERE x.profile_id = its_profile AND x.version < before
		      ORDER BY x.version DESC LIMIT max_rows + 1) AS w USING (profile_id)
		JOIN coldchain.profile_version AS v USING (profile_version_id)) AS found;
	RETURN api.json_page(items, scope, last_version::text);
END
$$;
COMMENT ON FUNCTION api.profile_history(text, int, text) IS 'GET /v1/profiles/{name}/history: its versions, the latest first. Unknown: CF404.';

CREATE FUNCTION api.profile_put(name text, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	latest CONSTANT int := coalesce((SELECT max(v.version) FROM coldchain.profile AS p JOIN coldchain.profile_version AS v USING (profile_id)
					 WHERE p.code = name), 0);
	made int;
BEGIN
	PERFORM api.must_see_all('profiles are made');
	PERFORM api.check_match(if_match, latest::text);
	PERFORM api.because(body ->> 'reason');
	IF name !~ '^[a-z0-9][a-z0-9-]{0,63}$' THEN
		RAISE EXCEPTION 'name: expected 1 to 64 of a-z 0-9 -' USING ERRCODE = 'CF422';
	END IF;
	IF EXISTS (SELECT FROM jsonb_array_elements(body -> 'bands') AS b WHERE b ->> 'code' !~ '^[a-z0-9][a-z0-9-]{0,31}$') THEN
		RAISE EXCEPTION 'bands.code: expected 1 to 32 of a-z 0-9 -' USING ERRCODE = 'CF422';
	END IF;
	made := coldchain.put_profile(name, jsonb_strip_nulls(body - 'reason'));
	-- Of two that make the first version, or the next one, at once the later one finds that it was made.
	IF (SELECT v.version FROM coldchain.profile_version AS v WHERE v.profile_version_id = made) <> latest + 1 THEN
		RAISE EXCEPTION 'If-Match: it was changed meanwhile; read it again' USING ERRCODE = 'CF412';
	END IF;
	RETURN api.profile_answer(name, latest + 1, CASE WHEN latest = 0 THEN 201 ELSE 200 END);
EXCEPTION
	WHEN no_data_found THEN
		RAISE EXCEPTION 'product: there is none with the name %', body ->> 'product' USING ERRCODE = 'CF422';
	WHEN unique_violation THEN
		RAISE EXCEPTION 'bands.code: two bands have the same' USING ERRCODE = 'CF422';
	WHEN check_violation THEN
		RAISE EXCEPTION 'expected lower ends below upper ends, at least one end a band, an end that is there where it is inclusive, no band '
			'within the storage range, and effective_to after effective_from' USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.profile_put(text, jsonb, text) IS
	'PUT /v1/profiles/{name}: the next version, with what the body says and nothing of the one before; a profile that is new has the '
	'version 0 for If-Match. Another version: CF412; an unknown product or bands that cannot be: CF422.';

-- ---- shipments ----

CREATE FUNCTION api.check_moment(name text, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF at < '2000-01-01Z' OR at > now() + interval '10 minutes' THEN
		RAISE EXCEPTION '%: expected a time since 2000 that is not to come', name USING ERRCODE = 'CF422';
	END IF;
	RETURN at;
END
$$;
COMMENT ON FUNCTION api.check_moment(text, timestamptz) IS 'A moment at which something has happened; else CF422. NULL stays NULL.';

CREATE FUNCTION api.shipment_fields(s coldchain.shipment) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', s.shipment_id, 'reference', s.reference, 'state', s.state,
		'lane', (SELECT jsonb_build_object('origin', l.origin, 'destination', l.destination, 'carrier', nullif(l.carrier, ''))
			 FROM coldchain.lane AS l WHERE l.lane_id = s.lane_id),
		'ignore_s', s.ignore_s, 'geofenced', s.geofenced, 'started_at', api.json_at(s.started_at), 'delivered_at', api.json_at(s.delivered_at),
		'closed_at', api.json_at(s.closed_at), 'cancelled_at', api.json_at(s.cancelled_at),
		'decision', CASE WHEN s.decision IS NOT NULL THEN jsonb_build_object('decision', s.decision, 'by', s.decided_by,
			'at', api.json_at(s.decided_at), 'reason', s.decision_reason) END,
		'note', nullif(s.note, ''), 'created_at', api.json_at(s.created_at), 'created_by', s.created_by,
		'lots', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', l.lot_id, 'product', p.name, 'number', l.number, 'expires_on', l.expires_on,
				'quantity', c.quantity) ORDER BY l.lot_id), '[]')
			 FROM coldchain.shipment_lot AS c JOIN coldchain.lot AS l USING (lot_id) JOIN coldchain.product AS p USING (product_id)
			 WHERE c.shipment_id = s.shipment_id))
		|| (SELECT jsonb_build_object('devices', (SELECT count(DISTINCT a.device_id) FROM coldchain.assignment AS a
				WHERE a.shipment_id = s.shipment_id AND NOT isempty(a.during)),
			'excursions', jsonb_build_object('standing', count(*), 'open', count(*) FILTER (WHERE e.state = 'open'),
				'alarmed', count(e.alarm_at)))
		    FROM coldchain.assignment AS a JOIN coldchain.excursion AS e USING (assignment_id)
		    WHERE a.shipment_id = s.shipment_id AND e.state IN ('open', 'ended'))
$$;
COMMENT ON FUNCTION api.shipment_fields(coldchain.shipment) IS 'A shipment as lists tell it, as a JSON object.';

CREATE FUNCTION api.json_assignment(a coldchain.assignment) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('id', a.assignment_id, 'version', a.version, 'serial', d.serial, 'probe', a.probe, 'role', a.role,
		'product', o.name, 'lot', l.number, 'profile', p.code, 'profile_version', v.version, 'sample_interval_s', a.sample_interval_s,
		'withdrawn', isempty(a.during), 'from', api.json_at(lower(a.during)), 'to', api.json_at(upper(a.during)),
		'judged_from', api.json_at(lower(a.judged)), 'judged_to', api.json_at(upper(a.judged)),
		'history', (SELECT coalesce(json_agg(json_build_object('version', h.version, 'from', api.json_at(lower(h.during)),
				'to', api.json_at(upper(h.during)), 'withdrawn', isempty(h.during), 'profile_version', w.version, 'role', h.role,
				'sample_interval_s', h.sample_interval_s, 'at', api.json_at(h.at), 'actor', h.actor, 'reason', h.reason)
				ORDER BY h.version DESC), '[]')
			    FROM coldchain.assignment_version AS h JOIN coldchain.profile_version AS w USING (profile_version_id)
			    WHERE h.assignment_id = a.assignment_id))
	FROM fleet.device AS d, coldchain.lot AS l JOIN coldchain.product AS o USING (product_id), coldchain.profile_version AS v
		JOIN coldchain.profile AS p USING (profile_id)
	WHERE d.device_id = a.device_id AND l.lot_id = a.lot_id AND v.profile_version_id = a.profile_version_id
$$;
COMMENT ON FUNCTION api.json_assignment(coldchain.assignment) IS 'An assignment with its versions, the latest first, as a JSON object.';

CREATE FUNCTION api.shipment_whole(s coldchain.shipment) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.shipment_fields(s) || jsonb_build_object(
		'legs', (SELECT coalesce(jsonb_agg(jsonb_build_object('leg', g.leg, 'origin', g.origin, 'destination', g.destination,
				'carrier', nullif(g.carrier, ''), 'started_at', api.json_at(g.started_at), 'started_how', g.started_how,
				'ended_at', api.json_at(g.ended_at), 'ended_how', g.ended_how) ORDER BY g.leg), '[]')
			 FROM coldchain.leg AS g WHERE g.shipment_id = s.shipment_id),
		'assignments', (SELECT coalesce(jsonb_agg(api.json_assignment(a) ORDER BY a.assignment_id), '[]')
				FROM coldchain.assignment AS a WHERE a.shipment_id = s.shipment_id))
$$;
COMMENT ON FUNCTION api.shipment_whole(coldchain.shipment) IS 'A shipment with its legs and assignments as a JSON object.';

CREATE FUNCTION api.shipment_find(id int, changes boolean DEFAULT false) RETURNS coldchain.shipment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found coldchain.shipment;
BEGIN
	SELECT * INTO found FROM coldchain.shipment AS s WHERE s.shipment_id = id;
	IF found.shipment_id IS NULL THEN
		RAISE EXCEPTION 'there is no shipment %', id USING ERRCODE = 'CF404';
	END IF;
	IF changes THEN
		SELECT * INTO found FROM coldchain.shipment AS s WHERE s.shipment_id = id FOR UPDATE;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION api.shipment_find(int, boolean) IS
	'A shipment; changes: that is about to be changed, so the next change waits. Unknown, or the call sees none of its devices: CF404.';

CREATE FUNCTION api.shipment_answer(id int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id);
	body CONSTANT text := api.shipment_whole(s)::text;
BEGIN
	RETURN (status, body, concat(s.revision, '.', left(md5(body), 16)),
		CASE WHEN status = 201 THEN '/v1/shipments/' || id END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.shipment_answer(int, int) IS
	'A shipment as an answer. Its entity tag is the revision, which If-Match looks at, and a digest of the whole.';

CREATE FUNCTION api.shipment_get(id int) RETURNS api.answer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.shipment_answer(id)
$$;
COMMENT ON FUNCTION api.shipment_get(int) IS 'GET /v1/shipments/{id}. Unknown: CF404.';

CREATE FUNCTION api.shipments(max_rows int, page text, state text, decision text, device text, lot text, reference text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
	scope CONSTANT text := concat_ws(E'\n', 'shipments', state, '', decision, '', device, '', lot, '', reference);
	before CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 2147483647);
	number CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	items text;
	last_id int;
BEGIN
	SELECT string_agg(api.shipment_fields(s)::text, ',' ORDER BY s.shipment_id DESC) FILTER (WHERE n <= max_rows),
		min(s.shipment_id) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_id
	FROM (SELECT s.shipment_id, row_number() OVER (ORDER BY s.shipment_id DESC) AS n, count(*) OVER () AS shown
	      FROM (SELECT s.shipment_id FROM coldchain.shipment AS s WHERE s.shipment_id < before
			AND (shipments.state IS NULL OR s.state = shipments.state)
			AND (shipments.decision IS NULL OR s.decision IS NOT DISTINCT FROM nullif(shipments.decision, 'none'))
			AND (shipments.reference IS NULL OR s.reference = shipments.reference)
			AND (number IS NULL OR s.shipment_id IN (SELECT a.shipment_id FROM coldchain.assignment AS a WHERE a.device_id = number))
			AND (lot IS NULL OR s.shipment_id IN (SELECT c.shipment_id FROM coldchain.lot AS l JOIN coldchain.shipment_lot AS c USING (lot_id)
				WHERE l.number = lot))
		ORDER BY s.shipment_id DESC LIMIT max_rows + 1) AS s) AS found
	JOIN coldchain.shipment AS s USING (shipment_id);
	RETURN api.json_page(items, scope, last_id::text);
END
$$;
COMMENT ON FUNCTION api.shipments(int, text, text, text, text, text, text) IS
	'GET /v1/shipments: a page of shipments, the latest made first: in a state, with a decision (none: not decided), that a device watched, '
	'with a lot, by reference. Unknown device: CF404.';

CREATE FUNCTION api.put_lane(lane jsonb) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_carrier CONSTANT text := coalesce(lane ->> 'carrier', '');
	found int;
BEGIN
	IF coalesce(lane, 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	SELECT l.lane_id INTO found FROM coldchain.lane AS l
	WHERE l.origin = lane ->> 'origin' AND l.destination = lane ->> 'destination' AND l.carrier = its_carrier;
	IF found IS NULL THEN
		INSERT INTO coldchain.lane (origin, destination, carrier) VALUES (lane ->> 'origin', lane ->> 'destination', its_carrier)
		ON CONFLICT DO NOTHING RETURNING lane_id INTO found;
	END IF;
	IF found IS NULL THEN -- somebody else has made it meanwhile
		SELECT l.lane_id INTO found FROM coldchain.lane AS l
		WHERE l.origin = lane ->> 'origin' AND l.destination = lane ->> 'destination' AND l.carrier = its_carrier;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION api.put_lane(jsonb) IS 'The number of a lane, which is made when it is new; NULL for JSON null or nothing.';

CREATE FUNCTION api.put_lot(shipment int, lot jsonb) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_product CONSTANT int := (SELECT p.product_id FROM coldchain.product AS p WHERE p.name = lot ->> 'product');
	found coldchain.lot;
BEGIN
	IF its_product IS NULL THEN
		RAISE EXCEPTION 'product: there is none with the name %', lot ->> 'product' USING ERRCODE = 'CF422';
	END IF;
	INSERT INTO coldchain.lot (product_id, number, expires_on) VALUES (its_product, lot ->> 'number', (lot ->> 'expires_on')::date)
	ON CONFLICT DO NOTHING;
	SELECT * INTO found FROM coldchain.lot AS l WHERE l.product_id = its_product AND l.number = lot ->> 'number';
	IF found.expires_on <> (lot ->> 'expires_on')::date THEN
		RAISE EXCEPTION 'expires_on: the lot is known with %', found.expires_on USING ERRCODE = 'CF409';
	END IF;
	IF found.expires_on IS NULL AND lot ->> 'expires_on' IS NOT NULL THEN
		UPDATE coldchain.lot AS l SET expires_on = (lot ->> 'expires_on')::date WHERE l.lot_id = found.lot_id;
	END IF;
	INSERT INTO coldchain.shipment_lot AS c (shipment_id, lot_id, quantity) VALUES (shipment, found.lot_id, (lot ->> 'quantity')::int)
	ON CONFLICT (shipment_id, lot_id) DO UPDATE SET quantity = excluded.quantity WHERE excluded.quantity IS DISTINCT FROM c.quantity;
	RETURN found.lot_id;
END
$$;
COMMENT ON FUNCTION api.put_lot(int, jsonb) IS
	'Puts a lot into a shipment and makes it when it is new; returns its number. An unknown product: CF422; another expiry date than is known: CF409.';

CREATE FUNCTION api.shipment_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made int;
BEGIN
	PERFORM api.must_see_all('shipments are made');
	PERFORM api.because(body ->> 'reason');
	BEGIN
		INSERT INTO coldchain.shipment (reference, lane_id, ignore_s, geofenced, note)
		VALUES (body ->> 'reference', api.put_lane(body -> 'lane'), coalesce((body ->> 'ignore_s')::int, 600),
			coalesce((body ->> 'geofenced')::boolean, false), coalesce(body ->> 'note', ''))
		RETURNING shipment_id INTO made;
	EXCEPTION WHEN unique_violation THEN
		RAISE EXCEPTION 'reference: there is a shipment % already', body ->> 'reference' USING ERRCODE = 'CF409';
	END;
	PERFORM api.put_lot(made, lot) FROM jsonb_array_elements(coalesce(nullif(body -> 'lots', 'null'), '[]')) AS lot;
	INSERT INTO coldchain.leg (shipment_id, leg, origin, destination, carrier)
	SELECT made, n, g ->> 'origin', g ->> 'destination', coalesce(g ->> 'carrier', '')
	FROM jsonb_array_elements(coalesce(nullif(body -> 'legs', 'null'), '[]')) WITH ORDINALITY AS e (g, n);
	RETURN api.shipment_answer(made, 201);
END
$$;
COMMENT ON FUNCTION api.shipment_create(jsonb) IS
	'POST /v1/shipments: makes a shipment with its lots and legs, ready. A reference that is known: CF409; an unknown product: CF422; a '
	'token with a scope: CF403.';

CREATE FUNCTION api.shipment_change(id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id, true);
BEGIN
	PERFORM api.must_see_all('shipments are edited');
	PERFORM api.check_match(if_match, s.revision::text);
	PERFORM api.because(body ->> 'reason');
	IF s.state IN ('closed', 'cancelled') THEN
		RAISE EXCEPTION 'shipment % is %: nothing about it changes', id, s.state USING ERRCODE = 'CF409';
	END IF;
	IF (body ? 'started_at' AND s.started_at IS NULL) OR (body ? 'delivered_at' AND s.delivered_at IS NULL) THEN
		RAISE EXCEPTION 'shipment % is %: times are corrected once they are known', id, s.state USING ERRCODE = 'CF409';
	END IF;
	UPDATE coldchain.shipment AS t SET reference = coalesce(body ->> 'reference', t.reference),
		lane_id = CASE WHEN body ? 'lane' THEN api.put_lane(body -> 'lane') ELSE t.lane_id END,
		ignore_s = coalesce((body ->> 'ignore_s')::int, t.ignore_s),
		geofenced = coalesce((body ->> 'geofenced')::boolean, t.geofenced),
		note = CASE WHEN body ? 'note' THEN coalesce(body ->> 'note', '') ELSE t.note END,
		started_at = coalesce(api.check_moment('started_at', (body ->> 'started_at')::timestamptz), t.started_at),
		delivered_at = coalesce(api.check_moment('delivered_at', (body ->> 'delivered_at')::timestamptz), t.delivered_at)
	WHERE t.shipment_id = id;
	PERFORM api.put_lot(id, lot) FROM jsonb_array_elements(coalesce(body -> 'lots', '[]')) AS lot;
	RETURN api.shipment_answer(id);
EXCEPTION
	WHEN unique_violation THEN
		RAISE EXCEPTION 'reference: there is a shipment % already', body ->> 'reference' USING ERRCODE = 'CF409';
	WHEN check_violation THEN
		RAISE EXCEPTION 'delivered_at: expected a time after started_at' USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.shipment_change(int, jsonb, text) IS
	'PATCH /v1/shipments/{id}: what the body names is replaced, lots are added. If-Match names another revision: CF412; closed or '
	'cancelled, or a reference that is known: CF409; unknown: CF404.';

CREATE FUNCTION api.shipment_step(id int, body jsonb, step text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id, true);
	at CONSTANT timestamptz := coalesce(api.check_moment('at', (body ->> 'at')::timestamptz), now());
BEGIN
	IF step IN ('close', 'cancel') THEN
		PERFORM api.must_see_all('shipments are closed and cancelled');
	END IF;
	PERFORM api.because(body ->> 'reason');
	IF (step, s.state) NOT IN (('depart', 'ready'), ('arrive', 'shipping'), ('close', 'delivered'), ('cancel', 'ready'), ('cancel', 'shipping')) THEN
		RAISE EXCEPTION 'shipment % is %', id, s.state USING ERRCODE = 'CF409';
	END IF;
	IF step = 'close' AND s.decision IS NULL THEN
		RAISE EXCEPTION 'shipment %: nobody has decided yet', id USING ERRCODE = 'CF409';
	END IF;
	UPDATE coldchain.shipment AS t SET
		state = CASE step WHEN 'depart' THEN 'shipping' WHEN 'arrive' THEN 'delivered' WHEN 'close' THEN 'closed' ELSE 'cancelled' END,
		started_at = CASE step WHEN 'depart' THEN at ELSE t.started_at END,
		delivered_at = CASE step WHEN 'arrive' THEN at ELSE t.delivered_at END,
		closed_at = CASE step WHEN 'close' THEN now() END,
		cancelled_at = CASE step WHEN 'cancel' THEN now() END
	WHERE t.shipment_id = id;
	-- What nobody has told of the legs: the first begins, the last ends with the shipment.
	UPDATE coldchain.leg AS g SET started_at = at, started_how = 'person'
	WHERE step = 'depart' AND g.shipment_id = id AND g.leg = 1 AND g.started_at IS NULL;
	UPDATE coldchain.leg AS g SET ended_at = at, ended_how = 'person'
	WHERE step = 'arrive' AND g.shipment_id = id AND g.ended_at IS NULL AND g.started_at < at
		AND g.leg = (SELECT max(h.leg) FROM coldchain.leg AS h WHERE h.shipment_id = id);
	RETURN api.shipment_answer(id);
EXCEPTION WHEN check_violation THEN
	RAISE EXCEPTION 'at: expected a time after the start' USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.shipment_step(int, jsonb, text) IS
	'POST /v1/shipments/{id}:depart, arrive, close or cancel, at a moment of measurement time or now. From another state, or closed without a '
	'decision: CF409; unknown: CF404.';

CREATE FUNCTION api.shipment_decide(id int, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(id, true);
BEGIN
	PERFORM api.must_see_all('shipments are decided on');
	PERFORM api.because(body ->> 'reason');
	IF s.state <> 'delivered' THEN
		RAISE EXCEPTION 'shipment % is %: it is decided on when it is delivered', id, s.state USING ERRCODE = 'CF409';
	END IF;
	UPDATE coldchain.shipment AS t SET decision = body ->> 'decision', decided_by = fleet.setting('actor'), decided_at = now(),
		decision_reason = body ->> 'reason'
	WHERE t.shipment_id = id;
	RETURN api.shipment_answer(id);
END
$$;
COMMENT ON FUNCTION api.shipment_decide(int, jsonb) IS
	'POST /v1/shipments/{id}:decide: released, quarantined or rejected, by whoever calls, with a reason; may be decided anew until it is '
	'closed. Not delivered: CF409; unknown: CF404.';

-- ---- assignments ----

CREATE FUNCTION api.assignment_during(body jsonb, known tstzrange) RETURNS tstzrange
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	starts CONSTANT timestamptz := CASE WHEN body ? 'from' THEN (body ->> 'from')::timestamptz ELSE lower(known) END;
	ends CONSTANT timestamptz := CASE WHEN body ? 'to' THEN (body ->> 'to')::timestamptz ELSE upper(known) END;
BEGIN
	IF (body ->> 'withdrawn')::boolean THEN
		RETURN 'empty';
	END IF;
	IF starts IS NULL OR starts < '2000-01-01Z' OR starts > '2200-01-01Z' OR ends > '2200-01-01Z' OR ends <= starts THEN
		RAISE EXCEPTION 'from and to: expected times since 2000, the second after the first' USING ERRCODE = 'CF422';
	END IF;
	RETURN tstzrange(starts, ends);
END
$$;
COMMENT ON FUNCTION api.assignment_during(jsonb, tstzrange) IS 'The interval that the body of an assignment says, what it does not say as it was known. A wrong one: CF422.';

CREATE FUNCTION api.assignment_profile(body jsonb, at timestamptz) RETURNS int
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found int;
BEGIN
	IF body ->> 'profile_version' IS NULL THEN
		found := coldchain.profile_version_at(body ->> 'profile', at);
	ELSE
		SELECT v.profile_version_id INTO found FROM coldchain.profile AS p JOIN coldchain.profile_version AS v USING (profile_id)
		WHERE p.code = body ->> 'profile' AND v.version = (body ->> 'profile_version')::int;
	END IF;
	IF found IS NULL THEN
		RAISE EXCEPTION 'profile: there is no version of % that holds then', body ->> 'profile' USING ERRCODE = 'CF422';
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION api.assignment_profile(jsonb, timestamptz) IS
	'The version of the profile that the body of an assignment names, else the one that holds on that day. None: CF422.';

CREATE FUNCTION api.assignment_lot(shipment int, body jsonb) RETURNS int
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found CONSTANT int[] := ARRAY(SELECT l.lot_id FROM coldchain.shipment_lot AS c JOIN coldchain.lot AS l USING (lot_id)
		JOIN coldchain.product AS p USING (product_id)
		WHERE c.shipment_id = shipment AND (body ->> 'lot' IS NULL OR l.number = body ->> 'lot')
			AND (body ->> 'product' IS NULL OR p.name = body ->> 'product') LIMIT 2);
BEGIN
	IF cardinality(found) <> 1 THEN
		RAISE EXCEPTION 'lot: expected one of the shipment, with its product where two have the same number; without a lot the shipment has only one'
			USING ERRCODE = 'CF422';
	END IF;
	RETURN found[1];
END
$$;
COMMENT ON FUNCTION api.assignment_lot(int, jsonb) IS 'The lot of a shipment that the body of an assignment means. Not one: CF422.';

CREATE FUNCTION api.assignment_answer(id int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (status, api.json_assignment(a)::text, a.version::text,
		CASE WHEN status = 201 THEN format('/v1/shipments/%s/assignments/%s', a.shipment_id, a.assignment_id) END)::api.answer
	FROM coldchain.assignment AS a WHERE a.assignment_id = id
$$;
COMMENT ON FUNCTION api.assignment_answer(int, int) IS 'An assignment as an answer; its version is the entity tag.';

CREATE FUNCTION api.assignment_get(shipment int, id int) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(shipment);
	answer CONSTANT api.answer := (SELECT api.assignment_answer(a.assignment_id) FROM coldchain.assignment AS a
		WHERE a.shipment_id = s.shipment_id AND a.assignment_id = id);
BEGIN
	IF answer.body IS NULL THEN
		RAISE EXCEPTION 'shipment % has no assignment %', shipment, id USING ERRCODE = 'CF404';
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION api.assignment_get(int, int) IS 'GET /v1/shipments/{id}/assignments/{assignment}. Unknown: CF404.';

CREATE FUNCTION api.assignment_create(shipment int, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s CONSTANT coldchain.shipment := api.shipment_find(shipment, true);
	device CONSTANT int := api.device_number(body ->> 'serial');
	during CONSTANT tstzrange := api.assignment_during(body, tstzrange(coalesce(s.started_at, now()), NULL));
	made int;
BEGIN
	PERFORM api.because(body ->> 'reason');
	INSERT INTO coldchain.assignment (device_id, probe, shipment_id, lot_id, profile_version_id, role, during, sample_interval_s)
	VALUES (device, coalesce((body ->> 'probe')::smallint, 0), shipment, api.assignment_lot(shipment, body),
		api.assignment_profile(body, lower(during)), coalesce(body ->> 'role', 'product'), during,
		coalesce((body ->> 'sample_interval_s')::int, 600))
	RETURNING assignment_id INTO made;
	RETURN api.assignment_answer(made, 201);
EXCEPTION WHEN object_not_in_prerequisite_state OR exclusion_violation THEN
	RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.assignment_create(int, jsonb) IS
	'POST /v1/shipments/{id}/assignments: a probe of a device watches a lot, from the shipment''s start (or now) on unless the body says '
	'otherwise. Closed, cancelled, or the device is elsewhere then: CF409; an unknown lot or profile: CF422; shipment or device: CF404.';

CREATE FUNCTION api.assignment_change(shipment int, id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Before the assignment: whoever moves the shipment holds it and then wants its assignments.
	s CONSTANT coldchain.shipment := api.shipment_find(shipment, true);
	a coldchain.assignment;
	wanted jsonb;
	its_during tstzrange;
BEGIN
	SELECT * INTO a FROM coldchain.assignment AS x WHERE x.shipment_id = s.shipment_id AND x.assignment_id = id FOR UPDATE;
	IF a.assignment_id IS NULL THEN
		RAISE EXCEPTION 'shipment % has no assignment %', shipment, id USING ERRCODE = 'CF404';
	END IF;
	PERFORM api.check_match(if_match, a.version::text);
	PERFORM api.because(body ->> 'reason');
	its_during := CASE WHEN body ?| '{from,to,withdrawn}' THEN api.assignment_during(body, a.during) ELSE a.during END;
	SELECT jsonb_build_object('profile', coalesce(body ->> 'profile', p.code), 'profile_version', body -> 'profile_version') INTO wanted
	FROM coldchain.profile_version AS v JOIN coldchain.profile AS p USING (profile_id) WHERE v.profile_version_id = a.profile_version_id;
	UPDATE coldchain.assignment AS x SET during = its_during, role = coalesce(body ->> 'role', x.role),
		sample_interval_s = coalesce((body ->> 'sample_interval_s')::int, x.sample_interval_s),
		profile_version_id = CASE WHEN body ?| '{profile,profile_version}' THEN api.assignment_profile(wanted,
			coalesce(lower(its_during), now())) ELSE x.profile_version_id END
	WHERE x.assignment_id = id;
	RETURN api.assignment_answer(id);
EXCEPTION WHEN object_not_in_prerequisite_state OR exclusion_violation THEN
	RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.assignment_change(int, int, jsonb, text) IS
	'PATCH /v1/shipments/{id}/assignments/{assignment}: a correction, kept as a new version; everything is computed anew. If-Match names '
	'another version: CF412; closed, cancelled, or the device is elsewhere then: CF409; unknown: CF404.';

-- ---- what was found ----

CREATE FUNCTION api.json_excursion(e coldchain.excursion) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('id', e.excursion_id, 'revision', e.revision, 'state', e.state, 'kind', b.code, 'title', b.title,
		'serial', d.serial, 'probe', e.probe, 'shipment_id', s.shipment_id, 'shipment', s.reference, 'assignment', e.assignment_id,
		'product', o.name, 'lot', l.number, 'profile', p.code, 'profile_version', v.version, 'algorithm', e.algorithm,
		'counting', b.counting, 'allowed_s', b.allowed_s, 'irreversible', b.irreversible,
		'started_at', api.json_at(e.started_at), 'last_at', api.json_at(e.last_at), 'ended_at', api.json_at(e.ended_at),
		'alarm_at', api.json_at(e.alarm_at), 'worst_alarm_at', api.json_at(e.worst_alarm_at), 'late', e.late,
		'out_s', e.out_s, 'unobserved_s', e.unobserved_s, 'min_c', e.min_c, 'max_c', e.max_c, 'samples', e.samples,
		'found_at', api.json_at(e.found_at), 'merged_into', e.merged_into, 'split_from', e.split_from)
	FROM coldchain.band AS b JOIN coldchain.profile_version AS v USING (profile_version_id) JOIN coldchain.profile AS p USING (profile_id),
		coldchain.assignment AS a JOIN fleet.device AS d USING (device_id) JOIN coldchain.shipment AS s USING (shipment_id)
		JOIN coldchain.lot AS l USING (lot_id) JOIN coldchain.product AS o USING (product_id)
	WHERE b.band_id = e.band_id AND a.assignment_id = e.assignment_id
$$;
COMMENT ON FUNCTION api.json_excursion(coldchain.excursion) IS 'An excursion as a JSON object.';

-- A page looks at no more than `reach` excursions; then it is short, and `next` goes on from there.
CREATE FUNCTION api.excursions(max_rows int, page text, state text, kind text, device text, lot text, shipment int, since timestamptz,
	until timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	reach CONSTANT int := 3000;
	scope CONSTANT text := concat_ws(E'\n', 'excursions', state, '', kind, '', device, '', lot, '', shipment, '', since, '', until);
	key CONSTANT text := api.cursor_key(scope, page);
	at CONSTANT timestamptz := CASE WHEN key IS NULL THEN 'infinity' ELSE api.from_micros(split_part(key, '.', 1)) END;
	id CONSTANT bigint := CASE WHEN key IS NULL THEN 0 ELSE split_part(key, '.', 2)::bigint END;
	number CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	its_shipment CONSTANT int := CASE WHEN shipment IS NOT NULL THEN (api.shipment_find(shipment)).shipment_id END;
	lots CONSTANT int[] := CASE WHEN lot IS NOT NULL THEN ARRAY(SELECT l.lot_id FROM coldchain.lot AS l WHERE l.number = lot) END;
	bands CONSTANT int[] := CASE WHEN kind IS NOT NULL THEN ARRAY(SELECT b.band_id FROM coldchain.band AS b WHERE b.code = kind) END;
	-- Those of a shipment, lot or device by its index, and not by walking past all others.
	source CONSTANT text := 'coldchain.excursion AS e' || CASE WHEN its_shipment IS NULL AND lots IS NULL THEN '' ELSE
		' JOIN coldchain.assignment AS a ON a.assignment_id = e.assignment_id AND a.device_id = e.device_id' END
		|| ' WHERE (e.started_at, e.excursion_id) < ($1, $2)'
		|| CASE state WHEN 'standing' THEN ' AND e.state IN (''open'', ''ended'')' ELSE format(' AND e.state = %L', state) END
		|| CASE WHEN number IS NOT NULL THEN ' AND e.device_id = $3' ELSE '' END
		|| CASE WHEN its_shipment IS NOT NULL THEN ' AND a.shipment_id = $4' ELSE '' END
		|| CASE WHEN lots IS NOT NULL THEN ' AND a.lot_id = ANY ($5)' ELSE '' END
		|| CASE WHEN since IS NOT NULL THEN ' AND e.started_at >= $6' ELSE '' END
		|| CASE WHEN until IS NOT NULL THEN ' AND e.started_at < $7' ELSE '' END;
	items text;
	next_key text;
BEGIN
	EXECUTE format('WITH seen AS MATERIALIZED (SELECT e FROM %s ORDER BY e.started_at DESC, e.excursion_id DESC LIMIT %s), met AS MATERIALIZED (
			SELECT row_number() OVER (ORDER BY (e).started_at DESC, (e).excursion_id DESC) AS n, e FROM seen
			WHERE $8 IS NULL OR (e).band_id = ANY ($8) ORDER BY n LIMIT $9 + 1)
		SELECT (SELECT string_agg(api.json_excursion(e)::text, '','' ORDER BY n) FROM met WHERE n <= $9),
			CASE WHEN (SELECT count(*) FROM met) > $9
			THEN (SELECT concat(api.micros((e).started_at), ''.'', (e).excursion_id) FROM met WHERE n = $9)
			WHEN (SELECT count(*) FROM seen) = %2$s THEN (SELECT concat(api.micros((e).started_at), ''.'', (e).excursion_id)
				FROM seen ORDER BY (e).started_at, (e).excursion_id LIMIT 1) END', source, reach)
	INTO items, next_key USING at, id, number, its_shipment, lots, since, until, bands, max_rows;
	RETURN api.json_page(items, scope, next_key);
END
$$;
COMMENT ON FUNCTION api.excursions(int, text, text, text, text, text, int, timestamptz, timestamptz) IS
	'GET /v1/excursions: a page of excursions, those that began last first: in a state (standing: open or ended), of a kind of band, of a '
	'device, lot or shipment, begun since and before. Maybe fewer than max_rows. Unknown device or shipment: CF404.';

CREATE FUNCTION api.excursion_get(id bigint) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	body text;
BEGIN
	SELECT api.json_excursion(e)::jsonb || jsonb_build_object('revisions', (
		SELECT jsonb_agg(jsonb_build_object('revision', r.revision, 'at', api.json_at(r.at), 'change', r.change, 'state', r.state,
			'started_at', api.json_at(r.started_at), 'last_at', api.json_at(r.last_at), 'ended_at', api.json_at(r.ended_at),
			'alarm_at', api.json_at(r.alarm_at), 'out_s', r.out_s, 'unobserved_s', r.unobserved_s, 'min_c', r.min_c, 'max_c', r.max_c,
			'algorithm', r.algorithm) ORDER BY r.revision DESC)
		FROM coldchain.excursion_revision AS r WHERE r.excursion_id = id))
	INTO body FROM coldchain.excursion AS e WHERE e.excursion_id = id;
	IF body IS NULL THEN
		RAISE EXCEPTION 'there is no excursion %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN body;
END
$$;
COMMENT ON FUNCTION api.excursion_get(bigint) IS 'GET /v1/excursions/{id}: an excursion and all that was ever said of it, the latest first. Unknown: CF404.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;

-- No tracker that watches over a shipment is halted by mistake.
CREATE OR REPLACE FUNCTION command.active_shipment(device_id int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.reference FROM coldchain.assignment AS a JOIN coldchain.shipment AS s USING (shipment_id)
	WHERE a.device_id = active_shipment.device_id AND s.state = 'shipping' AND a.during @> now()
	ORDER BY s.shipment_id DESC LIMIT 1
$$;

GRANT EXECUTE ON FUNCTION api.products(int, text), api.product_create(jsonb), api.profiles(int, text), api.profile_get(text, int),
	api.profile_history(text, int, text), api.profile_put(text, jsonb, text), api.shipments(int, text, text, text, text, text, text),
	api.shipment_create(jsonb), api.shipment_get(int), api.shipment_change(int, jsonb, text), api.shipment_step(int, jsonb, text),
	api.shipment_decide(int, jsonb), api.assignment_get(int, int), api.assignment_create(int, jsonb),
	api.assignment_change(int, int, jsonb, text), api.excursions(int, text, text, text, text, text, int, timestamptz, timestamptz),
	api.excursion_get(bigint) TO coldfleet_api;

COMMIT;
