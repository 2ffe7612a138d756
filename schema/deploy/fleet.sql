-- SPDX-License-Identifier: Apache-2.0
-- Devices and what belongs to them: model, radio module, SIM, certificates; and the tokens of people and programs. The
-- rules that must never be broken (a serial, an IMEI, a key belongs to one device) are constraints here.
BEGIN;

CREATE SCHEMA fleet AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA fleet IS 'Devices, what they are made of, and who may speak for them.';

CREATE FUNCTION fleet.imei_valid(imei text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT imei ~ '^[0-9]{15}$' AND sum(CASE
			WHEN place % 2 = 1 THEN digit
			WHEN digit > 4 THEN digit * 2 - 9
			ELSE digit * 2
		END) % 10 = 0
	FROM (SELECT place, ascii(substr(imei, place, 1)) - 48 AS digit FROM generate_series(1, 15) AS place) AS digits
$$;
COMMENT ON FUNCTION fleet.imei_valid(text) IS
	'True for 15 digits whose last one is the Luhn check digit of the others (3GPP TS 23.003, annex B).';

CREATE TABLE fleet.model (
	model_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	manufacturer text NOT NULL CHECK (manufacturer <> ''),
	name text NOT NULL CHECK (name <> ''),
	end_of_support date,
	UNIQUE (manufacturer, name)
);
COMMENT ON TABLE fleet.model IS 'A kind of tracker, one row a model.';
COMMENT ON COLUMN fleet.model.model_id IS 'Number of the model.';
COMMENT ON COLUMN fleet.model.manufacturer IS 'Who makes it.';
COMMENT ON COLUMN fleet.model.name IS 'What its maker calls it.';
COMMENT ON COLUMN fleet.model.end_of_support IS
	'Last day on which security updates are made for it; NULL: not announced.';

CREATE TABLE fleet.device (
	device_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	serial text NOT NULL UNIQUE CHECK (serial ~ '^[A-Za-z0-9._-]{1,64}$'),
	model_id int NOT NULL REFERENCES fleet.model,
	hardware_revision text NOT NULL DEFAULT '',
	state text NOT NULL DEFAULT 'registered'
		CHECK (state IN ('registered', 'active', 'disabled', 'quarantined', 'banned', 'decommissioned')),
	created_at timestamptz NOT NULL DEFAULT now(),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX device_revision ON fleet.device (revision);
CREATE INDEX device_model ON fleet.device (model_id);
COMMENT ON TABLE fleet.device IS 'A tracker, one row a device. Rows are never deleted: a device that is gone is decommissioned.';
COMMENT ON COLUMN fleet.device.device_id IS 'Number of the device; what every other table calls it.';
COMMENT ON COLUMN fleet.device.serial IS
	'Serial number, 1 to 64 of A-Z a-z 0-9 . _ -: the name in its certificate, its MQTT client id and its topics. Never changes.';
COMMENT ON COLUMN fleet.device.model_id IS 'What kind of tracker it is.';
COMMENT ON COLUMN fleet.device.hardware_revision IS 'Revision of its hardware as its maker writes it; empty: unknown.';
COMMENT ON COLUMN fleet.device.state IS
	'registered: known, never activated; active; disabled: turned off by command; quarantined: under suspicion; '
	'banned: not admitted; decommissioned: out of service for good.';
COMMENT ON COLUMN fleet.device.created_at IS 'When it was registered.';
COMMENT ON COLUMN fleet.device.revision IS
	'The transaction that last changed the row or its certificates. A cache asks token := pg_snapshot_xmin(pg_current_snapshot()) '
	'and pulls; later it pulls revision >= token. Every transaction that its first pull could not see has a number of at least '
	'that token, however late it commits, so no change is ever missed; some rows are pulled twice, which does no harm. Nor do '
	'writers wait for each other, as they would at a counter. After a restore into a younger cluster, whose transaction '
	'numbers are lower, run UPDATE fleet.device SET revision = DEFAULT once, or pulls stay correct but long.';

CREATE TABLE fleet.module (
	device_id int PRIMARY KEY REFERENCES fleet.device,
	manufacturer text NOT NULL DEFAULT '',
	model text NOT NULL DEFAULT '',
	imei text NOT NULL UNIQUE CHECK (fleet.imei_valid(imei)),
	firmware text NOT NULL DEFAULT ''
);
COMMENT ON TABLE fleet.module IS 'The radio module in a device, at most one each.';
COMMENT ON COLUMN fleet.module.device_id IS 'The device that it is built into.';
COMMENT ON COLUMN fleet.module.manufacturer IS 'Who makes the module; empty: unknown.';
COMMENT ON COLUMN fleet.module.model IS 'What its maker calls it; empty: unknown.';
COMMENT ON COLUMN fleet.module.imei IS 'International mobile equipment identity: 15 digits with a valid check digit, one device each.';
COMMENT ON COLUMN fleet.module.firmware IS 'Firmware version that the module last reported; empty: unknown.';

CREATE TABLE fleet.sim (
	sim_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int UNIQUE REFERENCES fleet.device,
	iccid text NOT NULL UNIQUE CHECK (iccid ~ '^[0-9]{18,20}$'),
	imsi text UNIQUE CHECK (imsi ~ '^[0-9]{6,15}$'),
	apn text,
	expected_prefix cidr
);
COMMENT ON TABLE fleet.sim IS 'A SIM of the OEM, one row a card or profile.';
COMMENT ON COLUMN fleet.sim.sim_id IS 'Number of the SIM.';
COMMENT ON COLUMN fleet.sim.device_id IS 'The device that it belongs into; NULL: in stock.';
COMMENT ON COLUMN fleet.sim.iccid IS 'Integrated circuit card identifier, 18 to 20 digits (ITU-T E.118).';
COMMENT ON COLUMN fleet.sim.imsi IS 'International mobile subscriber identity, 6 to 15 digits; NULL: unknown.';
COMMENT ON COLUMN fleet.sim.apn IS 'Access point name that it is provisioned for; NULL: unknown.';
COMMENT ON COLUMN fleet.sim.expected_prefix IS
	'Addresses that its private access point assigns; NULL: not checked. A second factor, never an identity.';

CREATE TABLE fleet.certificate (
	certificate_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL REFERENCES fleet.device,
	sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
	key_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(key_sha256) = 32),
	not_before timestamptz NOT NULL,
	not_after timestamptz NOT NULL,
	added_at timestamptz NOT NULL DEFAULT now(),
	revoked_at timestamptz,
	CHECK (not_after > not_before)
);
CREATE INDEX certificate_device ON fleet.certificate (device_id);
COMMENT ON TABLE fleet.certificate IS
	'Client certificates that devices may connect with. No two devices share a certificate or a key; a device has at most two in '
	'force, the old and the new one of a rotation.';
COMMENT ON COLUMN fleet.certificate.certificate_id IS 'Number of the certificate.';
COMMENT ON COLUMN fleet.certificate.device_id IS 'The device that it names.';
COMMENT ON COLUMN fleet.certificate.sha256 IS 'SHA-256 of the whole certificate in DER, 32 bytes.';
COMMENT ON COLUMN fleet.certificate.key_sha256 IS 'SHA-256 of its SubjectPublicKeyInfo in DER, 32 bytes.';
COMMENT ON COLUMN fleet.certificate.not_before IS 'First moment of its validity.';
COMMENT ON COLUMN fleet.certificate.not_after IS 'Last moment of its validity.';
COMMENT ON COLUMN fleet.certificate.added_at IS 'When it became known here.';
COMMENT ON COLUMN fleet.certificate.revoked_at IS 'Since when it is refused; NULL: it is not.';

CREATE TABLE fleet.token (
	token_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	role text NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'config', 'admin', 'auditor')),
	sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	revoked_at timestamptz,
	last_used_at timestamptz
);
COMMENT ON TABLE fleet.token IS 'Bearer tokens for REST: named, with one role each. The token itself is never stored.';
COMMENT ON COLUMN fleet.token.token_id IS 'Number of the token; what audit entries call it.';
COMMENT ON COLUMN fleet.token.name IS 'The person or program that holds it.';
COMMENT ON COLUMN fleet.token.role IS 'viewer, operator, approver, config, admin or auditor.';
COMMENT ON COLUMN fleet.token.sha256 IS 'SHA-256 of the whole token as text, 32 bytes.';
COMMENT ON COLUMN fleet.token.created_at IS 'When it was made.';
COMMENT ON COLUMN fleet.token.expires_at IS 'When it ends; NULL: when it is revoked.';
COMMENT ON COLUMN fleet.token.revoked_at IS 'Since when it is refused; NULL: it is not.';
COMMENT ON COLUMN fleet.token.last_used_at IS 'When it last opened a door; NULL: never.';

CREATE FUNCTION fleet.device_changed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF new.serial <> old.serial OR new.device_id <> old.device_id THEN
		RAISE EXCEPTION 'device %: a serial number never changes, register a new device', old.serial
			USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	new.revision := pg_current_xact_id();
	RETURN new;
END
$$;
COMMENT ON FUNCTION fleet.device_changed() IS 'Trigger: a changed device gets the number of the transaction as its revision.';
CREATE TRIGGER device_changed BEFORE UPDATE ON fleet.device
	FOR EACH ROW EXECUTE FUNCTION fleet.device_changed();

CREATE FUNCTION fleet.device_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_notify('fleet_device', '');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.device_notify() IS 'Trigger: wakes whoever listens on fleet_device, once a statement.';
CREATE TRIGGER device_notify AFTER INSERT OR UPDATE ON fleet.device
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.device_notify();

CREATE FUNCTION fleet.certificate_changed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- The update holds the device's row until the end of the transaction, so two additions at once are counted in turn.
	UPDATE fleet.device SET revision = DEFAULT WHERE device_id = new.device_id;
	IF (SELECT count(*) > 2 FROM fleet.certificate
	    WHERE device_id = new.device_id AND revoked_at IS NULL AND not_after > now()) THEN
		RAISE EXCEPTION 'device % has two certificates in force: revoke one first', new.device_id
			USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.certificate_changed() IS
	'Trigger: at most two certificates of a device are in force; whoever caches devices learns of the change.';
CREATE TRIGGER certificate_changed AFTER INSERT OR UPDATE ON fleet.certificate
	FOR EACH ROW EXECUTE FUNCTION fleet.certificate_changed();

CREATE FUNCTION fleet.register_device(serial text, model_manufacturer text, model_name text, hardware_revision text,
				      imei text DEFAULT NULL, iccid text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	model int;
	device int;
BEGIN
	INSERT INTO fleet.model (manufacturer, name) VALUES (model_manufacturer, model_name) ON CONFLICT DO NOTHING;
	SELECT model_id INTO STRICT model FROM fleet.model AS m
	WHERE m.manufacturer = model_manufacturer AND m.name = model_name;
	INSERT INTO fleet.device (serial, model_id, hardware_revision, state)
	VALUES (register_device.serial, model, coalesce(register_device.hardware_revision, ''), 'active')
	RETURNING device_id INTO device;
	IF imei IS NOT NULL THEN
		INSERT INTO fleet.module (device_id, imei) VALUES (device, register_device.imei);
	END IF;
	IF iccid IS NOT NULL THEN
		INSERT INTO fleet.sim (device_id, iccid) VALUES (device, register_device.iccid);
	END IF;
	RETURN device;
END
$$;
COMMENT ON FUNCTION fleet.register_device(text, text, text, text, text, text) IS
	'Registers a device and activates it; its model is made when it is new. Returns the device''s number. '
	'A serial, IMEI or ICCID that is known already: unique_violation (23505), nothing is changed.';

CREATE FUNCTION fleet.add_certificate(serial text, sha256 bytea, key_sha256 bytea, not_before timestamptz,
				      not_after timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device int;
	certificate int;
BEGIN
	SELECT device_id INTO device FROM fleet.device AS d WHERE d.serial = add_certificate.serial;
	IF device IS NULL THEN
		RAISE EXCEPTION 'no device has the serial %', serial USING ERRCODE = 'no_data_found';
	END IF;
	INSERT INTO fleet.certificate (device_id, sha256, key_sha256, not_before, not_after)
	VALUES (device, add_certificate.sha256, add_certificate.key_sha256, add_certificate.not_before,
		add_certificate.not_after)
	RETURNING certificate_id INTO certificate;
	RETURN certificate;
END
$$;
COMMENT ON FUNCTION fleet.add_certificate(text, bytea, bytea, timestamptz, timestamptz) IS
	'Lets a device connect with one more certificate; returns its number. A known certificate or key: unique_violation (23505); '
	'a third one in force: integrity_constraint_violation (23000); an unknown serial: no_data_found (P0002).';

CREATE FUNCTION fleet.create_token(name text, role text, expires_at timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- gen_random_uuid() draws 122 bits from pg_strong_random, the source that PostgreSQL uses for its own secrets
	-- (OpenSSL's generator, seeded by the kernel). Three of them, hashed, are 256 bits without the fixed ones.
	secret CONSTANT bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
					|| uuid_send(gen_random_uuid()));
	token CONSTANT text := 'cf_' || rtrim(translate(encode(secret, 'base64'), '+/', '-_'), '=');
BEGIN
	INSERT INTO fleet.token (name, role, sha256, expires_at)
	VALUES (create_token.name, create_token.role, sha256(convert_to(token, 'UTF8')), create_token.expires_at);
	RETURN token;
END
$$;
COMMENT ON FUNCTION fleet.create_token(text, text, timestamptz) IS
	'Makes a bearer token of 256 random bits, base64url after "cf_", and returns it, this once: only its SHA-256 is kept.';

CREATE FUNCTION fleet.devices_changed(token xid8, after_device_id int, max_rows int)
RETURNS TABLE (device_id int, serial text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
AS $$
BEGIN
	-- Few changes: fetch them by revision, then sort. Many (the first pull, a bulk import): walk the primary key from where
	-- the last call ended, and look at the revision on the way; IS TRUE keeps the index on revision out of that plan.
	IF EXISTS (SELECT FROM fleet.device AS d WHERE d.revision >= token OFFSET max_rows LIMIT 1) THEN
		RETURN QUERY
			SELECT d.device_id, d.serial FROM fleet.device AS d
			WHERE (d.revision >= token) IS TRUE AND d.device_id > after_device_id
			ORDER BY d.device_id LIMIT max_rows;
	ELSE
		RETURN QUERY
			WITH changed AS MATERIALIZED (
				SELECT d.device_id, d.serial FROM fleet.device AS d WHERE d.revision >= token)
			SELECT c.device_id, c.serial FROM changed AS c
			WHERE c.device_id > after_device_id
			ORDER BY c.device_id LIMIT max_rows;
	END IF;
END
$$;
COMMENT ON FUNCTION fleet.devices_changed(xid8, int, int) IS
	'Devices that changed since the token was taken (''0'': all), by rising device_id from after_device_id on, at most max_rows.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fleet FROM PUBLIC;
GRANT USAGE ON SCHEMA fleet TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, coldfleet_analyst;
GRANT EXECUTE ON FUNCTION fleet.devices_changed(xid8, int, int) TO coldfleet_ingest, coldfleet_bridge;
GRANT SELECT ON fleet.device, fleet.model, fleet.module, fleet.sim, fleet.certificate
	TO coldfleet_bridge, coldfleet_analyst;
GRANT SELECT ON fleet.device TO coldfleet_signer;

COMMIT;
