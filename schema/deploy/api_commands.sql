-- SPDX-License-Identifier: Apache-2.0
-- Commands over REST: somebody asks, somebody else approves, either looks how far it is. These functions make requests and
-- decide on them; what then moves a command is in schema command. Each checks that the call sees all devices that it is about.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.wish(body jsonb, now_s timestamptz DEFAULT date_trunc('second', now())) RETURNS command.request
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wish command.request;
	operation CONSTANT command.operation := (SELECT o FROM command.operation AS o WHERE o.name = body ->> 'operation');
	wrong text;
BEGIN
	IF operation.name IS NULL THEN
		RAISE EXCEPTION 'operation: expected one of %', (SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM command.operation AS o)
			USING ERRCODE = 'CF422';
	END IF;
	wish.operation := operation.name;
	wish.class := operation.class;
	wish.arguments := coalesce(nullif(body -> 'arguments', 'null'), '{}');
	wish.not_before := greatest(date_trunc('second', (body ->> 'not_before')::timestamptz), now_s);
	wish.expires_at := coalesce(date_trunc('second', (body ->> 'expires_at')::timestamptz), wish.not_before + operation.lasts);
	wish.shipment_override := body ->> 'shipment_override';
	SELECT w INTO wrong FROM (SELECT jsonb_object_keys(wish.arguments) UNION SELECT jsonb_object_keys(operation.arguments)) AS n (name)
	CROSS JOIN LATERAL command.argument_error(name, operation.arguments -> name, wish.arguments -> name) AS w
	WHERE w IS NOT NULL ORDER BY name LIMIT 1;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = 'CF422';
	ELSIF octet_length(wish.arguments::text) > 8192 THEN
		RAISE EXCEPTION 'arguments: expected at most 8192 bytes, got %', octet_length(wish.arguments::text) USING ERRCODE = 'CF422';
	ELSIF wish.operation = 'resend' AND (wish.arguments ->> 'last')::bigint < (wish.arguments ->> 'first')::bigint THEN
		RAISE EXCEPTION 'arguments.last: expected no less than first' USING ERRCODE = 'CF422';
	ELSIF wish.expires_at <= wish.not_before OR wish.expires_at > now_s + interval '1 year' THEN
		RAISE EXCEPTION 'expires_at: expected a time after not_before, within a year' USING ERRCODE = 'CF422';
	END IF;
	RETURN wish;
END
$$;
COMMENT ON FUNCTION api.wish(jsonb, timestamptz) IS
	'What a body asks for, checked: operation, arguments, times in whole seconds, override. An unknown operation, a wrong argument or time: CF422.';

CREATE FUNCTION api.interlock(wish command.request, devices int[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	busy record;
BEGIN
	IF wish.operation <> 'disable' OR wish.arguments ->> 'mode' <> 'halt' THEN
		RETURN;
	END IF;
	SELECT d.serial, s.name INTO busy FROM unnest(devices) AS u JOIN fleet.device AS d ON d.device_id = u
	CROSS JOIN LATERAL command.active_shipment(u) AS s (name)
	WHERE s.name IS DISTINCT FROM wish.shipment_override AND s.name IS NOT NULL ORDER BY d.serial LIMIT 1;
	IF busy.serial IS NOT NULL THEN
		RAISE EXCEPTION 'device % watches over shipment %: it is not halted without shipment_override naming it', busy.serial, busy.name
			USING ERRCODE = 'CF409';
	END IF;
END
$$;
COMMENT ON FUNCTION api.interlock(command.request, int[]) IS
	'Refuses with CF409 to halt a device that watches over a shipment, unless the override names it.';

CREATE FUNCTION api.request_make(wish command.request, devices int[], target jsonb, rate double precision, reason text) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	id CONSTANT uuid := command.new_id();
	urgency CONSTANT smallint := (SELECT o.urgency FROM command.operation AS o WHERE o.name = wish.operation);
	canonical CONSTANT bytea := command.canonical(wish.operation, wish.class, wish.arguments, wish.not_before, wish.expires_at,
		ARRAY(SELECT d.serial FROM fleet.device AS d WHERE d.device_id = ANY (devices)), wish.shipment_override);
	holds CONSTANT boolean := rate IS NOT NULL OR wish.not_before > now();
	most CONSTANT int := (SELECT s.max_targets FROM command.setting AS s);
BEGIN
	IF cardinality(devices) NOT BETWEEN 1 AND most THEN
		RAISE EXCEPTION 'target: expected 1 to % devices that the token sees and that are not decommissioned, got %', most,
			cardinality(devices) USING ERRCODE = 'CF422';
	END IF;
	PERFORM api.interlock(wish, devices);
	INSERT INTO command.request (request_id, operation, class, arguments, not_before, expires_at, target, device_count, requested_by,
		token_id, reason, shipment_override, rate, canonical, request_sha256, state, releasing)
	VALUES (id, wish.operation, wish.class, wish.arguments, wish.not_before, wish.expires_at, target, cardinality(devices),
		fleet.setting('actor'), fleet.setting('token_id')::int, reason, wish.shipment_override, rate, canonical, sha256(canonical),
		CASE WHEN wish.class >= 3 THEN 'awaiting_approval' ELSE 'active' END, holds);
	INSERT INTO command.target (request_id, device_id) SELECT id, u FROM unnest(devices) AS u ORDER BY u;
	INSERT INTO command.device (device_id) SELECT u FROM unnest(devices) AS u ORDER BY u ON CONFLICT DO NOTHING;
	PERFORM command.hold(devices);
	INSERT INTO command.command (command_id, request_id, requested_at, expires_at, device_id, class, urgency, operation, state, place)
	SELECT command.new_id(), id, now(), wish.expires_at, u, wish.class, urgency, wish.operation,
		CASE WHEN wish.class >= 3 THEN 'awaiting_approval' ELSE 'approved' END,
		CASE WHEN wish.class >= 3 OR holds THEN 'held' WHEN EXISTS (SELECT FROM command.command AS o WHERE o.device_id = u
			AND o.place IS NOT NULL AND o.place IN ('queued', 'front', 'ready')) THEN 'queued' ELSE 'front' END
	FROM unnest(devices) AS u ORDER BY u;
	IF wish.class < 3 THEN
		PERFORM command.advance(devices), pg_notify('command_sign', '');
	END IF;
	PERFORM pg_notify('command_send', '') WHERE holds; -- whoever sweeps learns of a new moment
	PERFORM api.because(reason);
	PERFORM audit.record('requested', 'command request', id::text, CASE WHEN cardinality(devices) = 1 THEN devices[1] END, NULL,
		jsonb_build_object('operation', wish.operation, 'arguments', wish.arguments, 'target', target, 'device_count', cardinality(devices),
			'expires_at', wish.expires_at, 'request_sha256', encode(sha256(canonical), 'hex')));
	RETURN id;
END
$$;
COMMENT ON FUNCTION api.request_make(command.request, int[], jsonb, double precision, text) IS
	'Makes a request and a command for each device, all at once. Where no approval is needed they are in the queues at the end.';

CREATE FUNCTION api.json_moment(at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT coalesce(api.json_time(at), 'null')
$$;
COMMENT ON FUNCTION api.json_moment(timestamptz) IS 'A moment as JSON, or null.';

CREATE FUNCTION api.json_command(c command.command, r command.request, serial text) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":"', c.command_id, '","request_id":"', c.request_id, '","serial":', to_json(serial),
		',"operation":', to_json(c.operation), ',"class":', c.class, ',"arguments":', r.arguments, ',"state":"', c.state,
		'","detail":', api.json_or_null(c.detail), ',"late":', to_json(c.late), ',"paused":', to_json(r.state = 'paused'),
		',"generation":', c.generation, ',"counter":', coalesce(c.counter::text, 'null'),
		',"requested_at":', api.json_time(c.requested_at), ',"requested_by":', to_json(r.requested_by),
		',"reason":', api.json_or_null(r.reason), ',"not_before":', api.json_time(r.not_before),
		',"expires_at":', api.json_time(c.expires_at), ',"sent_at":', api.json_moment(c.sent_at),
		',"ended_at":', api.json_moment(c.ended_at), '}')
$$;
COMMENT ON FUNCTION api.json_command(command.command, command.request, text) IS 'A command of that device as a JSON object.';

CREATE FUNCTION api.json_request(r command.request) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":"', r.request_id, '","operation":', to_json(r.operation), ',"class":', r.class, ',"arguments":', r.arguments,
		',"state":"', r.state, '","target":', r.target, ',"device_count":', r.device_count, ',"rate":', coalesce(to_json(r.rate)::text, 'null'),
		',"requested_at":', api.json_time(r.requested_at), ',"requested_by":', to_json(r.requested_by), ',"reason":', api.json_or_null(r.reason),
		',"not_before":', api.json_time(r.not_before), ',"expires_at":', api.json_time(r.expires_at),
		',"shipment_override":', api.json_or_null(r.shipment_override), ',"request_sha256":"', encode(r.request_sha256, 'hex'),
		'","decisions":', coalesce((SELECT concat('[', string_agg(concat('{"decision":"', a.decision, '","by":', to_json(a.approver),
			',"at":', api.json_time(a.at), ',"reason":', api.json_or_null(a.reason), ',"request_sha256":"', encode(a.request_sha256, 'hex'),
			'"}'), ',' ORDER BY a.approval_id), ']') FROM command.approval AS a WHERE a.request_id = r.request_id), '[]'), '}')
$$;
COMMENT ON FUNCTION api.json_request(command.request) IS 'A request as a JSON object, with every decision on it, also on what it was before an edit.';

CREATE FUNCTION api.request_find(id text, changes boolean DEFAULT false) RETURNS command.request
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r command.request;
BEGIN
	IF id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
		SELECT * INTO r FROM command.request AS q WHERE q.request_id = id::uuid;
	END IF;
	IF r.request_id IS NULL THEN
		RAISE EXCEPTION 'there is no request %', id USING ERRCODE = 'CF404';
	END IF;
	IF changes THEN
		IF NOT fleet.scope_all() AND (SELECT count(*) FROM command.target AS t WHERE t.request_id = r.request_id) < r.device_count THEN
			RAISE EXCEPTION 'request % is about devices that the token does not see', id USING ERRCODE = 'CF403';
		END IF;
		SELECT * INTO r FROM command.request AS q WHERE q.request_id = r.request_id FOR UPDATE;
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION api.request_find(text, boolean) IS
	'A request; to be changed: it is locked. Unknown or out of scope: CF404; to be changed and partly out of scope: CF403.';

CREATE FUNCTION api.request_answer(id uuid, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r command.request;
	progress jsonb;
BEGIN
	SELECT * INTO r FROM command.request AS q WHERE q.request_id = id;
	SELECT coalesce(jsonb_object_agg(u.state, u.n), '{}') INTO progress
	FROM (SELECT c.state, count(*) AS n FROM command.command AS c WHERE c.request_id = id GROUP BY 1) AS u;
	RETURN (status, concat(left(api.json_request(r), -1), ',"progress":', progress, ',"open":', (SELECT coalesce(sum(n::int), 0)
			FROM jsonb_each_text(progress) AS p (state, n)
			WHERE state NOT IN ('succeeded', 'failed', 'rejected', 'expired', 'cancelled', 'refused')), '}'),
		concat(r.revision, '.', left(md5(progress::text), 16)), CASE WHEN status IN (201, 202) THEN '/v1/requests/' || id END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.request_answer(uuid, int) IS
	'A request and how many of its commands, as far as the call sees them, stand in which state. Its entity tag is the revision, which If-Match '
	'looks at, and a digest of that.';

CREATE FUNCTION api.command_answer(id uuid, status int DEFAULT 200) RETURNS api.answer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (status, concat(left(api.json_command(c, r, d.serial), -1), ',"history":', coalesce((
			SELECT concat('[', string_agg(concat('{"at":', api.json_time(h.at), ',"from":"', h.from_state, '","to":"', h.to_state,
				'","generation":', h.generation, ',"who":', to_json(h.who), ',"detail":', api.json_or_null(h.detail), '}'),
				',' ORDER BY h.history_id), ']') FROM command.history AS h WHERE h.command_id = c.command_id), '[]'),
		',"replies":', coalesce((SELECT concat('[', string_agg(concat('{"received_at":', api.json_time(p.received_at),
				',"status":', api.json_or_null(p.status), ',"verdict":"', p.verdict, '","reason":', api.json_or_null(p.reason),
				',"result":', coalesce(p.result::text, 'null'), ',"device_time":', api.json_moment(p.device_time),
				',"boot":', coalesce(p.boot_count::text, 'null'), ',"counter":', coalesce(p.counter::text, 'null'),
				',"generation":', coalesce(p.generation::text, 'null'), '}'), ',' ORDER BY p.reply_id), ']')
			FROM (SELECT * FROM command.reply AS y WHERE y.command_id = c.command_id AND y.device_id = c.device_id
			      ORDER BY y.reply_id LIMIT 100) AS p), '[]'), '}'),
		md5(concat(c.state, c.generation, c.late, r.revision)), CASE WHEN status IN (201, 202) THEN '/v1/commands/' || id END)::api.answer
	FROM command.command AS c JOIN command.request AS r USING (request_id) JOIN fleet.device AS d USING (device_id)
	WHERE c.command_id = id
$$;
COMMENT ON FUNCTION api.command_answer(uuid, int) IS 'A command with its history and the first 100 replies of its device to it.';

CREATE FUNCTION api.check_operator_may(operation text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF operation = 'set-config' THEN
		RAISE EXCEPTION 'operation: a configuration is set by PUT /v1/devices/{serial}/config, which sends it' USING ERRCODE = 'CF422';
	ELSIF operation IN ('clear-config', 'restore-defaults') AND fleet.setting('role') <> 'admin' THEN
		RAISE EXCEPTION 'operation: % changes the configuration, the role admin asks for it', operation USING ERRCODE = 'CF403';
	END IF;
END
$$;
COMMENT ON FUNCTION api.check_operator_may(text) IS
	'Keeps configuration to those whose task it is. set-config: CF422, for it has its own way; others of the kind by no admin: CF403.';

CREATE FUNCTION api.command_make(serial text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device fleet.device;
	request uuid;
BEGIN
	SELECT * INTO device FROM fleet.device AS d WHERE d.serial = command_make.serial;
	IF device.device_id IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	ELSIF device.state = 'decommissioned' THEN
		RAISE EXCEPTION 'device % is decommissioned, it is told nothing any more', serial USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.check_operator_may(body ->> 'operation');
	request := api.request_make(api.wish(body), ARRAY[device.device_id], '{"serials": 1}', NULL, body ->> 'reason');
	RETURN (SELECT api.command_answer(c.command_id, 201) FROM command.command AS c WHERE c.request_id = request);
END
$$;
COMMENT ON FUNCTION api.command_make(text, jsonb) IS
	'POST /v1/devices/{serial}/commands: asks for a command to one device. Unknown serial: CF404; decommissioned, or a halt while it watches '
	'over a shipment: CF409; wrong operation, arguments or times: CF422.';

CREATE FUNCTION api.devices_of(filter jsonb, most int) RETURNS int[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	found int[];
BEGIN
	EXECUTE format('SELECT array_agg(device_id) FROM (SELECT d.device_id FROM fleet.device AS d '
		'LEFT JOIN telemetry.device_state AS s USING (device_id) WHERE d.state <> ''decommissioned'' AND %s LIMIT %s) AS u',
		(SELECT coalesce(string_agg(format('(%s)', w), ' AND '), 'true') FROM api.device_filter(filter) AS f CROSS JOIN LATERAL
			jsonb_array_elements_text(jsonb_path_query_array(to_jsonb(f.condition), '$[*]')) AS w), most) INTO found;
	RETURN coalesce(found, '{}');
END
$$;
COMMENT ON FUNCTION api.devices_of(jsonb, int) IS 'The devices in scope that meet filters of GET /v1/devices and are not decommissioned.';

CREATE FUNCTION api.target_devices(target jsonb) RETURNS int[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most CONSTANT int := (SELECT s.max_targets + 1 FROM command.setting AS s);
	missing text;
BEGIN
	IF (SELECT count(*) FROM jsonb_object_keys(target)) <> 1 THEN
		RAISE EXCEPTION 'target: expected one of serials, group or filter' USING ERRCODE = 'CF422';
	END IF;
	IF target ? 'filter' THEN
		RETURN api.devices_of(api.check_group_filter(target -> 'filter'), most);
	ELSIF target ? 'group' THEN
		RETURN api.devices_of(target, most);
	END IF;
	SELECT s INTO missing FROM jsonb_array_elements_text(target -> 'serials') AS s WHERE NOT EXISTS (
		SELECT FROM fleet.device AS d WHERE d.serial = s AND d.state <> 'decommissioned') LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'target.serials: no device in service has the serial %', missing USING ERRCODE = 'CF422';
	END IF;
	RETURN ARRAY(SELECT DISTINCT d.device_id FROM jsonb_array_elements_text(target -> 'serials') AS s JOIN fleet.device AS d ON d.serial = s);
END
$$;
COMMENT ON FUNCTION api.target_devices(jsonb) IS
	'The devices that a target names now: serials, a group by name or filters. None of these, or a serial that is none in service: CF422.';

CREATE FUNCTION api.commands_make(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	target CONSTANT jsonb := body -> 'target';
	request uuid;
BEGIN
	PERFORM api.check_operator_may(body ->> 'operation');
	request := api.request_make(api.wish(body), api.target_devices(target),
		CASE WHEN target ? 'serials' THEN jsonb_build_object('serials', jsonb_array_length(target -> 'serials')) ELSE target END,
		(body ->> 'rate')::double precision, body ->> 'reason');
	RETURN api.request_answer(request, 201);
END
$$;
COMMENT ON FUNCTION api.commands_make(jsonb) IS
	'POST /v1/commands: asks for a command to many devices, which are those that the target means now. Wrong target, operation, arguments or '
	'times: CF422; a halt of one that watches over a shipment: CF409.';

CREATE FUNCTION api.command_find(id text) RETURNS command.command
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c command.command;
BEGIN
	IF id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
		SELECT * INTO c FROM command.command AS u WHERE u.command_id = id::uuid;
	END IF;
	IF c.command_id IS NULL THEN
		RAISE EXCEPTION 'there is no command %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION api.command_find(text) IS 'A command; unknown or out of scope: CF404.';

CREATE FUNCTION api.command_get(id text) RETURNS api.answer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.command_answer((api.command_find(id)).command_id)
$$;
COMMENT ON FUNCTION api.command_get(text) IS 'GET /v1/commands/{id}: a command, its history, and what its device replied. Unknown: CF404.';

CREATE FUNCTION api.request_get(id text) RETURNS api.answer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.request_answer((api.request_find(id)).request_id)
$$;
COMMENT ON FUNCTION api.request_get(text) IS 'GET /v1/requests/{id}: a request, the decisions on it, and its progress. Unknown: CF404.';

-- A page looks at no more than `reach` commands; then it is short, and `next` goes on from there.
CREATE FUNCTION api.commands(max_rows int, page text, device text, state text, operation text, request text, since timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
AS $$
DECLARE
	reach CONSTANT int := 3000;
	scope CONSTANT text := concat_ws(' ', 'commands', device, state, operation, request, since);
	before CONSTANT uuid := coalesce(api.cursor_key(scope, page), 'ffffffff-ffff-ffff-ffff-ffffffffffff')::uuid;
	-- The first 48 bits of a command's number are its milliseconds.
	oldest CONSTANT uuid := (lpad(to_hex(greatest(0, floor(extract(epoch FROM coalesce(since, 'epoch')) * 1000))::bigint), 12, '0')
		|| '00000000000000000000')::uuid;
	number CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	its_request CONSTANT uuid := CASE WHEN request IS NOT NULL THEN (api.request_find(request)).request_id END;
	-- Those of a request or device by its index, and not by walking past all that came later.
	walk text := format('SELECT * FROM %s AS c WHERE c.command_id < $1 AND c.command_id >= $2', CASE
		WHEN its_request IS NOT NULL THEN '(SELECT * FROM command.command AS x WHERE x.request_id = $4 OFFSET 0)'
		WHEN number IS NOT NULL THEN '(SELECT x.* FROM command.target AS t JOIN command.command AS x USING (request_id, device_id)
			WHERE t.device_id = $3 OFFSET 0)'
		ELSE 'command.command' END);
	items text;
	next_key uuid;
BEGIN
	IF state IS NOT NULL AND state !~ '^[a-z_]{1,20}(,[a-z_]{1,20}){0,15}$' THEN
		PERFORM api.filter_error('state', 'states with commas between', state);
	END IF;
	walk := walk || CASE WHEN number IS NOT NULL THEN ' AND c.device_id = $3' ELSE '' END;
	EXECUTE format('WITH seen AS MATERIALIZED (%s ORDER BY c.command_id DESC LIMIT %s), met AS (
			SELECT row_number() OVER (ORDER BY c.command_id DESC) AS n, c.command_id, api.json_command(c::command.command, r, d.serial) AS item
			FROM seen AS c JOIN command.request AS r USING (request_id) JOIN fleet.device AS d USING (device_id)
			WHERE ($5 IS NULL OR c.state = ANY ($5)) AND ($6 IS NULL OR c.operation = $6) ORDER BY c.command_id DESC LIMIT $7 + 1)
		SELECT (SELECT string_agg(item, '','' ORDER BY n) FROM met WHERE n <= $7), CASE WHEN (SELECT count(*) FROM met) > $7
			THEN (SELECT command_id FROM met WHERE n = $7)
			WHEN (SELECT count(*) FROM seen) = %2$s THEN (SELECT command_id FROM seen ORDER BY command_id LIMIT 1) END', walk, reach)
	INTO items, next_key USING before, oldest, number, its_request, string_to_array(state, ','), operation, max_rows;
	RETURN concat('{"items":[', items, '],"next":', coalesce(to_json(api.cursor(scope, next_key::text))::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.commands(int, text, text, text, text, text, timestamptz) IS
	'GET /v1/commands: a page of commands, the latest first: of a device, in one of some states, of an operation, of a request, asked for since. '
	'Maybe fewer than max_rows. Unknown device or request: CF404; a cursor of another list: CF400.';

CREATE FUNCTION api.requests(max_rows int, page text, its_state text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
AS $$
DECLARE
	scope CONSTANT text := concat_ws(' ', 'requests', its_state);
	before CONSTANT uuid := coalesce(api.cursor_key(scope, page), 'ffffffff-ffff-ffff-ffff-ffffffffffff')::uuid;
	items text;
	shown int;
	last_id uuid;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), (array_agg(id) FILTER (WHERE n = max_rows))[1]
	INTO items, shown, last_id
	FROM (SELECT row_number() OVER (ORDER BY r.request_id DESC) AS n, r.request_id AS id, api.json_request(r) AS item
	      FROM command.request AS r WHERE r.request_id < before AND (its_state IS NULL OR r.state = its_state)
	      ORDER BY r.request_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.requests(int, text, text) IS 'GET /v1/requests: a page of requests, the latest first, maybe only those in one state.';

-- Decisions

CREATE FUNCTION api.decide(r command.request, body jsonb, decision text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF r.state <> 'awaiting_approval' THEN
		RAISE EXCEPTION 'request % is not awaiting approval, it is %', r.request_id, r.state USING ERRCODE = 'CF409';
	ELSIF r.requested_by = fleet.setting('actor') THEN
		RAISE EXCEPTION 'request % was made by %: somebody else decides on it', r.request_id, r.requested_by USING ERRCODE = 'CF403';
	ELSIF body ->> 'request_sha256' IS DISTINCT FROM encode(r.request_sha256, 'hex') THEN
		RAISE EXCEPTION 'request_sha256: expected that of the request as it is now, which was changed since it was read; read it again' USING ERRCODE = 'CF409';
	ELSIF r.expires_at <= now() THEN
		RAISE EXCEPTION 'request % has expired', r.request_id USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.because(body ->> 'reason');
	INSERT INTO command.approval (request_id, requester, approver, decision, request_sha256, reason)
	VALUES (r.request_id, r.requested_by, fleet.setting('actor'), decision, r.request_sha256, body ->> 'reason');
	PERFORM audit.record(decision, 'command request', r.request_id::text, NULL, jsonb_build_object('state', r.state),
		jsonb_build_object('state', decision, 'request_sha256', encode(r.request_sha256, 'hex')));
END
$$;
COMMENT ON FUNCTION api.decide(command.request, jsonb, text) IS
	'Records a decision on a locked request. By the requester: CF403; decided, expired, or not what the body''s request_sha256 says: CF409.';

CREATE FUNCTION api.request_enter(r command.request) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	devices CONSTANT int[] := ARRAY(SELECT c.device_id FROM command.command AS c WHERE c.request_id = r.request_id AND c.place = 'held');
	holds CONSTANT boolean := r.rate IS NOT NULL OR r.not_before > now();
BEGIN
	PERFORM command.hold(devices);
	UPDATE command.command AS c SET state = 'approved', detail = NULL, place = CASE WHEN holds THEN 'held' WHEN EXISTS (SELECT FROM command.command AS o
			WHERE o.device_id = c.device_id AND o.place IS NOT NULL AND o.place IN ('queued', 'front', 'ready')) THEN 'queued' ELSE 'front' END
	WHERE c.request_id = r.request_id AND c.place = 'held';
	UPDATE command.request AS q SET state = 'active', releasing = holds, filled_at = now(), revision = pg_current_xact_id()
	WHERE q.request_id = r.request_id;
	PERFORM command.advance(devices), pg_notify('command_sign', ''), pg_notify('command_send', '');
END
$$;
COMMENT ON FUNCTION api.request_enter(command.request) IS
	'Lets the held commands of a request into the queues of their devices, or under its rate and not_before.';

CREATE FUNCTION api.request_approve(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
BEGIN
	PERFORM api.decide(r, body, 'approved');
	PERFORM api.interlock(r, ARRAY(SELECT t.device_id FROM command.target AS t WHERE t.request_id = r.request_id));
	PERFORM api.request_enter(r);
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_approve(text, jsonb) IS
	'POST /v1/requests/{id}:approve: the request as the body''s request_sha256 says goes its way. By the requester: CF403; not awaiting '
	'approval, changed since, or expired: CF409; unknown: CF404.';

CREATE FUNCTION api.request_refuse(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
BEGIN
	PERFORM api.decide(r, body, 'refused');
	PERFORM command.hold(ARRAY(SELECT t.device_id FROM command.target AS t WHERE t.request_id = r.request_id));
	UPDATE command.command AS c SET state = 'refused', place = NULL, ended_at = now(), detail = body ->> 'reason'
	WHERE c.request_id = r.request_id AND c.state = 'awaiting_approval';
	UPDATE command.request AS q SET state = 'refused', open = false, releasing = false, revision = pg_current_xact_id()
	WHERE q.request_id = r.request_id;
	PERFORM command.let_go(ARRAY(SELECT t.device_id FROM command.target AS t WHERE t.request_id = r.request_id));
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_refuse(text, jsonb) IS 'POST /v1/requests/{id}:refuse: nothing of it is done. Refusals as of request_approve().';

CREATE FUNCTION api.request_edit(id text, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
	wish command.request;
	approved_bytes bytea;
BEGIN
	PERFORM api.check_match(if_match, r.revision::text);
	IF r.state <> 'awaiting_approval' THEN
		RAISE EXCEPTION 'request % is %: cancel it and make another', r.request_id, r.state USING ERRCODE = 'CF409';
	ELSIF r.requested_by <> fleet.setting('actor') THEN
		RAISE EXCEPTION 'request % was made by %, who alone edits it', r.request_id, r.requested_by USING ERRCODE = 'CF403';
	END IF;
	wish := api.wish(jsonb_build_object('operation', r.operation, 'arguments', r.arguments, 'not_before', r.not_before,
		'expires_at', r.expires_at, 'shipment_override', r.shipment_override) || (body - 'reason'));
	approved_bytes := command.canonical(wish.operation, wish.class, wish.arguments, wish.not_before, wish.expires_at, ARRAY(
		SELECT d.serial FROM command.target AS t JOIN fleet.device AS d USING (device_id) WHERE t.request_id = r.request_id), wish.shipment_override);
	PERFORM api.because(body ->> 'reason');
	UPDATE command.request AS q SET arguments = wish.arguments, not_before = wish.not_before, expires_at = wish.expires_at,
		shipment_override = wish.shipment_override, canonical = approved_bytes, request_sha256 = sha256(approved_bytes),
		revision = pg_current_xact_id() WHERE q.request_id = r.request_id;
	PERFORM command.hold(ARRAY(SELECT t.device_id FROM command.target AS t WHERE t.request_id = r.request_id));
	UPDATE command.command AS c SET expires_at = wish.expires_at WHERE c.request_id = r.request_id AND c.state = 'awaiting_approval';
	PERFORM audit.record('changed', 'command request', r.request_id::text, NULL,
		jsonb_build_object('arguments', r.arguments, 'request_sha256', encode(r.request_sha256, 'hex')),
		jsonb_build_object('arguments', wish.arguments, 'request_sha256', encode(sha256(approved_bytes), 'hex'))),
		command.let_go(ARRAY(SELECT t.device_id FROM command.target AS t WHERE t.request_id = r.request_id));
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_edit(text, jsonb, text) IS
	'PATCH /v1/requests/{id}: its requester edits what awaits approval; whoever approves then approves that. If-Match names another revision: '
	'CF412; somebody else: CF403; decided already: CF409; wrong values: CF422.';

CREATE FUNCTION api.request_cancel(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
	devices CONSTANT int[] := ARRAY(SELECT c.device_id FROM command.command AS c WHERE c.request_id = r.request_id AND c.place IS NOT NULL);
	many int;
BEGIN
	PERFORM command.hold(devices), api.because(body ->> 'reason');
	UPDATE command.command AS c SET state = 'cancelled', place = NULL, ended_at = now(), retry_at = 'infinity', detail = body ->> 'reason'
	WHERE c.request_id = r.request_id AND c.state IN ('awaiting_approval', 'approved', 'signed', 'waiting');
	GET DIAGNOSTICS many = ROW_COUNT;
	IF many = 0 THEN
		RAISE EXCEPTION 'request %: none of its commands is left to cancel, each was sent or has ended', r.request_id USING ERRCODE = 'CF409';
	END IF;
	UPDATE command.request AS q SET state = 'cancelled', releasing = false, revision = pg_current_xact_id() WHERE q.request_id = r.request_id;
	PERFORM command.advance(devices), command.let_go(devices), audit.record('cancelled', 'command request', r.request_id::text, NULL,
		jsonb_build_object('state', r.state), jsonb_build_object('state', 'cancelled', 'commands', many));
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_cancel(text, jsonb) IS
	'POST /v1/requests/{id}:cancel: commands that are not sent never will be; those that are sent go on, but for one that then turns out to '
	'have reached nobody. None left to cancel: CF409.';

CREATE FUNCTION api.request_pause(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
	devices CONSTANT int[] := ARRAY(SELECT c.device_id FROM command.command AS c WHERE c.request_id = r.request_id AND c.place IS NOT NULL);
BEGIN
	IF r.state <> 'active' THEN
		RAISE EXCEPTION 'request % is not active, it is %', r.request_id, r.state USING ERRCODE = 'CF409';
	END IF;
	PERFORM command.hold(devices), api.because(body ->> 'reason');
	UPDATE command.command AS c SET state = 'approved', place = 'held', generation = c.generation + 1, counter = NULL, taken_at = NULL,
		retry_at = 'infinity', detail = 'paused'
	WHERE c.request_id = r.request_id AND c.state IN ('approved', 'signed', 'waiting');
	UPDATE command.request AS q SET state = 'paused', revision = pg_current_xact_id() WHERE q.request_id = r.request_id;
	PERFORM command.advance(devices), command.let_go(devices), audit.record('paused', 'command request', r.request_id::text, NULL, NULL, NULL);
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_pause(text, jsonb) IS
	'POST /v1/requests/{id}:pause: commands that are not sent are held, and lose their signature. Not active: CF409.';

CREATE FUNCTION api.request_resume(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r CONSTANT command.request := api.request_find(id, true);
BEGIN
	IF r.state <> 'paused' THEN
		RAISE EXCEPTION 'request % is not paused, it is %', r.request_id, r.state USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.because(body ->> 'reason'), api.request_enter(r);
	PERFORM audit.record('resumed', 'command request', r.request_id::text, NULL, NULL, NULL);
	RETURN api.request_answer(r.request_id);
END
$$;
COMMENT ON FUNCTION api.request_resume(text, jsonb) IS 'POST /v1/requests/{id}:resume: what was held by a pause goes on. Not paused: CF409.';

CREATE FUNCTION api.command_cancel(id text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c command.command := api.command_find(id);
BEGIN
	PERFORM command.hold(ARRAY[c.device_id]), api.because(body ->> 'reason');
	c := api.command_find(id);
	IF c.state IN ('sent', 'accepted') THEN
		RAISE EXCEPTION 'command % was sent at %, so its device may act on it: it is no longer cancelled; wait for its reply, then undo what it did',
			id, btrim(api.json_time(c.sent_at), '"') USING ERRCODE = 'CF409';
	ELSIF c.place IS NULL THEN
		RAISE EXCEPTION 'command % has ended: %', id, c.state USING ERRCODE = 'CF409';
	END IF;
	UPDATE command.command AS u SET state = 'cancelled', place = NULL, ended_at = now(), retry_at = 'infinity', detail = body ->> 'reason'
	WHERE u.command_id = c.command_id;
	PERFORM command.advance(ARRAY[c.device_id]), command.let_go(ARRAY[c.device_id]);
	PERFORM audit.record('cancelled', 'command', id, c.device_id, jsonb_build_object('state', c.state), jsonb_build_object('state', 'cancelled'));
	RETURN api.command_answer(c.command_id);
END
$$;
COMMENT ON FUNCTION api.command_cancel(text, jsonb) IS
	'POST /v1/commands/{id}:cancel: a command that is not sent never will be. Sent or ended: CF409; unknown: CF404.';

CREATE OR REPLACE FUNCTION api.json_commands(device int) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"open":', (SELECT count(*) FROM command.command AS c WHERE c.device_id = device AND c.place IS NOT NULL),
		',"switched":', coalesce((SELECT concat('{"operation":"', c.operation, '","command_id":"', c.command_id, '","at":',
				api.json_time(c.ended_at), ',"late":', to_json(c.late), '}')
			FROM command.command AS c WHERE c.device_id = device AND c.switched IS NOT NULL ORDER BY c.switched DESC LIMIT 1), 'null'), '}')
$$;
COMMENT ON FUNCTION api.json_commands(int) IS
	'What a device is being told, as a JSON object: how many commands have not ended, and the last disable or enable that it carried out.';

-- Configuration travels as a command

CREATE FUNCTION api.send_config() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	older CONSTANT uuid[] := ARRAY(SELECT c.command_id FROM command.command AS c WHERE c.device_id = new.device_id AND c.place IS NOT NULL
		AND c.operation = 'set-config');
BEGIN
	PERFORM command.hold(ARRAY[new.device_id]);
	UPDATE command.command AS c SET state = 'cancelled', place = NULL, ended_at = now(), retry_at = 'infinity',
		detail = 'version ' || new.version || ' is wanted'
	WHERE c.command_id = ANY (older) AND c.state IN ('approved', 'signed', 'waiting');
	PERFORM api.request_make(api.wish(jsonb_build_object('operation', 'set-config', 'arguments',
		jsonb_build_object('version', new.version, 'config', new.body))), ARRAY[new.device_id], '{"serials": 1}', NULL, new.reason);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION api.send_config() IS
	'Trigger: a desired configuration that was set over REST is sent, and an older one that was not sent yet is not.';
GRANT EXECUTE ON FUNCTION api.send_config() TO coldfleet_owner;

CREATE FUNCTION api.drop_commands() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM command.hold(ARRAY[new.device_id]);
	UPDATE command.command AS c SET state = 'cancelled', place = NULL, ended_at = now(), retry_at = 'infinity', detail = 'the device is decommissioned'
	WHERE c.device_id = new.device_id AND c.place IS NOT NULL AND c.state IN ('awaiting_approval', 'approved', 'signed', 'waiting');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION api.drop_commands() IS 'Trigger: a device that is decommissioned over REST is told nothing more.';
GRANT EXECUTE ON FUNCTION api.drop_commands() TO coldfleet_owner;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
RESET ROLE;
SET LOCAL ROLE coldfleet_owner;
-- Only where REST asks: whoever writes these tables in SQL sees to the rest.
CREATE TRIGGER send_config AFTER INSERT ON fleet.config
	FOR EACH ROW WHEN (command.program() = 'coldfleet_api') EXECUTE FUNCTION api.send_config();
CREATE TRIGGER drop_commands AFTER UPDATE OF state ON fleet.device
	FOR EACH ROW WHEN (new.state = 'decommissioned' AND old.state <> 'decommissioned' AND command.program() = 'coldfleet_api')
	EXECUTE FUNCTION api.drop_commands();
GRANT EXECUTE ON FUNCTION command.hold(int[]), command.advance(int[]), command.let_go(int[]) TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION api.command_make(text, jsonb), api.commands_make(jsonb), api.command_get(text), api.request_get(text),
	api.commands(int, text, text, text, text, text, timestamptz), api.requests(int, text, text), api.request_approve(text, jsonb),
	api.request_refuse(text, jsonb), api.request_edit(text, jsonb, text), api.request_cancel(text, jsonb), api.request_pause(text, jsonb),
	api.request_resume(text, jsonb), api.command_cancel(text, jsonb) TO coldfleet_api;

COMMIT;
