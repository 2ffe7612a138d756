-- SPDX-License-Identifier: Apache-2.0
-- Alarms and webhooks over REST. A token with a scope sees the alarms of its devices, and the webhooks that were made within
-- its scope, whose deliveries are about its devices alone.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.alarms(max_rows int, page text, states text, kind text, device text, shipment int) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	before_id CONSTANT bigint := coalesce(api.cursor_key('alarms', page)::bigint, 9223372036854775807);
	known CONSTANT text[] := '{raised,escalated,acknowledged,cleared}';
	its_states CONSTANT text[] := string_to_array(states, ',');
	its_device CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	items text;
	shown int;
	last_id bigint;
BEGIN
	IF NOT its_states <@ known THEN
		RAISE EXCEPTION 'state: expected some of %, with commas between', array_to_string(known, ', ') USING ERRCODE = 'CF422';
	END IF;
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY a.alarm_id DESC) AS n, a.alarm_id AS id, coldchain.alarm_json(a)::text AS item
		FROM coldchain.alarm AS a
		WHERE a.alarm_id < before_id AND (its_states IS NULL OR a.state = ANY (its_states))
			-- Told twice, so that a page of open ones can be found by an index of its own.
			AND (its_states IS NULL OR 'cleared' = ANY (its_states) OR a.cleared_at IS NULL)
			AND (alarms.kind IS NULL OR a.kind = alarms.kind) AND (its_device IS NULL OR a.device_id = its_device)
			AND (shipment IS NULL OR a.shipment_id = shipment)
		ORDER BY a.alarm_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor('alarms', last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.alarms(int, text, text, text, text, int) IS
	'GET /v1/alarms: a page of alarms, the latest first; in these states, of a kind, of a device, of a shipment. A wrong state: CF422; an '
	'unknown device: CF404.';

CREATE FUNCTION api.alarm_acknowledge(id bigint, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a coldchain.alarm;
BEGIN
	IF NOT EXISTS (SELECT FROM coldchain.alarm AS x WHERE x.alarm_id = id) THEN
		RAISE EXCEPTION 'there is no alarm %', id USING ERRCODE = 'CF404';
	END IF;
	PERFORM api.because(body ->> 'reason');
	a := coldchain.alarm_acknowledge(id, current_setting('coldfleet.actor'), body ->> 'reason');
	RETURN (200, coldchain.alarm_json(a)::text, NULL, NULL)::api.answer;
EXCEPTION
	WHEN object_not_in_prerequisite_state THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF409';
	WHEN check_violation THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.alarm_acknowledge(bigint, jsonb) IS
	'POST /v1/alarms/{id}:acknowledge. Acknowledged before: CF409; a reason of blanks: CF422; unknown: CF404.';

CREATE FUNCTION api.json_webhook(id int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat('{"id":', w.webhook_id, ',"description":', to_json(w.name), ',"format":', to_json(w.format), ',"url":', to_json(w.url),
		',"has_credentials":', to_json(w.has_credentials), ',"kinds":', coalesce(to_json(w.kinds)::text, 'null'),
		',"groups":', coalesce(to_json(w.groups)::text, 'null'), ',"enabled":', to_json(w.enabled), ',"failures":', w.failures,
		',"created_at":', api.json_time(w.created_at), ',"created_by":', to_json(w.created_by), '}')
	FROM coldchain.webhook AS w WHERE w.webhook_id = id
$$;
COMMENT ON FUNCTION api.json_webhook(int) IS 'A webhook as a JSON object, without its secret; NULL: there is none.';

CREATE FUNCTION api.webhook_find(id int) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tag CONSTANT text := (SELECT w.revision::text FROM coldchain.webhook AS w WHERE w.webhook_id = id);
BEGIN
	IF tag IS NULL THEN
		RAISE EXCEPTION 'there is no webhook %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN tag;
END
$$;
COMMENT ON FUNCTION api.webhook_find(int) IS 'The entity tag of a webhook; unknown or out of scope: CF404.';

CREATE FUNCTION api.webhooks(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_id CONSTANT int := coalesce(api.cursor_key('webhooks', page)::int, 0);
	items text;
	shown int;
	last_id int;
BEGIN
	SELECT string_agg(api.json_webhook(id), ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (SELECT row_number() OVER (ORDER BY w.webhook_id) AS n, w.webhook_id AS id FROM coldchain.webhook AS w
	      WHERE w.webhook_id > after_id ORDER BY w.webhook_id LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor('webhooks', last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.webhooks(int, text) IS 'GET /v1/webhooks: a page of the webhooks in scope, in the order in which they were made.';

CREATE FUNCTION api.webhook_get(id int) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tag CONSTANT text := api.webhook_find(id);
BEGIN
	RETURN (200, api.json_webhook(id), tag, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.webhook_get(int) IS 'GET /v1/webhooks/{id}. Unknown: CF404.';

CREATE FUNCTION api.webhook_wrong() RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'url: expected https:// and a host, without user and fragment; kinds: at least one, and none of format cce; credentials: printable ASCII';
COMMENT ON FUNCTION api.webhook_wrong() IS 'What a webhook is expected to be, for whoever asked for another.';

CREATE FUNCTION api.webhook_check(url text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coldchain.webhook_barred(url) IS NOT NULL THEN
		RAISE EXCEPTION 'url: %', coldchain.webhook_barred(url) USING ERRCODE = 'CF422';
	END IF;
END
$$;
COMMENT ON FUNCTION api.webhook_check(text) IS 'Refuses with CF422 a URL whose host is an address at which no webhook may be. NULL is none.';

CREATE FUNCTION api.webhook_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made record;
BEGIN
	PERFORM api.because(body ->> 'reason'), api.webhook_check(body ->> 'url');
	SELECT * INTO made FROM coldchain.webhook_make(body ->> 'description', body ->> 'url',
		CASE WHEN jsonb_typeof(body -> 'kinds') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(body -> 'kinds')) END,
		CASE WHEN NOT fleet.scope_all() THEN fleet.scope_groups() END, coalesce(body ->> 'format', 'cloudevents'), body ->> 'credentials');
	RETURN (201, concat('{"secret":', to_json(made.secret), ',', substr(api.json_webhook(made.webhook_id), 2)), api.webhook_find(made.webhook_id),
		'/v1/webhooks/' || made.webhook_id)::api.answer;
EXCEPTION
	WHEN check_violation THEN
		RAISE EXCEPTION '%', api.webhook_wrong() USING ERRCODE = 'CF422';
	WHEN invalid_parameter_value THEN
		RAISE EXCEPTION '%', sqlerrm USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.webhook_create(jsonb) IS
	'POST /v1/webhooks: makes a webhook and shows its secret, this once. Made by a token with a scope it is told of the devices of that scope, '
	'as they are then. A wrong URL or kind: CF422.';

CREATE FUNCTION api.without_webhook_secret(body text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT regexp_replace(body, '^\{"secret":"[^"]*"', '{"secret":null')
$$;
COMMENT ON FUNCTION api.without_webhook_secret(text) IS 'The answer of webhook_create as it is kept: without the secret.';

CREATE FUNCTION api.webhook_patch(id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_kinds CONSTANT text[] := CASE WHEN jsonb_typeof(body -> 'kinds') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(body -> 'kinds')) END;
BEGIN
	PERFORM api.check_match(if_match, api.webhook_find(id)), api.because(body ->> 'reason'), api.webhook_check(body ->> 'url');
	IF NOT its_kinds <@ (SELECT array_agg(k.kind::text) FROM coldchain.alarm_kind AS k) THEN
		RAISE EXCEPTION 'kinds: expected some of %', (SELECT string_agg(k.kind, ', ' ORDER BY k.kind) FROM coldchain.alarm_kind AS k)
			USING ERRCODE = 'CF422';
	END IF;
	-- Nobody learns the credentials by having them sent elsewhere.
	UPDATE coldchain.webhook AS w SET credentials = body ->> 'credentials'
	WHERE w.webhook_id = id AND (body ? 'credentials' OR body ->> 'url' <> w.url);
	UPDATE coldchain.webhook AS w SET name = coalesce(body ->> 'description', w.name), url = coalesce(body ->> 'url', w.url),
		kinds = CASE WHEN body ? 'kinds' THEN its_kinds ELSE w.kinds END, enabled = coalesce((body ->> 'enabled')::boolean, w.enabled),
		retry_at = '-infinity', revision = pg_current_xact_id()
	WHERE w.webhook_id = id;
	IF body ? 'credentials' THEN
		PERFORM audit.record('rotated', 'webhook', id::text, NULL, NULL, NULL);
	END IF;
	RETURN (200, api.json_webhook(id), api.webhook_find(id), NULL)::api.answer;
EXCEPTION WHEN check_violation THEN
	RAISE EXCEPTION '%', api.webhook_wrong() USING ERRCODE = 'CF422';
END
$$;
COMMENT ON FUNCTION api.webhook_patch(int, jsonb, text) IS
	'PATCH /v1/webhooks/{id}. If-Match names another revision: CF412; a wrong URL or kind: CF422; unknown: CF404.';

CREATE FUNCTION api.webhook_delete(id int, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM api.webhook_find(id), api.because(reason);
	DELETE FROM coldchain.webhook AS w WHERE w.webhook_id = id;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.webhook_delete(int, text) IS 'DELETE /v1/webhooks/{id}, and what waited for it. Unknown: CF404.';

CREATE FUNCTION api.deliveries(id int, max_rows int, page text, its_state text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := 'deliveries ' || id;
	before_id CONSTANT bigint := coalesce(api.cursor_key(scope, page)::bigint, 9223372036854775807);
	items text;
	shown int;
	last_id bigint;
BEGIN
	PERFORM api.webhook_find(id);
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(key) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY d.delivery_id DESC) AS n, d.delivery_id AS key, concat('{"id":', d.delivery_id,
			',"event":', to_json(coalesce(o.id, d.transfer_id)), ',"type":', to_json(coalesce('coldfleet.' || o.type, 'cce.transfer')),
			',"alarm":', coalesce(o.alarm_id::text, 'null'), ',"device":', to_json(v.serial), ',"from":', coalesce(api.json_time(d.from_ts), 'null'),
			',"to":', coalesce(api.json_time(d.to_ts), 'null'),
			',"state":', to_json(d.state), ',"attempts":', d.attempts, ',"created_at":', api.json_time(d.created_at),
			',"next_at":', CASE WHEN d.state = 'waiting' THEN api.json_time(d.next_at) ELSE 'null' END,
			',"ended_at":', coalesce(api.json_time(d.ended_at), 'null'), ',"last_status":', coalesce(d.last_status::text, 'null'),
			',"last_error":', api.json_or_null(d.last_error), '}') AS item
		FROM coldchain.delivery AS d LEFT JOIN coldchain.notice AS o USING (notice_id) JOIN fleet.device AS v ON v.device_id = d.device_id
		WHERE d.webhook_id = deliveries.id AND d.delivery_id < before_id AND (its_state IS NULL OR d.state = its_state)
		ORDER BY d.delivery_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.deliveries(int, int, text, text) IS
	'GET /v1/webhooks/{id}/deliveries: a page of what has become of notices and transfers, the latest first; dead ones are the dead letters. Unknown: CF404.';

CREATE FUNCTION api.delivery_replay(id bigint) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM coldchain.delivery AS d JOIN coldchain.webhook AS w ON w.webhook_id = d.webhook_id WHERE d.delivery_id = id) THEN
		RAISE EXCEPTION 'there is no delivery %', id USING ERRCODE = 'CF404';
	END IF;
	IF NOT coldchain.delivery_replay(id) THEN
		RAISE EXCEPTION 'delivery % waits to be sent already', id USING ERRCODE = 'CF409';
	END IF;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.delivery_replay(bigint) IS
	'POST /v1/deliveries/{id}:replay: sends it once more, for another day. One that waits: CF409; unknown: CF404.';

REVOKE ALL ON FUNCTION api.alarms(int, text, text, text, text, int), api.alarm_acknowledge(bigint, jsonb), api.json_webhook(int),
	api.webhook_find(int), api.webhook_wrong(), api.webhook_check(text), api.webhooks(int, text), api.webhook_get(int), api.webhook_create(jsonb), api.without_webhook_secret(text),
	api.webhook_patch(int, jsonb, text), api.webhook_delete(int, text), api.deliveries(int, int, text, text), api.delivery_replay(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.alarms(int, text, text, text, text, int), api.alarm_acknowledge(bigint, jsonb), api.webhooks(int, text),
	api.webhook_get(int), api.webhook_create(jsonb), api.without_webhook_secret(text), api.webhook_patch(int, jsonb, text),
	api.webhook_delete(int, text), api.deliveries(int, int, text, text), api.delivery_replay(bigint) TO coldfleet_api;

COMMIT;
