-- SPDX-License-Identifier: Apache-2.0
-- Groups and their members, desired configuration and its versions, and the history of a device over REST.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_group(team fleet.device_group) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":', team.group_id, ',"name":', to_json(team.name), ',"description":', api.json_or_null(team.description),
		',"filter":', coalesce(team.filter::text, 'null'), ',"members":', CASE WHEN team.filter IS NULL
			THEN (SELECT count(*) FROM fleet.group_member AS n WHERE n.group_id = team.group_id)::text ELSE 'null' END,
		',"created_at":', api.json_time(team.created_at), '}')
$$;
COMMENT ON FUNCTION api.json_group(fleet.device_group) IS
	'A group as a JSON object; members is how many a static one has, null for a dynamic one.';

CREATE FUNCTION api.group_answer(team fleet.device_group, status int DEFAULT 200) RETURNS api.answer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (status, api.json_group(team), team.revision::text, CASE WHEN status = 201 THEN '/v1/groups/' || team.group_id END)::api.answer
$$;
COMMENT ON FUNCTION api.group_answer(fleet.device_group, int) IS 'A group as an answer; its revision is the entity tag.';

CREATE FUNCTION api.groups(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_id CONSTANT int := coalesce(api.cursor_key('groups', page)::int, 0);
	items text;
	shown int;
	last_id int;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY g.group_id) AS n, g.group_id AS id, api.json_group(g) AS item
		FROM fleet.device_group AS g WHERE g.group_id > after_id
		ORDER BY g.group_id LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor('groups', last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.groups(int, text) IS 'GET /v1/groups: a page of the groups in scope, in the order in which they were made.';

CREATE FUNCTION api.group_find(id int) RETURNS fleet.device_group
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	team fleet.device_group;
BEGIN
	SELECT * INTO team FROM fleet.device_group AS g WHERE g.group_id = id;
	IF team.group_id IS NULL THEN
		RAISE EXCEPTION 'there is no group %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN team;
END
$$;
COMMENT ON FUNCTION api.group_find(int) IS 'A group; unknown or out of scope: CF404.';

CREATE FUNCTION api.group_get(id int) RETURNS api.answer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.group_answer(api.group_find(id))
$$;
COMMENT ON FUNCTION api.group_get(int) IS 'GET /v1/groups/{id}. Unknown: CF404.';

-- Whoever changes a group that is the scope of a token decides what that token sees.
CREATE FUNCTION api.group_lock(id int) RETURNS fleet.device_group
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	team fleet.device_group;
BEGIN
	team := api.group_find(id);
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'groups are changed by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	IF fleet.setting('role') <> 'admin' AND EXISTS (SELECT FROM fleet.token AS t WHERE id = ANY (t.groups) AND t.revoked_at IS NULL) THEN
		RAISE EXCEPTION 'group % is the scope of a token: the role admin changes it', id USING ERRCODE = 'CF403';
	END IF;
	SELECT * INTO team FROM fleet.device_group AS g WHERE g.group_id = id FOR UPDATE;
	RETURN team;
END
$$;
COMMENT ON FUNCTION api.group_lock(int) IS
	'A group that is about to be changed. Unknown: CF404; by a token with a scope, or the scope of a token and not by an admin: CF403.';

CREATE FUNCTION api.check_group_filter(filter jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF filter ? 'group' OR filter = '{}' OR jsonb_path_exists(filter, '$.* ? (@.type() != "string" && @.type() != "number")') THEN
		RAISE EXCEPTION 'filter: expected filters of GET /v1/devices as texts or numbers, at least one, no group of groups' USING ERRCODE = 'CF422';
	END IF;
	PERFORM api.device_filter(filter);
	RETURN filter;
END
$$;
COMMENT ON FUNCTION api.check_group_filter(jsonb) IS 'The filter of a dynamic group, when it is one; else CF422.';

CREATE FUNCTION api.group_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made fleet.device_group;
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'groups are made by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	PERFORM api.because(body ->> 'reason');
	INSERT INTO fleet.device_group (name, description, filter)
	VALUES (body ->> 'name', coalesce(body ->> 'description', ''), api.check_group_filter(nullif(body -> 'filter', 'null')))
	RETURNING * INTO made;
	RETURN api.group_answer(made, 201);
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'name: there is a group % already', body ->> 'name' USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.group_create(jsonb) IS
	'POST /v1/groups: makes a group, static, or dynamic with a filter. A name that is known: CF409; a wrong filter: CF422.';

CREATE FUNCTION api.group_patch(id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	team CONSTANT fleet.device_group := api.group_lock(id);
	changed fleet.device_group;
BEGIN
	PERFORM api.check_match(if_match, team.revision::text);
	PERFORM api.because(body ->> 'reason');
	IF body ? 'filter' AND (body -> 'filter' = 'null') <> (team.filter IS NULL) THEN
		RAISE EXCEPTION 'filter: a group stays static or dynamic, make another one' USING ERRCODE = 'CF422';
	END IF;
	UPDATE fleet.device_group AS g SET name = coalesce(body ->> 'name', g.name),
		description = CASE WHEN body ? 'description' THEN coalesce(body ->> 'description', '') ELSE g.description END,
		filter = coalesce(api.check_group_filter(nullif(body -> 'filter', 'null')), g.filter), revision = pg_current_xact_id()
	WHERE g.group_id = id RETURNING * INTO changed;
	RETURN api.group_answer(changed);
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'name: there is a group % already', body ->> 'name' USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.group_patch(int, jsonb, text) IS
	'PATCH /v1/groups/{id}. If-Match names another revision: CF412; a name that is known: CF409; unknown: CF404.';

CREATE FUNCTION api.group_delete(id int, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM api.group_lock(id), api.because(reason);
	IF EXISTS (SELECT FROM fleet.token AS t WHERE id = ANY (t.groups) AND t.revoked_at IS NULL) THEN
		RAISE EXCEPTION 'group % is the scope of a token: revoke the token first', id USING ERRCODE = 'CF409';
	END IF;
	DELETE FROM fleet.device_group AS g WHERE g.group_id = id;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.group_delete(int, text) IS
	'DELETE /v1/groups/{id}: the group, not its devices. The scope of a token: CF409; unknown: CF404.';

CREATE FUNCTION api.group_member_set(id int, serial text, belongs boolean, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	team CONSTANT fleet.device_group := api.group_lock(id);
	device CONSTANT int := (SELECT d.device_id FROM fleet.device AS d WHERE d.serial = group_member_set.serial);
BEGIN
	IF device IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	END IF;
	IF team.filter IS NOT NULL THEN
		RAISE EXCEPTION 'group % is dynamic: its filter says who is in it', id USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.because(reason);
	IF belongs THEN
		INSERT INTO fleet.group_member (group_id, device_id) VALUES (id, device) ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM fleet.group_member AS n WHERE n.group_id = id AND n.device_id = device;
	END IF;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.group_member_set(int, text, boolean, text) IS
	'PUT and DELETE /v1/groups/{id}/members/{serial}; a second time changes nothing. A dynamic group: CF409; unknown: CF404.';

-- Configuration

CREATE FUNCTION api.json_difference(desired jsonb, reported jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(name, jsonb_build_object('desired', desired -> name, 'reported', reported -> name)), '{}')
	FROM (SELECT jsonb_object_keys(desired) UNION SELECT jsonb_object_keys(reported)) AS n (name)
	WHERE desired -> name IS DISTINCT FROM reported -> name
$$;
COMMENT ON FUNCTION api.json_difference(jsonb, jsonb) IS 'Names whose values differ, each with both values; null: it has none.';

CREATE FUNCTION api.json_config(c fleet.config) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"version":', c.version, ',"config":', c.body, ',"at":', api.json_time(c.at), ',"actor":', to_json(c.actor),
		',"reason":', api.json_or_null(c.reason), '}')
$$;
COMMENT ON FUNCTION api.json_config(fleet.config) IS 'A version of a desired configuration as a JSON object.';

CREATE FUNCTION api.config_get(serial text) RETURNS api.answer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := (SELECT d.device_id FROM fleet.device AS d WHERE d.serial = config_get.serial);
	wish fleet.config;
	fact fleet.config_report;
BEGIN
	IF device IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	END IF;
	SELECT * INTO wish FROM fleet.config AS c WHERE c.device_id = device ORDER BY c.version DESC LIMIT 1;
	SELECT * INTO fact FROM fleet.config_report AS r WHERE r.device_id = device;
	-- A device that names a version and no values runs with those of that version.
	fact.body := coalesce(fact.body, (SELECT c.body FROM fleet.config AS c WHERE c.device_id = device AND c.version = fact.version));
	RETURN (200, concat('{"desired":', CASE WHEN wish.version IS NULL THEN 'null' ELSE api.json_config(wish) END,
		',"reported":', CASE WHEN fact.device_id IS NULL THEN 'null' ELSE concat('{"version":', coalesce(fact.version::text, 'null'),
			',"config":', coalesce(fact.body::text, 'null'), ',"reported_at":', api.json_time(fact.reported_at), '}') END,
		',"difference":', CASE WHEN fact.body IS NULL THEN 'null' ELSE api.json_difference(coalesce(wish.body, '{}'), fact.body)::text END,
		'}'), coalesce(wish.version, 0)::text, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.config_get(text) IS
	'GET /v1/devices/{serial}/config: what is wanted, what the device reported, and where they differ (null: it reported nothing). '
	'The version is the entity tag, 0 before the first. Unknown serial: CF404.';

CREATE FUNCTION api.config_put(serial text, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Its row is held to the end, so versions are counted one after the other.
	device CONSTANT fleet.device := api.device_lock(serial);
	latest CONSTANT int := coalesce((SELECT max(c.version) FROM fleet.config AS c WHERE c.device_id = device.device_id), 0);
BEGIN
	PERFORM api.check_match(if_match, latest::text);
	IF device.state = 'decommissioned' THEN
		RAISE EXCEPTION 'device % is decommissioned, nothing of it changes any more', serial USING ERRCODE = 'CF409';
	END IF;
	INSERT INTO fleet.config (device_id, version, body, actor, reason, request_id)
	VALUES (device.device_id, latest + 1, body -> 'config', fleet.setting('actor'), body ->> 'reason', fleet.setting('request_id'));
	RETURN api.config_get(serial);
END
$$;
COMMENT ON FUNCTION api.config_put(text, jsonb, text) IS
	'PUT /v1/devices/{serial}/config: a new version of what is wanted. If-Match names another version: CF412; decommissioned: CF409; '
	'unknown serial: CF404.';

CREATE FUNCTION api.config_history(serial text, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := 'config ' || serial;
	device CONSTANT int := (SELECT d.device_id FROM fleet.device AS d WHERE d.serial = config_history.serial);
	before CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 2147483647);
	items text;
	shown int;
	last_version int;
BEGIN
	IF device IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	END IF;
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(version) FILTER (WHERE n = max_rows)
	INTO items, shown, last_version
	FROM (SELECT row_number() OVER (ORDER BY c.version DESC) AS n, c.version, api.json_config(c) AS item
	      FROM fleet.config AS c WHERE c.device_id = device AND c.version < before ORDER BY c.version DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_version::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.config_history(text, int, text) IS
	'GET /v1/devices/{serial}/config/history: versions of what was wanted, the latest first. Unknown serial: CF404.';

CREATE FUNCTION api.device_history(serial text, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := 'history ' || serial;
	device CONSTANT int := (SELECT d.device_id FROM fleet.device AS d WHERE d.serial = device_history.serial);
	before CONSTANT bigint := coalesce(api.cursor_key(scope, page)::bigint, 9223372036854775807);
	items text;
	shown int;
	last_id bigint;
BEGIN
	IF device IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	END IF;
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY h.history_id DESC) AS n, h.history_id AS id,
			concat('{"id":', h.history_id, ',"at":', api.json_time(h.at), ',"object":', to_json(h.object), ',"key":', to_json(h.key),
				',"field":', to_json(h.field), ',"old":', coalesce(h.old::text, 'null'), ',"new":', coalesce(h.new::text, 'null'),
				',"actor":', to_json(h.actor), ',"reason":', api.json_or_null(h.reason),
				',"request_id":', api.json_or_null(h.request_id), '}') AS item
		FROM fleet.history AS h WHERE h.device_id = device AND h.history_id < before
		ORDER BY h.history_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.device_history(text, int, text) IS
	'GET /v1/devices/{serial}/history: what was changed of a device, the latest first. Unknown serial: CF404.';

CREATE FUNCTION api.tags_put(serial text, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT fleet.device := api.device_lock(serial);
	words CONSTANT text[] := ARRAY(SELECT DISTINCT tag COLLATE "C" FROM jsonb_array_elements_text(body -> 'tags') AS tag ORDER BY 1);
BEGIN
	PERFORM api.check_match(if_match, device.revision::text);
	IF NOT fleet.tags_valid(words) THEN
		RAISE EXCEPTION 'tags: expected at most 32 of 1 to 64 of A-Z a-z 0-9 . _ : = -' USING ERRCODE = 'CF422';
	END IF;
	PERFORM api.because(body ->> 'reason');
	UPDATE fleet.device AS d SET tags = words WHERE d.device_id = device.device_id;
	RETURN (SELECT api.device_answer(d.serial, d.revision) FROM fleet.device AS d WHERE d.device_id = device.device_id);
END
$$;
COMMENT ON FUNCTION api.tags_put(text, jsonb, text) IS
	'PUT /v1/devices/{serial}/tags: these tags and no other. If-Match names another revision: CF412; a wrong tag: CF422.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
GRANT EXECUTE ON FUNCTION api.groups(int, text), api.group_get(int), api.group_create(jsonb), api.group_patch(int, jsonb, text),
	api.group_delete(int, text), api.group_member_set(int, text, boolean, text), api.config_get(text),
	api.config_put(text, jsonb, text), api.config_history(text, int, text), api.device_history(text, int, text),
	api.tags_put(text, jsonb, text) TO coldfleet_api;

COMMIT;
