-- SPDX-License-Identifier: Apache-2.0
-- The audit trail over REST: searched page by page, and whole, with everything that a verifier needs who trusts nobody.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_audit(e audit.entry) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat(left(convert_from(e.canonical, 'UTF8'), -1), ',"hash":"', encode(e.hash, 'hex'), '"}')
$$;
COMMENT ON FUNCTION api.json_audit(audit.entry) IS 'An entry of the audit trail as a JSON object: its canonical bytes, and its hash.';

CREATE FUNCTION api.audit(filter jsonb, max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := concat('audit ', filter);
	before bigint := coalesce(api.cursor_key(scope, page)::bigint, 9223372036854775807);
	since bigint := 0;
	device CONSTANT int := CASE WHEN filter ? 'device' THEN api.device_number(filter ->> 'device') END;
	items text;
	shown int;
	last_number bigint;
BEGIN
	-- Times become numbers, which rise with them, so every search goes down one index of numbers and ends by itself.
	IF filter ? 'since' THEN
		since := coalesce((SELECT e.number FROM audit.entry AS e WHERE e.at >= (filter ->> 'since')::timestamptz
				   ORDER BY e.at, e.number LIMIT 1), 9223372036854775807);
	END IF;
	IF filter ? 'until' THEN
		before := least(before, (SELECT e.number FROM audit.entry AS e WHERE e.at >= (filter ->> 'until')::timestamptz
					 ORDER BY e.at, e.number LIMIT 1));
	END IF;
	EXECUTE concat('SELECT string_agg(item, '','' ORDER BY n) FILTER (WHERE n <= $1), count(*), max(number) FILTER (WHERE n = $1) '
		'FROM (SELECT row_number() OVER (ORDER BY e.number DESC) AS n, e.number, api.json_audit(e) AS item FROM audit.entry AS e '
		'WHERE e.number >= $2 AND e.number < $3',
		CASE WHEN filter ? 'actor' THEN ' AND e.actor = $4 ->> ''actor''' END,
		CASE WHEN filter ? 'kind' THEN ' AND e.kind = $4 ->> ''kind''' END,
		CASE WHEN filter ? 'id' THEN ' AND e.id = $4 ->> ''id''' END,
		CASE WHEN filter ? 'action' THEN ' AND e.action = $4 ->> ''action''' END,
		CASE WHEN device IS NOT NULL THEN ' AND e.device_id = $5' END,
		' ORDER BY e.number DESC LIMIT $1 + 1) AS found')
	INTO items, shown, last_number USING max_rows, since, before, filter, device;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor(scope, last_number::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.audit(jsonb, int, text) IS
	'GET /v1/audit: a page of the entries that meet all filters (actor, action, kind, id, device: a serial; since and until: times), the '
	'latest first. Unknown device: CF404.';

CREATE FUNCTION api.audit_whole() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'a chain with entries left out proves nothing: expected a token that sees all devices' USING ERRCODE = 'CF403';
	END IF;
END
$$;
COMMENT ON FUNCTION api.audit_whole() IS 'Refuses with CF403 a call whose scope is not all devices.';

CREATE FUNCTION api.audit_export(after bigint, key text, OUT body text, OUT next text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	chunk CONSTANT int := 2000;
	first CONSTANT bigint := coalesce(key::bigint, after) + 1;
	last bigint;
BEGIN
	PERFORM api.audit_whole();
	-- Checkpoints of the entry before the first one come along: they prove where a continued export begins.
	SELECT string_agg(line, '' ORDER BY lines.number, is_checkpoint, line), max(lines.number) INTO body, last FROM (
		SELECT e.number, false AS is_checkpoint, concat('{"previous":"', encode(e.previous_hash, 'hex'), '","hash":"',
			encode(e.hash, 'hex'), '","entry":', convert_from(e.canonical, 'UTF8'), E'}\n') AS line
		FROM audit.entry AS e WHERE e.number >= first AND e.number < first + chunk
		UNION ALL
		SELECT c.number, true, concat('{"checkpoint":"', translate(encode(c.message, 'base64'), E'\n', ''), E'"}\n')
		FROM audit.checkpoint AS c WHERE c.number < first + chunk AND c.number >= first - (key IS NULL)::int) AS lines;
	next := CASE WHEN last = first + chunk - 1 THEN last::text END;
	body := coalesce(body, '');
END
$$;
COMMENT ON FUNCTION api.audit_export(bigint, text) IS
	'GET /v1/audit:export: the next 2,000 entries after number key (NULL: after `after`) and the checkpoints of their time, a JSON object a '
	'line; next is where to go on, NULL at the end. A token that does not see all devices: CF403.';

CREATE FUNCTION api.audit_checkpoints(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	before CONSTANT bigint := coalesce(api.cursor_key('checkpoints', page)::bigint, 9223372036854775807);
	items text;
	shown int;
	last_id bigint;
BEGIN
	PERFORM api.audit_whole();
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY c.checkpoint_id DESC) AS n, c.checkpoint_id AS id, concat('{"number":', c.number,
			',"hash":"', encode(c.hash, 'hex'), '","at":', api.json_time(c.at), ',"kid":"', encode(c.kid, 'hex'),
			'","checkpoint":"', translate(encode(c.message, 'base64'), E'\n', ''), '"}') AS item
		FROM audit.checkpoint AS c WHERE c.checkpoint_id < before ORDER BY c.checkpoint_id DESC LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor('checkpoints', last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.audit_checkpoints(int, text) IS
	'GET /v1/audit/checkpoints: a page of the signed checkpoints, the latest first. A token that does not see all devices: CF403.';

REVOKE ALL ON FUNCTION api.json_audit(audit.entry), api.audit(jsonb, int, text), api.audit_whole(), api.audit_export(bigint, text),
	api.audit_checkpoints(int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.audit(jsonb, int, text), api.audit_export(bigint, text), api.audit_checkpoints(int, text) TO coldfleet_api;

COMMIT;
