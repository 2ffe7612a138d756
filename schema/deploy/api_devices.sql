-- SPDX-License-Identifier: Apache-2.0
-- What REST may change: devices (register, edit, decommission) and tokens (list, make, revoke). Who and why goes to
-- history by triggers, which read the settings of the call.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
GRANT UPDATE (revoked_at) ON fleet.certificate TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION fleet.tags_valid(text[]) TO coldfleet_api_definer; -- a check of the table that it updates

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.device_answer(serial text, revision xid8, status int DEFAULT 200) RETURNS api.answer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	body CONSTANT text := api.device(serial);
BEGIN
	RETURN (status, body, concat(revision, '.', left(md5(body), 16)),
		CASE WHEN status = 201 THEN '/v1/devices/' || serial END)::api.answer;
END
$$;
COMMENT ON FUNCTION api.device_answer(text, xid8, int) IS
	'A device as an answer. Its entity tag is the revision, which If-Match looks at, a dot, and a digest of the whole, so that a new '
	'reading is a new representation for If-None-Match but no obstacle to an edit.';

CREATE FUNCTION api.device_get(serial text) RETURNS api.answer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN api.device_answer(serial, (SELECT d.revision FROM fleet.device AS d WHERE d.serial = device_get.serial));
END
$$;
COMMENT ON FUNCTION api.device_get(text) IS 'GET /v1/devices/{serial}. Unknown serial: CF404.';

CREATE FUNCTION api.set_model(device int, model jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO fleet.model (manufacturer, name) VALUES (model ->> 'manufacturer', model ->> 'name') ON CONFLICT DO NOTHING;
	UPDATE fleet.device AS d SET model_id = m.model_id FROM fleet.model AS m
	WHERE d.device_id = device AND m.manufacturer = model ->> 'manufacturer' AND m.name = model ->> 'name';
END
$$;
COMMENT ON FUNCTION api.set_model(int, jsonb) IS 'Makes a device one of that model, which is made when it is new.';

CREATE FUNCTION api.set_module(device int, module jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF module = 'null' THEN
		DELETE FROM fleet.module AS m WHERE m.device_id = device;
		RETURN;
	END IF;
	IF NOT fleet.imei_valid(module ->> 'imei') THEN
		RAISE EXCEPTION 'module.imei: expected 15 digits, the last one the check digit of the others' USING ERRCODE = 'CF422';
	END IF;
	UPDATE fleet.module AS m SET imei = coalesce(module ->> 'imei', m.imei),
		manufacturer = CASE WHEN module ? 'manufacturer' THEN coalesce(module ->> 'manufacturer', '') ELSE m.manufacturer END,
		model = CASE WHEN module ? 'model' THEN coalesce(module ->> 'model', '') ELSE m.model END,
		firmware = CASE WHEN module ? 'firmware' THEN coalesce(module ->> 'firmware', '') ELSE m.firmware END
	WHERE m.device_id = device;
	IF FOUND THEN
		RETURN;
	END IF;
	IF module ->> 'imei' IS NULL THEN
		RAISE EXCEPTION 'module.imei: expected it, for the device has no module yet' USING ERRCODE = 'CF422';
	END IF;
	INSERT INTO fleet.module (device_id, imei, manufacturer, model, firmware)
	VALUES (device, module ->> 'imei', coalesce(module ->> 'manufacturer', ''), coalesce(module ->> 'model', ''),
		coalesce(module ->> 'firmware', ''));
END
$$;
COMMENT ON FUNCTION api.set_module(int, jsonb) IS
	'Merges what is said into the radio module of a device, or makes one; JSON null takes it away.';

CREATE FUNCTION api.set_sim(device int, sim jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted CONSTANT text := coalesce(sim ->> 'iccid', (SELECT s.iccid FROM fleet.sim AS s WHERE s.device_id = device AND sim <> 'null'));
	prefix cidr;
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'sim: SIMs are moved by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	UPDATE fleet.sim AS s SET device_id = NULL WHERE s.device_id = device AND s.iccid IS DISTINCT FROM wanted;
	IF sim = 'null' THEN
		RETURN;
	END IF;
	IF wanted IS NULL THEN
		RAISE EXCEPTION 'sim.iccid: expected it, for the device has no SIM yet' USING ERRCODE = 'CF422';
	END IF;
	BEGIN
		prefix := (sim ->> 'expected_prefix')::cidr;
	EXCEPTION WHEN invalid_text_representation THEN
		RAISE EXCEPTION 'sim.expected_prefix: expected addresses like 10.20.0.0/16 or fd00::/64' USING ERRCODE = 'CF422';
	END;
	IF EXISTS (SELECT FROM fleet.sim AS s WHERE s.iccid = wanted AND s.device_id <> device) THEN
		RAISE EXCEPTION 'sim.iccid: % belongs to another device', wanted USING ERRCODE = 'CF409';
	END IF;
	INSERT INTO fleet.sim AS s (device_id, iccid, imsi, apn, expected_prefix)
	VALUES (device, wanted, sim ->> 'imsi', sim ->> 'apn', prefix)
	ON CONFLICT (iccid) DO UPDATE SET device_id = excluded.device_id,
		imsi = CASE WHEN sim ? 'imsi' THEN excluded.imsi ELSE s.imsi END,
		apn = CASE WHEN sim ? 'apn' THEN excluded.apn ELSE s.apn END,
		expected_prefix = CASE WHEN sim ? 'expected_prefix' THEN excluded.expected_prefix ELSE s.expected_prefix END;
END
$$;
COMMENT ON FUNCTION api.set_sim(int, jsonb) IS
	'Merges what is said into the SIM of a device; another ICCID puts another SIM in, out of stock or new, and the old one back into stock, '
	'as JSON null does.';

CREATE FUNCTION api.device_parts(device int, body jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	broken text;
BEGIN
	IF body ? 'model' THEN
		PERFORM api.set_model(device, body -> 'model');
	END IF;
	IF body ? 'module' THEN
		PERFORM api.set_module(device, body -> 'module');
	END IF;
	IF body ? 'sim' THEN
		PERFORM api.set_sim(device, body -> 'sim');
	END IF;
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
	RAISE EXCEPTION '%: belongs to another device', CASE broken
		WHEN 'module_imei_key' THEN 'module.imei' WHEN 'sim_imsi_key' THEN 'sim.imsi' ELSE broken END USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.device_parts(int, jsonb) IS 'Sets model, module and SIM of a device as far as the body says anything of them.';

CREATE FUNCTION api.device_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device int;
BEGIN
	IF NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'devices are registered by tokens that see all devices' USING ERRCODE = 'CF403';
	END IF;
	PERFORM api.because(body ->> 'reason');
	BEGIN
		device := fleet.register_device(body ->> 'serial', body #>> '{model,manufacturer}', body #>> '{model,name}',
						body ->> 'hardware_revision');
	EXCEPTION WHEN unique_violation THEN
		RAISE EXCEPTION 'serial: % is known already', body ->> 'serial' USING ERRCODE = 'CF409';
	END;
	IF body ->> 'state' <> 'active' THEN
		UPDATE fleet.device AS d SET state = body ->> 'state' WHERE d.device_id = device;
	END IF;
	PERFORM api.device_parts(device, body - 'model');
	RETURN (SELECT api.device_answer(d.serial, d.revision, 201) FROM fleet.device AS d WHERE d.device_id = device);
END
$$;
COMMENT ON FUNCTION api.device_create(jsonb) IS
	'POST /v1/devices: registers a device, active unless the body says otherwise. A serial, IMEI or ICCID that is known: CF409; a token '
	'with a scope: CF403.';

CREATE FUNCTION api.device_lock(serial text) RETURNS fleet.device
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device fleet.device;
BEGIN
	SELECT * INTO device FROM fleet.device AS d WHERE d.serial = device_lock.serial FOR UPDATE;
	IF device.device_id IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'CF404';
	END IF;
	RETURN device;
END
$$;
COMMENT ON FUNCTION api.device_lock(text) IS 'A device that is about to be changed: the next change waits. Unknown serial: CF404.';

CREATE FUNCTION api.device_patch(serial text, body jsonb, if_match text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT fleet.device := api.device_lock(serial);
BEGIN
	PERFORM api.check_match(if_match, device.revision::text);
	IF device.state = 'decommissioned' THEN
		RAISE EXCEPTION 'device % is decommissioned, nothing of it changes any more', serial USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.because(body ->> 'reason');
	PERFORM api.device_parts(device.device_id, body);
	-- Always, so that the revision moves when only the module or the SIM has changed.
	UPDATE fleet.device AS d SET state = coalesce(body ->> 'state', d.state),
		hardware_revision = CASE WHEN body ? 'hardware_revision' THEN coalesce(body ->> 'hardware_revision', '')
					 ELSE d.hardware_revision END
	WHERE d.device_id = device.device_id;
	RETURN (SELECT api.device_answer(d.serial, d.revision) FROM fleet.device AS d WHERE d.device_id = device.device_id);
END
$$;
COMMENT ON FUNCTION api.device_patch(text, jsonb, text) IS
	'PATCH /v1/devices/{serial}: merges the body into the device (RFC 7396). If-Match names another revision: CF412; decommissioned, or an '
	'IMEI or ICCID of another device: CF409; unknown serial: CF404.';

CREATE FUNCTION api.device_decommission(serial text, body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT fleet.device := api.device_lock(serial);
BEGIN
	IF device.state = 'decommissioned' THEN
		RAISE EXCEPTION 'device % is decommissioned already', serial USING ERRCODE = 'CF409';
	END IF;
	PERFORM api.because(body ->> 'reason');
	UPDATE fleet.certificate AS c SET revoked_at = now() WHERE c.device_id = device.device_id AND c.revoked_at IS NULL;
	UPDATE fleet.device AS d SET state = 'decommissioned' WHERE d.device_id = device.device_id;
	RETURN (SELECT api.device_answer(d.serial, d.revision) FROM fleet.device AS d WHERE d.device_id = device.device_id);
END
$$;
COMMENT ON FUNCTION api.device_decommission(text, jsonb) IS
	'POST /v1/devices/{serial}/decommission: out of service for good, its certificates are revoked; what it measured is kept. '
	'Already so: CF409; unknown serial: CF404.';

CREATE FUNCTION api.json_token(token fleet.token) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT concat('{"id":', token.token_id, ',"name":', to_json(token.name), ',"role":', to_json(token.role),
		',"groups":', coalesce(to_json(token.groups)::text, 'null'), ',"created_at":', api.json_time(token.created_at),
		',"created_by":', api.json_or_null(token.created_by), ',"created_why":', api.json_or_null(token.created_why),
		',"expires_at":', coalesce(api.json_time(token.expires_at), 'null'),
		',"last_used_at":', coalesce(api.json_time(token.last_used_at), 'null'),
		',"revoked_at":', coalesce(api.json_time(token.revoked_at), 'null'),
		',"revoked_by":', api.json_or_null(token.revoked_by), ',"revoked_why":', api.json_or_null(token.revoked_why), '}')
$$;
COMMENT ON FUNCTION api.json_token(fleet.token) IS 'A token as a JSON object, without anything that it could be guessed from.';

CREATE FUNCTION api.token_in_scope(groups int[]) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT fleet.scope_all() OR coalesce(groups <@ fleet.scope_groups(), false)
$$;
COMMENT ON FUNCTION api.token_in_scope(int[]) IS 'Does a token of that scope see no more than the call does?';

CREATE FUNCTION api.tokens(max_rows int, page text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	after_id CONSTANT int := coalesce(api.cursor_key('tokens', page)::int, 0);
	items text;
	shown int;
	last_id int;
BEGIN
	SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= max_rows), count(*), max(id) FILTER (WHERE n = max_rows)
	INTO items, shown, last_id
	FROM (
		SELECT row_number() OVER (ORDER BY t.token_id) AS n, t.token_id AS id, api.json_token(t) AS item
		FROM fleet.token AS t WHERE t.token_id > after_id AND api.token_in_scope(t.groups)
		ORDER BY t.token_id LIMIT max_rows + 1) AS found;
	RETURN concat('{"items":[', items, '],"next":',
		coalesce(to_json(CASE WHEN shown > max_rows THEN api.cursor('tokens', last_id::text) END)::text, 'null'), '}');
END
$$;
COMMENT ON FUNCTION api.tokens(int, text) IS
	'GET /v1/tokens: a page of the tokens that see no more than the call does, in the order in which they were made.';

CREATE FUNCTION api.token_create(body jsonb) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_groups CONSTANT int[] := (SELECT array_agg(DISTINCT g::int) FROM jsonb_array_elements_text(nullif(body -> 'groups', 'null')) AS g);
	missing int;
	secret text;
	made fleet.token;
BEGIN
	IF NOT api.token_in_scope(its_groups) THEN
		RAISE EXCEPTION 'groups: expected groups of the scope of the token that asks' USING ERRCODE = 'CF403';
	END IF;
	SELECT g INTO missing FROM unnest(its_groups) AS g
	WHERE NOT EXISTS (SELECT FROM fleet.device_group AS d WHERE d.group_id = g) LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'groups: there is no group %', missing USING ERRCODE = 'CF422';
	END IF;
	IF (body ->> 'expires_at')::timestamptz <= now() THEN
		RAISE EXCEPTION 'expires_at: expected a time that is still to come' USING ERRCODE = 'CF422';
	END IF;
	PERFORM api.because(body ->> 'reason');
	secret := fleet.create_token(body ->> 'name', body ->> 'role', (body ->> 'expires_at')::timestamptz);
	UPDATE fleet.token AS t SET groups = its_groups, created_by = current_setting('coldfleet.actor'),
		created_why = body ->> 'reason'
	WHERE t.sha256 = sha256(convert_to(secret, 'UTF8')) RETURNING * INTO made;
	RETURN (201, concat('{"token":', to_json(secret), ',', substr(api.json_token(made), 2)), NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.token_create(jsonb) IS
	'POST /v1/tokens: makes a token and shows it, this once. Groups beyond the scope of the call: CF403; unknown ones: CF422.';

CREATE FUNCTION api.without_secret(body text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT regexp_replace(body, '^\{"token":"[^"]*"', '{"token":null')
$$;
COMMENT ON FUNCTION api.without_secret(text) IS 'The answer of token_create as it is kept: without the token.';

CREATE FUNCTION api.token_revoke(id int, reason text) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM api.because(reason);
	UPDATE fleet.token AS t SET revoked_at = coalesce(t.revoked_at, now()),
		revoked_by = CASE WHEN t.revoked_at IS NULL THEN current_setting('coldfleet.actor') ELSE t.revoked_by END,
		revoked_why = CASE WHEN t.revoked_at IS NULL THEN reason ELSE t.revoked_why END
	WHERE t.token_id = id AND api.token_in_scope(t.groups);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no token %', id USING ERRCODE = 'CF404';
	END IF;
	RETURN (204, '', NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.token_revoke(int, text) IS
	'DELETE /v1/tokens/{id}: the token ends now; its row stays. A second time changes nothing. Unknown: CF404.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.device_get(text), api.device_create(jsonb), api.device_patch(text, jsonb, text),
	api.device_decommission(text, jsonb), api.tokens(int, text), api.token_create(jsonb), api.without_secret(text),
	api.token_revoke(int, text) TO coldfleet_api;
REVOKE EXECUTE ON FUNCTION api.device(text) FROM coldfleet_api;

COMMIT;
