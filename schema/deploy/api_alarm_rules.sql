-- SPDX-License-Identifier: Apache-2.0
-- Rules of alarms over REST: what holds for all devices, and for a model, a group or a device instead. A token with a scope sees
-- what counts for its devices, and makes rules for its groups and devices alone. Who changed what and why is in the audit trail.
BEGIN;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.json_alarm_rule(r coldchain.alarm_rule) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('id', r.rule_id, 'kind', r.kind,
		'model', (SELECT json_build_object('manufacturer', m.manufacturer, 'name', m.name) FROM fleet.model AS m WHERE m.model_id = r.model_id),
		'group', r.group_id, 'device', (SELECT d.serial FROM fleet.device AS d WHERE d.device_id = r.device_id), 'enabled', r.enabled,
		'after_s', extract(epoch FROM r.after)::float8, 'below', r.below, 'quiet_s', extract(epoch FROM r.quiet)::float8,
		'escalate_after_s', extract(epoch FROM r.escalate_after)::float8, 'wake_s', extract(epoch FROM r.wake)::float8)
$$;
COMMENT ON FUNCTION api.json_alarm_rule(coldchain.alarm_rule) IS 'A rule of alarms as a JSON object, times in seconds.';

CREATE FUNCTION api.alarm_rule_answer(id int, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r coldchain.alarm_rule;
BEGIN
	SELECT * INTO r FROM coldchain.alarm_rule AS x WHERE x.rule_id = id;
	IF r.rule_id IS NULL THEN
		RAISE EXCEPTION 'there is no rule %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN (status, api.json_alarm_rule(r)::text, r.revision::text, CASE WHEN status = 201 THEN '/v1/alarm-rules/' || id END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.alarm_rule_answer(int, int) IS 'A rule as an answer; its revision is the entity tag. Unknown or out of scope: CF404.';

CREATE FUNCTION api.alarm_rules(max_rows int, page text, kind text, device text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope CONSTANT text := concat_ws(E'\n', 'alarm_rules', kind, '', device);
	after_id CONSTANT int := coalesce(api.cursor_key(scope, page)::int, 0);
	its_device CONSTANT int := CASE WHEN device IS NOT NULL THEN api.device_number(device) END;
	items text;
	last_id int;
BEGIN
	SELECT string_agg(api.json_alarm_rule(r)::text, ',' ORDER BY n) FILTER (WHERE n <= max_rows),
		max((r).rule_id) FILTER (WHERE n = max_rows AND shown > max_rows)
	INTO items, last_id
	FROM (SELECT r, row_number() OVER (ORDER BY (r).rule_id) AS n, count(*) OVER () AS shown
	      FROM (SELECT x AS r FROM coldchain.alarm_rule AS x WHERE its_device IS NULL
		    -- Which one counts may be decided by a group that the call does not see.
		    UNION ALL SELECT x FROM coldchain.alarm_kind AS k, coldchain.alarm_rule_of(k.kind, its_device) AS x WHERE its_device IS NOT NULL) AS q
	      WHERE (r).rule_id > after_id AND (alarm_rules.kind IS NULL OR (r).kind = alarm_rules.kind)
	      ORDER BY (r).rule_id LIMIT max_rows + 1) AS found;
	RETURN api.json_page(items, scope, last_id::text);
END
$$;
COMMENT ON FUNCTION api.alarm_rules(int, text, text, text) IS
	'GET /v1/alarm-rules: a page of rules, in the order in which they were made; of a kind; with a device the one of each kind that counts for '
	'it. Unknown device: CF404.';

CREATE FUNCTION api.alarm_rule_get(id int) RETURNS api.answer
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT api.alarm_rule_answer(id)
$$;
COMMENT ON FUNCTION api.alarm_rule_get(int) IS 'GET /v1/alarm-rules/{id}. Unknown: CF404.';

CREATE FUNCTION api.alarm_rule_of_body(r coldchain.alarm_rule, body jsonb) RETURNS coldchain.alarm_rule
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF body ? 'after_s' AND r.kind = 'excursion' THEN
		RAISE EXCEPTION 'after_s: how long an excursion may last is said by the profile' USING ERRCODE = 'CF422';
	ELSIF body ? 'below' AND r.kind NOT IN ('battery', 'calibration') THEN
		RAISE EXCEPTION 'below: expected of kinds battery and calibration alone' USING ERRCODE = 'CF422';
	ELSIF body ? 'wake_s' AND r.kind <> 'silence' THEN
		RAISE EXCEPTION 'wake_s: expected of kind silence alone' USING ERRCODE = 'CF422';
	END IF;
	r.enabled := coalesce((body ->> 'enabled')::boolean, r.enabled);
	r.after := coalesce(make_interval(secs => (body ->> 'after_s')::float8), r.after);
	r.below := coalesce((body ->> 'below')::real, r.below);
	r.quiet := coalesce(make_interval(secs => (body ->> 'quiet_s')::float8), r.quiet);
	r.wake := coalesce(make_interval(secs => (body ->> 'wake_s')::float8), r.wake);
	IF body ? 'escalate_after_s' THEN
		r.escalate_after := make_interval(secs => (body ->> 'escalate_after_s')::float8);
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION api.alarm_rule_of_body(coldchain.alarm_rule, jsonb) IS
	'A rule with what the body says instead of what it said. Something that its kind does not have: CF422.';

CREATE FUNCTION api.alarm_rule_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_device CONSTANT int := CASE WHEN body ->> 'device' IS NOT NULL THEN api.device_number(body ->> 'device') END;
	its_group CONSTANT int := (body ->> 'group')::int;
	its_model CONSTANT int := (SELECT m.model_id FROM fleet.model AS m
		WHERE m.manufacturer = body #>> '{model,manufacturer}' AND m.name = body #>> '{model,name}');
	r coldchain.alarm_rule;
	made int;
BEGIN
	PERFORM api.because(body ->> 'reason');
	IF num_nonnulls(body ->> 'device', body ->> 'group', body ->> 'model') <> 1 THEN
		RAISE EXCEPTION 'expected one of device, group and model: the rule for all devices is there, edit it' USING ERRCODE = 'CF422';
	ELSIF body ->> 'model' IS NOT NULL THEN
		PERFORM api.must_see_all('rules for models are made');
		IF its_model IS NULL THEN
			RAISE EXCEPTION 'model: there is none of that manufacturer and name' USING ERRCODE = 'CF422';
		END IF;
	ELSIF its_group IS NOT NULL AND NOT EXISTS (SELECT FROM fleet.device_group AS g WHERE g.group_id = its_group AND g.filter IS NULL) THEN
		RAISE EXCEPTION 'group: there is no static group %', its_group USING ERRCODE = 'CF422';
	END IF;
	IF its_device IS NOT NULL THEN
		r := coldchain.alarm_rule_of(body ->> 'kind', its_device);
	ELSE
		SELECT * INTO r FROM coldchain.alarm_rule AS x
		WHERE x.kind = body ->> 'kind' AND num_nonnulls(x.model_id, x.group_id, x.device_id) = 0;
	END IF;
	r := api.alarm_rule_of_body(r, body);
	INSERT INTO coldchain.alarm_rule AS x (kind, model_id, group_id, device_id, enabled, after, below, quiet, escalate_after, wake)
	VALUES (body ->> 'kind', its_model, its_group, its_device, r.enabled, r.after, r.below, r.quiet, r.escalate_after, r.wake)
	RETURNING x.rule_id INTO made;
	RETURN api.alarm_rule_answer(made, 201);
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'there is such a rule about % already: edit it', body ->> 'kind' USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.alarm_rule_create(jsonb) IS
	'POST /v1/alarm-rules: a rule for a model, a group or a device; what the body does not say is as in the rule that it goes before (of a device: '
	'that counts for it now; else: for all devices). There is one: CF409; unknown model or group, or what its kind does not have: CF422; '
	'unknown device: CF404; a token with a scope, for a model: CF403.';

CREATE FUNCTION api.alarm_rule_lock(id int) RETURNS coldchain.alarm_rule
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r coldchain.alarm_rule;
BEGIN
	SELECT * INTO r FROM coldchain.alarm_rule AS x WHERE x.rule_id = id FOR UPDATE;
	IF r.rule_id IS NULL THEN
		RAISE EXCEPTION 'there is no rule %', id USING ERRCODE = 'CF404';
	ELSIF num_nonnulls(r.group_id, r.device_id) = 0 THEN
		PERFORM api.must_see_all('rules for models and for all devices are changed');
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION api.alarm_rule_lock(int) IS 'A rule that is about to be changed. Unknown: CF404; beyond the scope of the call: CF403.';

CREATE FUNCTION api.alarm_rule_patch(id int, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r coldchain.alarm_rule := api.alarm_rule_lock(id);
BEGIN
	PERFORM api.check_match(if_match, r.revision::text), api.because(body ->> 'reason');
	r := api.alarm_rule_of_body(r, body);
	UPDATE coldchain.alarm_rule AS x SET enabled = r.enabled, after = r.after, below = r.below, quiet = r.quiet, escalate_after = r.escalate_after,
		wake = r.wake
	WHERE x.rule_id = id;
	RETURN api.alarm_rule_answer(id);
END
$$;
COMMENT ON FUNCTION api.alarm_rule_patch(int, jsonb, text) IS
	'PATCH /v1/alarm-rules/{id}. If-Match names another revision: CF412; what its kind does not have: CF422; beyond the scope: CF403; unknown: CF404.';

CREATE FUNCTION api.alarm_rule_delete(id int, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r CONSTANT coldchain.alarm_rule := api.alarm_rule_lock(id);
BEGIN
	PERFORM api.because(reason);
	IF num_nonnulls(r.model_id, r.group_id, r.device_id) = 0 THEN
		RAISE EXCEPTION 'rule %: that for all devices stays; edit it', id USING ERRCODE = 'CF409';
	END IF;
	DELETE FROM coldchain.alarm_rule AS x WHERE x.rule_id = id;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.alarm_rule_delete(int, text) IS
	'DELETE /v1/alarm-rules/{id}. The one for all devices: CF409; beyond the scope: CF403; unknown: CF404.';

REVOKE ALL ON FUNCTION api.json_alarm_rule(coldchain.alarm_rule), api.alarm_rule_answer(int, int), api.alarm_rules(int, text, text, text),
	api.alarm_rule_get(int), api.alarm_rule_of_body(coldchain.alarm_rule, jsonb), api.alarm_rule_create(jsonb), api.alarm_rule_lock(int),
	api.alarm_rule_patch(int, jsonb, text), api.alarm_rule_delete(int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.alarm_rules(int, text, text, text), api.alarm_rule_get(int), api.alarm_rule_create(jsonb),
	api.alarm_rule_patch(int, jsonb, text), api.alarm_rule_delete(int, text) TO coldfleet_api;

COMMIT;
