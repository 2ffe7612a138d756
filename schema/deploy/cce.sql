-- SPDX-License-Identifier: Apache-2.0
-- Interchange of cold-chain equipment monitoring data, cce-interop 0.8.1 (WHO PQS E006/DS01, clause 5): what others send is
-- kept whole and its temperatures become readings; what devices measured is given in that form.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.cce_report (
	report_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL REFERENCES fleet.device,
	kind text NOT NULL CHECK (kind IN ('rtm', 'ems')),
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	facts jsonb NOT NULL,
	transfer jsonb NOT NULL,
	transfer_sha256 bytea NOT NULL CHECK (length(transfer_sha256) = 32),
	received_at timestamptz NOT NULL DEFAULT now(),
	received_from text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	UNIQUE (device_id, kind, sha256)
);
COMMENT ON TABLE coldchain.cce_report IS 'What reports of equipment said around their records, one row for each wording; never changed.';
COMMENT ON COLUMN coldchain.cce_report.report_id IS 'Number of the report.';
COMMENT ON COLUMN coldchain.cce_report.device_id IS 'The device: ESER, else LSER, is its serial.';
COMMENT ON COLUMN coldchain.cce_report.kind IS 'rtm or ems, the transferType that it came with.';
COMMENT ON COLUMN coldchain.cce_report.sha256 IS 'SHA-256 of facts as text.';
COMMENT ON COLUMN coldchain.cce_report.facts IS 'The report without its records.';
COMMENT ON COLUMN coldchain.cce_report.transfer IS 'meta of the first transfer that had it.';
COMMENT ON COLUMN coldchain.cce_report.transfer_sha256 IS 'SHA-256 of the bytes of that transfer.';
COMMENT ON COLUMN coldchain.cce_report.received_at IS 'When it first came.';
COMMENT ON COLUMN coldchain.cce_report.received_from IS 'Who sent it.';

CREATE TABLE coldchain.cce_record (
	device_id int NOT NULL REFERENCES fleet.device,
	ts timestamptz NOT NULL,
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	report_id int NOT NULL REFERENCES coldchain.cce_report,
	record jsonb NOT NULL,
	received_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, ts, sha256)
);
COMMENT ON TABLE coldchain.cce_record IS
	'Records of equipment as they came, with all that readings have no column for; never changed. The same record again is one; two of one '
	'moment that differ are both kept.';
COMMENT ON COLUMN coldchain.cce_record.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.cce_record.ts IS 'ABST: when it was measured.';
COMMENT ON COLUMN coldchain.cce_record.sha256 IS 'SHA-256 of the record as text.';
COMMENT ON COLUMN coldchain.cce_record.report_id IS 'The report that it first came with.';
COMMENT ON COLUMN coldchain.cce_record.record IS 'The record.';
COMMENT ON COLUMN coldchain.cce_record.received_at IS 'When it first came.';

DO $$
BEGIN
	PERFORM fleet.guard('coldchain.cce_report'), fleet.guard('coldchain.cce_record');
END
$$;
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.cce_report
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.cce_record
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
GRANT SELECT, INSERT ON coldchain.cce_report, coldchain.cce_record TO coldfleet_api_definer;
GRANT SELECT ON coldchain.cce_report, coldchain.cce_record TO coldfleet_analyst;

CREATE FUNCTION coldchain.cce_time(said text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF said ~ '^2[0-9]{7}T[0-2][0-9]{5}(\.[0-9]{1,9})?Z$' THEN
		RETURN (substr(said, 1, 4) || '-' || substr(said, 5, 2) || '-' || substr(said, 7, 5) || ':' || substr(said, 12, 2) || ':'
			|| substr(said, 14))::timestamptz;
	END IF;
	RETURN NULL;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.cce_time(text) IS 'The moment that an ABST says, YYYYMMDDThhmmssZ; NULL: it says none.';

CREATE FUNCTION coldchain.cce_abst(at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS') || rtrim(rtrim(to_char(at AT TIME ZONE 'UTC', '.US'), '0'), '.') || 'Z'
$$;
COMMENT ON FUNCTION coldchain.cce_abst(timestamptz) IS 'A moment as ABST.';

CREATE FUNCTION coldchain.cce_alarms(device int, at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT string_agg(word, ' ' ORDER BY word) FROM (
		SELECT CASE WHEN b.lower_c IS NOT NULL THEN 'HEAT' ELSE 'FRZE' END AS word
		FROM coldchain.excursion AS e JOIN coldchain.band AS b USING (band_id)
		WHERE e.device_id = device AND e.state IN ('open', 'ended') AND e.alarm_at <= at AND coalesce(e.ended_at, 'infinity') > at
		UNION SELECT CASE a.kind WHEN 'door' THEN 'DOOR' ELSE 'POWR' END FROM coldchain.alarm AS a
		WHERE a.device_id = device AND a.kind IN ('door', 'power') AND a.raised_at <= at AND coalesce(a.cleared_at, 'infinity') > at) AS w
$$;
COMMENT ON FUNCTION coldchain.cce_alarms(int, timestamptz) IS 'ALRM of a device at a moment: HEAT FRZE DOOR POWR as far as there are; NULL: none.';

CREATE FUNCTION coldchain.cce_of_tracker(device int, from_ts timestamptz, to_ts timestamptz, most int) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
	SELECT jsonb_build_array(jsonb_build_object('AMID', d.serial, 'CID', NULL, 'DLST', jsonb_build_object('TVC', jsonb_build_object(
			'SID', d.serial || '/0', 'SMFR', m.manufacturer, 'SMOD', m.name)), 'EDOP', NULL, 'EMFR', m.manufacturer, 'EMOD', m.name,
			'EMSV', d.firmware, 'EPQS', NULL, 'ESER', d.serial, 'records', r.records))
	FROM fleet.device AS d JOIN fleet.model AS m USING (model_id), (
		SELECT jsonb_agg(record ORDER BY ts) AS records FROM (
			SELECT q.ts, jsonb_strip_nulls(jsonb_build_object('HCOM', q.humidity, 'LAT', q.latitude, 'LNG', q.longitude,
				'temperature_c', q.outside)) || jsonb_build_object('ABST', coldchain.cce_abst(q.ts), 'ALRM', coldchain.cce_alarms(device, q.ts), 'BEMD', NULL,
				'EERR', CASE WHEN q.fault THEN 'SENSOR' WHEN q.outside IS NOT NULL THEN 'TVC-RANGE' END, 'TVC', q.tvc) AS record
			FROM (SELECT t.ts, bool_or(t.flags & 1 = 1) AS fault, max(t.humidity_pct) AS humidity, max(t.latitude) AS latitude,
					max(t.longitude) AS longitude,
					max(t.temperature_c) FILTER (WHERE coalesce(t.flags, 0) & 1 = 0 AND t.temperature_c BETWEEN -55 AND 60) AS tvc,
					max(t.temperature_c) FILTER (WHERE coalesce(t.flags, 0) & 1 = 0 AND t.temperature_c NOT BETWEEN -55 AND 60) AS outside
				FROM telemetry.reading AS t
				WHERE t.device_id = device AND t.probe = 0 AND t.ts >= from_ts AND t.ts < to_ts
				GROUP BY t.ts ORDER BY t.ts LIMIT most) AS q) AS found) AS r
	WHERE d.device_id = device AND r.records IS NOT NULL
$$;
COMMENT ON FUNCTION coldchain.cce_of_tracker(int, timestamptz, timestamptz, int) IS
	'What probe 0 of a device measured as reports of kind rtm; NULL: nothing. A temperature that TVC has no room for is temperature_c, with '
	'EERR TVC-RANGE.';

CREATE FUNCTION coldchain.cce_as_it_came(device int, its_kind text, from_ts timestamptz, to_ts timestamptz, most int) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
	SELECT jsonb_agg(p.facts || jsonb_build_object('records', f.records) ORDER BY p.report_id)
	FROM (SELECT report_id, jsonb_agg(record ORDER BY ts, sha256) AS records FROM (
			SELECT r.report_id, r.ts, r.sha256, r.record FROM coldchain.cce_record AS r JOIN coldchain.cce_report AS q USING (report_id)
			WHERE r.device_id = device AND q.kind = its_kind AND r.ts >= from_ts AND r.ts < to_ts ORDER BY r.ts, r.sha256 LIMIT most) AS r
		GROUP BY report_id) AS f JOIN coldchain.cce_report AS p USING (report_id)
$$;
COMMENT ON FUNCTION coldchain.cce_as_it_came(int, text, timestamptz, timestamptz, int) IS 'Reports of equipment as they came; NULL: none.';

CREATE FUNCTION coldchain.cce_transfer(devices int[], from_ts timestamptz[], to_ts timestamptz[], most int, id uuid) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_kind CONSTANT text := (SELECT r.kind FROM coldchain.cce_report AS r WHERE r.device_id = devices[1] ORDER BY r.report_id DESC LIMIT 1);
	reports CONSTANT jsonb := (SELECT jsonb_agg(r.report ORDER BY d.n, r.n) FROM unnest(devices, from_ts, to_ts) WITH ORDINALITY AS d (device, since, until, n),
		jsonb_array_elements(CASE WHEN its_kind IS NULL THEN coldchain.cce_of_tracker(d.device, d.since, d.until, most)
			ELSE coldchain.cce_as_it_came(d.device, its_kind, d.since, d.until, most) END) WITH ORDINALITY AS r (report, n));
BEGIN
	RETURN (SELECT jsonb_build_object('meta', jsonb_build_object('schemaVersion', '0.8.1', 'transferType', coalesce(its_kind, 'rtm'), 'transferId', id,
		'transferSrc', 'urn:coldfleet', 'transferredAt', coldchain.json_time(now()), 'lastRecordAt', (
			SELECT coldchain.json_time(max(coldchain.cce_time(r ->> 'ABST')))
			FROM jsonb_array_elements(reports) AS p, jsonb_array_elements(p -> 'records') AS r)), 'data', reports)::text
	WHERE reports IS NOT NULL);
END
$$;
COMMENT ON FUNCTION coldchain.cce_transfer(int[], timestamptz[], timestamptz[], int, uuid) IS
	'What devices (all of one kind) measured, each from one moment until before another, as a transfer of cce-interop 0.8.1, the oldest records first; what came in '
	'that form leaves as it came. NULL: nothing.';

REVOKE ALL ON FUNCTION coldchain.cce_time(text), coldchain.cce_abst(timestamptz), coldchain.cce_alarms(int, timestamptz),
	coldchain.cce_of_tracker(int, timestamptz, timestamptz, int), coldchain.cce_as_it_came(int, text, timestamptz, timestamptz, int),
	coldchain.cce_transfer(int[], timestamptz[], timestamptz[], int, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.cce_time(text), coldchain.cce_abst(timestamptz), coldchain.cce_alarms(int, timestamptz),
	coldchain.cce_of_tracker(int, timestamptz, timestamptz, int), coldchain.cce_as_it_came(int, text, timestamptz, timestamptz, int),
	coldchain.cce_transfer(int[], timestamptz[], timestamptz[], int, uuid) TO coldfleet_api_definer;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.cce_device(report jsonb) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_serial CONSTANT text := coalesce(report ->> 'ESER', report ->> 'LSER');
	device int := (SELECT d.device_id FROM fleet.device AS d WHERE d.serial = its_serial);
BEGIN
	IF its_serial IS NULL OR its_serial !~ '^[A-Za-z0-9._-]{1,64}$' THEN
		RAISE EXCEPTION 'ESER: expected a serial number of 1 to 64 of A-Z a-z 0-9 . _ -, or LSER to have one' USING ERRCODE = 'CF422';
	END IF;
	IF device IS NULL AND NOT fleet.scope_all() THEN
		RAISE EXCEPTION 'ESER: no device has the serial %', its_serial USING ERRCODE = 'CF422';
	END IF;
	IF device IS NULL THEN
		device := fleet.register_device(its_serial, coalesce(nullif(left(report ->> 'EMFR', 100), ''), 'unknown'),
			coalesce(nullif(left(report ->> 'EMOD', 100), ''), 'unknown'), NULL);
	ELSIF EXISTS (SELECT FROM fleet.certificate AS c WHERE c.device_id = device) THEN
		RAISE EXCEPTION 'ESER: % has a certificate and speaks for itself', its_serial USING ERRCODE = 'CF409';
	END IF;
	PERFORM set_config('coldfleet.devices', device::text, true);
	RETURN device;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'ESER: % is being registered by another transfer, try again', its_serial USING ERRCODE = 'CF409';
END
$$;
COMMENT ON FUNCTION api.cce_device(jsonb) IS
	'The device that a report is of; one that nobody knows is registered, when the call sees all devices. No serial, or one that is not in '
	'its scope: CF422; one with a certificate: CF409.';

CREATE FUNCTION api.cce_records_wrong(report jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	bad text;
BEGIN
	IF jsonb_typeof(report) <> 'object' OR jsonb_typeof(report -> 'records') IS DISTINCT FROM 'array' OR report -> 'records' = '[]' THEN
		RETURN 'data: expected reports with records';
	END IF;
	SELECT coalesce(left(r ->> 'ABST', 40), 'none') INTO bad FROM jsonb_array_elements(report -> 'records') AS r
	WHERE jsonb_typeof(r) <> 'object' OR coldchain.cce_time(r ->> 'ABST') IS NULL OR coldchain.cce_time(r ->> 'ABST') > now() + interval '10 minutes' LIMIT 1;
	RETURN 'ABST: expected a time that has come, such as 20261122T080000Z, got ' || bad;
END
$$;
COMMENT ON FUNCTION api.cce_records_wrong(jsonb) IS 'What is wrong with the records of a report; NULL: nothing.';

CREATE FUNCTION api.cce_import(doc jsonb, bytes bytea) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_kind CONSTANT text := doc #>> '{meta,transferType}';
	report jsonb;
	device int;
	report_of int;
	fresh int;
	seen int := 0;
	added int := 0;
	new_readings int := 0;
	clashes int := 0;
	s record;
BEGIN
	IF its_kind IS NULL OR its_kind NOT IN ('rtm', 'ems') OR jsonb_typeof(doc #> '{meta,transferId}') IS DISTINCT FROM 'string' THEN
		RAISE EXCEPTION 'meta: expected a transferType, rtm or ems, and a transferId' USING ERRCODE = 'CF422';
	END IF;
	-- By serial, so that two transfers wait for each other in one order.
	FOR report IN SELECT r FROM jsonb_array_elements(doc -> 'data') AS r ORDER BY coalesce(r ->> 'ESER', r ->> 'LSER') COLLATE "C" LOOP
		IF api.cce_records_wrong(report) IS NOT NULL THEN
			RAISE EXCEPTION '%', api.cce_records_wrong(report) USING ERRCODE = 'CF422';
		END IF;
		device := api.cce_device(report);
		INSERT INTO coldchain.cce_report (device_id, kind, sha256, facts, transfer, transfer_sha256)
		VALUES (device, its_kind, sha256(convert_to((report - 'records')::text, 'UTF8')), report - 'records', doc -> 'meta',
			sha256(cce_import.bytes)) ON CONFLICT DO NOTHING;
		SELECT c.report_id INTO STRICT report_of FROM coldchain.cce_report AS c
		WHERE c.device_id = device AND c.kind = its_kind AND c.sha256 = sha256(convert_to((report - 'records')::text, 'UTF8'));
		INSERT INTO coldchain.cce_record (device_id, ts, sha256, report_id, record)
		SELECT device, coldchain.cce_time(r ->> 'ABST'), sha256(convert_to(r::text, 'UTF8')), report_of, r
		FROM jsonb_array_elements(report -> 'records') AS r ORDER BY 2, 3 ON CONFLICT DO NOTHING;
		GET DIAGNOSTICS fresh = ROW_COUNT;
		seen := seen + jsonb_array_length(report -> 'records');
		added := added + fresh;
		SELECT array_agg(ts) AS ts, array_agg(probe) AS probe, array_agg(c) AS c, array_agg(door) AS door, array_agg(power) AS power INTO s
		FROM (SELECT DISTINCT ON (1, 2) coldchain.cce_time(r ->> 'ABST') AS ts, p.probe, round((r ->> p.name)::numeric, 6)::real AS c,
				CASE WHEN p.probe = 0 AND jsonb_typeof(r -> 'DORV') = 'number' THEN (r ->> 'DORV')::numeric > 0 END AS door,
				CASE WHEN p.probe = 0 AND jsonb_typeof(r -> 'SVA') = 'number' THEN (r ->> 'SVA')::numeric > 0 END AS power
			FROM jsonb_array_elements(report -> 'records') AS r, (VALUES (0::smallint, 'TVC'), (1::smallint, 'TAMB'), (2::smallint, 'TFRZ')) AS p (probe, name)
			WHERE CASE WHEN jsonb_typeof(r -> p.name) = 'number' THEN (r ->> p.name)::numeric BETWEEN -200 AND 150 END
			ORDER BY 1, 2, 3) AS m;
		IF s.ts IS NOT NULL THEN
			BEGIN
				SELECT new_readings + i.stored, clashes + i.conflicts INTO new_readings, clashes
				FROM coldchain.store_series(device, s.ts, s.probe, s.c, s.door, s.power) AS i;
			EXCEPTION WHEN datetime_field_overflow THEN
				RAISE EXCEPTION 'ABST: a record is of longer ago than readings are kept' USING ERRCODE = 'CF422';
			END;
		END IF;
	END LOOP;
	RETURN (200, concat('{"transfer_id":', to_json(doc #>> '{meta,transferId}'), ',"records":', seen, ',"new_records":', added,
		',"new_readings":', new_readings, ',"conflicts":', clashes, '}'), NULL, NULL)::api.answer;
END
$$;
COMMENT ON FUNCTION api.cce_import(jsonb, bytea) IS
	'POST /v1/ems: takes a transfer of cce-interop, whole or, when anything in it is refused, not at all. Records that came before change '
	'nothing, in whatever order. TVC is probe 0, TAMB 1, TFRZ 2.';

CREATE FUNCTION api.cce_export(serial text, from_ts timestamptz, to_ts timestamptz, max_rows int) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	device CONSTANT int := api.device_number(serial);
	lower CONSTANT timestamptz := coalesce(from_ts, '-infinity');
	upper CONSTANT timestamptz := coalesce(to_ts, 'infinity');
	transfer text;
BEGIN
	PERFORM api.check_span(lower, upper);
	transfer := coldchain.cce_transfer(ARRAY[device], ARRAY[lower], ARRAY[upper], max_rows, gen_random_uuid());
	IF transfer IS NULL THEN
		RAISE EXCEPTION 'nothing was measured in that time' USING ERRCODE = 'CF404';
	END IF;
	RETURN transfer;
END
$$;
COMMENT ON FUNCTION api.cce_export(text, timestamptz, timestamptz, int) IS
	'GET /v1/devices/{serial}/cce: what a device measured as a transfer of cce-interop 0.8.1, the oldest records first; what came in that form '
	'leaves as it came. Nothing in that time: CF404.';

REVOKE ALL ON FUNCTION api.cce_device(jsonb), api.cce_records_wrong(jsonb), api.cce_import(jsonb, bytea),
	api.cce_export(text, timestamptz, timestamptz, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.cce_import(jsonb, bytea), api.cce_export(text, timestamptz, timestamptz, int) TO coldfleet_api;

COMMIT;
