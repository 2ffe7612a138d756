-- SPDX-License-Identifier: Apache-2.0
-- Alarms: what somebody has to look at. An alarm is raised at the moment of measurement at which its condition was met, once
-- for each (kind, device, key), however often and in whatever order its readings come; it is acknowledged by a person with a
-- reason, cleared when the condition ends, and escalated when nobody has acknowledged it in time. What is to be told of it is
-- a row of coldchain.notice, written in the same transaction, which coldfleet-notify sends. Limits are rows of alarm_rule.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

INSERT INTO fleet.event_type (type, meaning) VALUES
	('alarm', 'An alarm was raised, acknowledged, cleared or escalated.');

CREATE TABLE coldchain.alarm_kind (
	kind text PRIMARY KEY COLLATE "C" CHECK (kind ~ '^[a-z]{1,32}$'),
	severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
	meaning text NOT NULL CHECK (meaning <> '')
);
COMMENT ON TABLE coldchain.alarm_kind IS 'What there are alarms about, one row a kind.';
COMMENT ON COLUMN coldchain.alarm_kind.kind IS 'Its name; part of the MQTT topic on which it is told.';
COMMENT ON COLUMN coldchain.alarm_kind.severity IS 'How bad it is: info, warning or critical; of new alarms.';
COMMENT ON COLUMN coldchain.alarm_kind.meaning IS 'When it is raised, for a person.';
INSERT INTO coldchain.alarm_kind (kind, severity, meaning) VALUES
	('excursion', 'critical', 'A probe has been outside the limits of what it watches for longer than is allowed.'),
	('tamper', 'critical', 'A device says that it was tampered with.'),
	('sensor', 'warning', 'A probe tells temperatures that none can be: it is broken or came off.'),
	('door', 'warning', 'A door or lid has been open for longer than is allowed.'),
	('power', 'warning', 'A device that had mains power has been without for longer than is allowed.'),
	('battery', 'warning', 'The battery of a device is low.'),
	('silence', 'warning', 'A device has not been heard for longer than its wake interval explains.'),
	('calibration', 'warning', 'The calibration of a probe is due soon, or over.');

CREATE TABLE coldchain.alarm_rule (
	rule_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL REFERENCES coldchain.alarm_kind,
	model_id int REFERENCES fleet.model,
	group_id int REFERENCES fleet.device_group ON DELETE CASCADE,
	device_id int REFERENCES fleet.device,
	enabled boolean NOT NULL DEFAULT true,
	after interval NOT NULL DEFAULT '0' CHECK (after >= '0'),
	below real CHECK (below > 0),
	quiet interval NOT NULL DEFAULT '0' CHECK (quiet >= '0'),
	escalate_after interval CHECK (escalate_after > '0'),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id(),
	UNIQUE NULLS NOT DISTINCT (kind, model_id, group_id, device_id),
	CHECK (num_nonnulls(model_id, group_id, device_id) <= 1),
	CHECK (kind IN ('battery', 'calibration') OR below IS NULL)
);
CREATE INDEX alarm_rule_device ON coldchain.alarm_rule (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX alarm_rule_group ON coldchain.alarm_rule (group_id) WHERE group_id IS NOT NULL;
CREATE TRIGGER revised BEFORE UPDATE ON coldchain.alarm_rule FOR EACH ROW EXECUTE FUNCTION coldchain.revised();
COMMENT ON TABLE coldchain.alarm_rule IS
	'When there is an alarm: a row for each kind, and others for a model, a group or a device, which go before it. Of several one counts, whole: '
	'that of the device, else of the group (of several that was made first), else of the model.';
COMMENT ON COLUMN coldchain.alarm_rule.rule_id IS 'Number of the rule.';
COMMENT ON COLUMN coldchain.alarm_rule.kind IS 'What it is about.';
COMMENT ON COLUMN coldchain.alarm_rule.model_id IS 'The model whose devices it is for; NULL: any.';
COMMENT ON COLUMN coldchain.alarm_rule.group_id IS 'The static group whose devices it is for; NULL: any. It goes with the group.';
COMMENT ON COLUMN coldchain.alarm_rule.device_id IS 'The device that it is for; NULL: any.';
COMMENT ON COLUMN coldchain.alarm_rule.enabled IS 'False: no such alarms. A condition that still lasts when it is true again alarms then.';
COMMENT ON COLUMN coldchain.alarm_rule.after IS
	'How long the condition has to last. Of silence: how long past the wake interval; of excursions nothing, the profile says it.';
COMMENT ON COLUMN coldchain.alarm_rule.below IS 'The value below which it is: of battery, percent; of calibration, days that are left. NULL: the kind has none.';
COMMENT ON COLUMN coldchain.alarm_rule.quiet IS
	'Hysteresis of telling, not of alarms: one that is raised within so long of the end of one before (same kind, device and probe) is '
	'not told of unless it lasts so long.';
COMMENT ON COLUMN coldchain.alarm_rule.escalate_after IS 'It escalates when it is not acknowledged for so long; NULL: never.';
COMMENT ON COLUMN coldchain.alarm_rule.revision IS 'The transaction that last changed it; its ETag.';
INSERT INTO coldchain.alarm_rule (kind, after, below, quiet, escalate_after) VALUES
	('excursion', '0', NULL, '0', '15 minutes'),
	('tamper', '0', NULL, '0', '15 minutes'),
	('sensor', '0', NULL, '1 hour', '4 hours'),
	('door', '5 minutes', NULL, '10 minutes', '1 hour'),
	('power', '24 hours', NULL, '1 hour', '4 hours'),
	('battery', '0', 20, '6 hours', '24 hours'),
	('silence', '15 minutes', NULL, '0', '4 hours'),
	('calibration', '0', 30, '0', '7 days');

CREATE TABLE coldchain.alarm (
	alarm_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL COLLATE "C" REFERENCES coldchain.alarm_kind,
	device_id int NOT NULL REFERENCES fleet.device,
	probe smallint CHECK (probe >= 0),
	shipment_id bigint REFERENCES coldchain.shipment,
	key text NOT NULL COLLATE "C" CHECK (length(key) <= 200),
	severity text NOT NULL,
	raised_at timestamptz NOT NULL,
	known_at timestamptz NOT NULL DEFAULT now(),
	late boolean NOT NULL DEFAULT false,
	cleared_at timestamptz,
	clear_known_at timestamptz,
	acknowledged_at timestamptz,
	acknowledged_by text CHECK (length(acknowledged_by) BETWEEN 1 AND 256),
	acknowledged_why text CHECK (length(acknowledged_why) BETWEEN 1 AND 2000),
	escalated_at timestamptz,
	told boolean NOT NULL DEFAULT true,
	body jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(body) = 'object'),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id(),
	state text GENERATED ALWAYS AS (CASE WHEN cleared_at IS NOT NULL THEN 'cleared' WHEN acknowledged_at IS NOT NULL THEN 'acknowledged'
		WHEN escalated_at IS NOT NULL THEN 'escalated' ELSE 'raised' END) STORED,
	UNIQUE (kind, device_id, key),
	CHECK ((cleared_at IS NULL) = (clear_known_at IS NULL)),
	CHECK (num_nonnulls(acknowledged_at, acknowledged_by, acknowledged_why) IN (0, 3))
);
CREATE INDEX alarm_device ON coldchain.alarm (device_id, kind, alarm_id);
CREATE INDEX alarm_shipment ON coldchain.alarm (shipment_id, alarm_id) WHERE shipment_id IS NOT NULL;
CREATE INDEX alarm_of_kind ON coldchain.alarm (kind, alarm_id);
CREATE INDEX alarm_open ON coldchain.alarm (alarm_id) WHERE cleared_at IS NULL;
CREATE INDEX alarm_waiting ON coldchain.alarm (kind, known_at) WHERE cleared_at IS NULL AND acknowledged_at IS NULL AND escalated_at IS NULL;
CREATE INDEX alarm_untold ON coldchain.alarm (kind, known_at) WHERE cleared_at IS NULL AND NOT told;
COMMENT ON TABLE coldchain.alarm IS 'Alarms, one row a condition that was met, from the moment of measurement at which it was. Rows are never deleted.';
COMMENT ON COLUMN coldchain.alarm.alarm_id IS 'Number of the alarm.';
COMMENT ON COLUMN coldchain.alarm.kind IS 'What it is about.';
COMMENT ON COLUMN coldchain.alarm.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.alarm.probe IS 'The probe; NULL: it is about the whole device.';
COMMENT ON COLUMN coldchain.alarm.shipment_id IS 'The shipment that the device watched then; NULL: none, or the alarm is about none.';
COMMENT ON COLUMN coldchain.alarm.key IS 'What makes it one alarm: of the same kind, device and key there is one, however often it is raised.';
COMMENT ON COLUMN coldchain.alarm.severity IS 'How bad it is, as it was when it was raised: info, warning or critical.';
COMMENT ON COLUMN coldchain.alarm.raised_at IS 'When its condition was met, in measurement time.';
COMMENT ON COLUMN coldchain.alarm.known_at IS 'When it was found, by our clock.';
COMMENT ON COLUMN coldchain.alarm.late IS 'True: it was found in readings that came after newer ones had.';
COMMENT ON COLUMN coldchain.alarm.cleared_at IS 'When its condition ended, in measurement time; NULL: it lasts.';
COMMENT ON COLUMN coldchain.alarm.clear_known_at IS 'When that was found, by our clock.';
COMMENT ON COLUMN coldchain.alarm.acknowledged_at IS 'When a person took it on; NULL: nobody has.';
COMMENT ON COLUMN coldchain.alarm.acknowledged_by IS 'Who.';
COMMENT ON COLUMN coldchain.alarm.acknowledged_why IS 'What they said about it.';
COMMENT ON COLUMN coldchain.alarm.escalated_at IS 'When it had not been acknowledged for too long; NULL: it has not come to that.';
COMMENT ON COLUMN coldchain.alarm.told IS 'False: nobody was told, for one like it had ended just before (alarm_rule.quiet).';
COMMENT ON COLUMN coldchain.alarm.body IS 'What else there is to tell, names and values.';
COMMENT ON COLUMN coldchain.alarm.revision IS 'The transaction that last changed it; its ETag.';
COMMENT ON COLUMN coldchain.alarm.state IS 'raised; escalated; acknowledged; cleared: its condition has ended, acknowledged or not.';

CREATE TABLE coldchain.notice (
	notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id uuid NOT NULL DEFAULT gen_random_uuid(),
	at timestamptz NOT NULL DEFAULT now(),
	type text NOT NULL CHECK (type ~ '^alarm\.(raised|acknowledged|cleared|escalated)$'),
	device_id int NOT NULL REFERENCES fleet.device,
	alarm_id bigint NOT NULL REFERENCES coldchain.alarm,
	body jsonb NOT NULL,
	dealt boolean NOT NULL DEFAULT false,
	published boolean NOT NULL DEFAULT false,
	publish_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notice_undealt ON coldchain.notice (notice_id) WHERE NOT dealt;
CREATE INDEX notice_unpublished ON coldchain.notice (publish_at) WHERE NOT published;
CREATE INDEX notice_alarm ON coldchain.notice (alarm_id);
CREATE INDEX notice_at ON coldchain.notice (at);
COMMENT ON TABLE coldchain.notice IS
	'The outbox: what is to be told of alarms, written in the transaction that it tells of. coldfleet-notify deals each to the webhooks that '
	'want it and publishes it on MQTT, at least once.';
COMMENT ON COLUMN coldchain.notice.notice_id IS 'Number of the notice.';
COMMENT ON COLUMN coldchain.notice.id IS 'What receivers call it: the same each time that it is sent.';
COMMENT ON COLUMN coldchain.notice.at IS 'When it happened, by our clock.';
COMMENT ON COLUMN coldchain.notice.type IS 'alarm.raised, alarm.acknowledged, alarm.cleared or alarm.escalated.';
COMMENT ON COLUMN coldchain.notice.device_id IS 'The device, which decides who is told.';
COMMENT ON COLUMN coldchain.notice.alarm_id IS 'The alarm.';
COMMENT ON COLUMN coldchain.notice.body IS 'The alarm as it was then.';
COMMENT ON COLUMN coldchain.notice.dealt IS 'True: each webhook that wants it has its delivery.';
COMMENT ON COLUMN coldchain.notice.published IS 'True: the broker has taken it.';
COMMENT ON COLUMN coldchain.notice.publish_at IS 'When it is to be published (again): until then whoever took it is at it.';

CREATE FUNCTION coldchain.json_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN trim(both '"' from to_json(at AT TIME ZONE 'UTC')::text) || 'Z';
COMMENT ON FUNCTION coldchain.json_time(timestamptz) IS 'A moment as text: RFC 3339, UTC.';

CREATE FUNCTION coldchain.alarm_json(a coldchain.alarm) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', a.alarm_id, 'kind', a.kind, 'state', a.state, 'severity', a.severity,
		'device', (SELECT d.serial FROM fleet.device AS d WHERE d.device_id = a.device_id), 'probe', a.probe, 'shipment_id', a.shipment_id,
		'raised_at', coldchain.json_time(a.raised_at), 'known_at', coldchain.json_time(a.known_at), 'late', a.late,
		'cleared_at', coldchain.json_time(a.cleared_at), 'acknowledged_at', coldchain.json_time(a.acknowledged_at),
		'acknowledged_by', a.acknowledged_by, 'acknowledged_why', a.acknowledged_why,
		'escalated_at', coldchain.json_time(a.escalated_at), 'body', a.body)
$$;
COMMENT ON FUNCTION coldchain.alarm_json(coldchain.alarm) IS 'An alarm as a JSON object, as REST, webhooks, MQTT and the stream tell it.';

CREATE FUNCTION coldchain.alarm_tell(a coldchain.alarm, change text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO coldchain.notice (type, device_id, alarm_id, body) VALUES ('alarm.' || change, a.device_id, a.alarm_id, coldchain.alarm_json(a));
	PERFORM fleet.announce('alarm', a.device_id, jsonb_build_object('change', change, 'alarm', coldchain.alarm_json(a)));
	NOTIFY coldchain_notice;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_tell(coldchain.alarm, text) IS
	'Puts what became of an alarm into the outbox and the stream, and wakes whoever listens on coldchain_notice.';

CREATE FUNCTION coldchain.alarm_rule_of(kind text, device_id int) RETURNS coldchain.alarm_rule
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r FROM coldchain.alarm_rule AS r
	WHERE r.kind = alarm_rule_of.kind AND (r.device_id = alarm_rule_of.device_id
		OR r.model_id = (SELECT d.model_id FROM fleet.device AS d WHERE d.device_id = alarm_rule_of.device_id)
		OR (r.group_id IS NOT NULL AND EXISTS (SELECT FROM fleet.group_member AS m
			WHERE m.device_id = alarm_rule_of.device_id AND m.group_id = r.group_id))
		OR num_nonnulls(r.model_id, r.group_id, r.device_id) = 0)
	ORDER BY r.device_id NULLS LAST, r.group_id NULLS LAST, r.model_id NULLS LAST LIMIT 1
$$;
COMMENT ON FUNCTION coldchain.alarm_rule_of(text, int) IS 'The rule about alarms of a kind that counts for a device.';

CREATE FUNCTION coldchain.alarm_raise(kind text, device_id int, shipment_id bigint, probe smallint, key text, at timestamptz, late boolean,
	body jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	rule CONSTANT coldchain.alarm_rule := coldchain.alarm_rule_of(alarm_raise.kind, alarm_raise.device_id);
	a coldchain.alarm;
BEGIN
	IF rule.rule_id IS NOT NULL AND NOT rule.enabled THEN
		RETURN NULL;
	END IF;
	INSERT INTO coldchain.alarm (kind, device_id, probe, shipment_id, key, severity, raised_at, late, body, told)
	SELECT k.kind, alarm_raise.device_id, alarm_raise.probe, alarm_raise.shipment_id, alarm_raise.key, k.severity, alarm_raise.at,
		coalesce(alarm_raise.late, false), coalesce(alarm_raise.body, '{}'), NOT EXISTS (
			SELECT FROM coldchain.alarm AS b WHERE b.kind = k.kind AND b.device_id = alarm_raise.device_id
				AND b.probe IS NOT DISTINCT FROM alarm_raise.probe AND b.key <> alarm_raise.key
				AND b.cleared_at BETWEEN alarm_raise.at - rule.quiet AND alarm_raise.at AND rule.quiet > '0')
	FROM coldchain.alarm_kind AS k WHERE k.kind = alarm_raise.kind
	ON CONFLICT (kind, device_id, key) DO NOTHING RETURNING * INTO a;
	IF a.alarm_id IS NOT NULL THEN
		IF a.told THEN
			PERFORM coldchain.alarm_tell(a, 'raised');
		END IF;
		RETURN a.alarm_id;
	END IF;
	-- Known already: it is as later readings show it, and nobody is alarmed again.
	UPDATE coldchain.alarm AS b SET raised_at = alarm_raise.at, shipment_id = alarm_raise.shipment_id, probe = alarm_raise.probe,
		body = coalesce(alarm_raise.body, '{}'), revision = DEFAULT
	WHERE b.kind = alarm_raise.kind AND b.device_id = alarm_raise.device_id AND b.key = alarm_raise.key
		AND (b.raised_at, b.shipment_id, b.probe, b.body)
			IS DISTINCT FROM (alarm_raise.at, alarm_raise.shipment_id, alarm_raise.probe, coalesce(alarm_raise.body, '{}'));
	SELECT * INTO a FROM coldchain.alarm AS b
	WHERE b.kind = alarm_raise.kind AND b.device_id = alarm_raise.device_id AND b.key = alarm_raise.key;
	IF a.alarm_id IS NULL THEN
		RAISE EXCEPTION 'kind %: expected one of coldchain.alarm_kind', kind USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN a.alarm_id;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_raise(text, int, bigint, smallint, text, timestamptz, boolean, jsonb) IS
	'Raises an alarm at a moment of measurement and puts it into the outbox, once for each kind, device and key: one that is known is only '
	'brought to what is said now, silently, and stays cleared if it is. Returns its number; NULL: the rules want no such alarms.';

CREATE FUNCTION coldchain.alarm_clear(kind text, device_id int, key text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was coldchain.alarm;
	a coldchain.alarm;
BEGIN
	SELECT * INTO was FROM coldchain.alarm AS b
	WHERE b.kind = alarm_clear.kind AND b.device_id = alarm_clear.device_id AND b.key = alarm_clear.key FOR UPDATE;
	IF was.alarm_id IS NULL OR was.cleared_at IS NOT DISTINCT FROM alarm_clear.at THEN
		RETURN false;
	END IF;
	UPDATE coldchain.alarm AS b SET cleared_at = alarm_clear.at, clear_known_at = CASE WHEN alarm_clear.at IS NOT NULL THEN now() END,
		revision = DEFAULT
	WHERE b.alarm_id = was.alarm_id RETURNING * INTO a;
	IF was.cleared_at IS NULL AND was.told THEN
		PERFORM coldchain.alarm_tell(a, 'cleared');
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_clear(text, int, text, timestamptz) IS
	'The condition of an alarm ended at this moment of measurement; NULL: it lasts after all. Told once. False: it is so already, or there '
	'is no such alarm.';

CREATE FUNCTION coldchain.alarm_acknowledge(alarm_id bigint, actor text, why text) RETURNS coldchain.alarm
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was coldchain.alarm;
	a coldchain.alarm;
BEGIN
	SELECT * INTO was FROM coldchain.alarm AS b WHERE b.alarm_id = alarm_acknowledge.alarm_id FOR UPDATE;
	IF was.alarm_id IS NULL THEN
		RAISE EXCEPTION 'there is no alarm %', alarm_id USING ERRCODE = 'no_data_found';
	ELSIF was.acknowledged_at IS NOT NULL THEN
		RAISE EXCEPTION 'alarm % was acknowledged by % at %', alarm_id, was.acknowledged_by, coldchain.json_time(was.acknowledged_at)
			USING ERRCODE = 'object_not_in_prerequisite_state';
	ELSIF coalesce(why, '') !~ '\S' THEN
		RAISE EXCEPTION 'reason: expected what is known or done about the alarm' USING ERRCODE = 'check_violation';
	END IF;
	UPDATE coldchain.alarm AS b SET acknowledged_at = now(), acknowledged_by = actor, acknowledged_why = why, revision = DEFAULT
	WHERE b.alarm_id = was.alarm_id RETURNING * INTO a;
	PERFORM audit.record('acknowledged', 'alarm', a.alarm_id::text, a.device_id, jsonb_build_object('state', was.state),
		jsonb_build_object('state', a.state, 'kind', a.kind, 'raised_at', coldchain.json_time(a.raised_at), 'why', why));
	PERFORM coldchain.alarm_tell(a, 'acknowledged');
	RETURN a;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_acknowledge(bigint, text, text) IS
	'A person takes an alarm on, cleared or not, and says why: once (55000), with a reason (23514), an alarm that there is (P0002).';

CREATE FUNCTION coldchain.alarm_escalate(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a coldchain.alarm;
	done int := 0;
BEGIN
	-- Of each kind those alone are looked at that the shortest time of any rule has passed for: the index leads to them.
	FOR a IN
		SELECT b.* FROM (SELECT r.kind, min(r.escalate_after) AS least FROM coldchain.alarm_rule AS r GROUP BY r.kind) AS k
		CROSS JOIN LATERAL (SELECT w.* FROM coldchain.alarm AS w
			WHERE w.kind = k.kind AND w.cleared_at IS NULL AND w.acknowledged_at IS NULL AND w.escalated_at IS NULL
				AND w.known_at < now() - k.least AND w.known_at < now() - (coldchain.alarm_rule_of(w.kind, w.device_id)).escalate_after
			ORDER BY w.known_at LIMIT most FOR UPDATE SKIP LOCKED) AS b
		ORDER BY b.known_at LIMIT most
	LOOP
		UPDATE coldchain.alarm AS b SET escalated_at = now(), told = true, revision = DEFAULT WHERE b.alarm_id = a.alarm_id RETURNING * INTO a;
		PERFORM coldchain.alarm_tell(a, 'escalated');
		done := done + 1;
	END LOOP;
	FOR a IN
		SELECT b.* FROM (SELECT r.kind, min(r.quiet) AS least FROM coldchain.alarm_rule AS r GROUP BY r.kind) AS k
		CROSS JOIN LATERAL (SELECT w.* FROM coldchain.alarm AS w WHERE w.kind = k.kind AND w.cleared_at IS NULL AND NOT w.told
				AND w.known_at < now() - k.least AND w.known_at < now() - (coldchain.alarm_rule_of(w.kind, w.device_id)).quiet
			ORDER BY w.known_at LIMIT most FOR UPDATE SKIP LOCKED) AS b
		ORDER BY b.known_at LIMIT most
	LOOP
		UPDATE coldchain.alarm AS b SET told = true, revision = DEFAULT WHERE b.alarm_id = a.alarm_id RETURNING * INTO a;
		PERFORM coldchain.alarm_tell(a, 'raised');
		done := done + 1;
	END LOOP;
	RETURN done;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_escalate(int) IS
	'Does what time alone makes due, up to so many of each: alarms that nobody has acknowledged escalate, and those that nobody was told of, '
	'for one like it had just ended, are told when they last. Several may call at once.';

CREATE FUNCTION coldchain.alarm_kept() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF old.acknowledged_at IS NOT NULL AND (new.acknowledged_at, new.acknowledged_by, new.acknowledged_why)
			IS DISTINCT FROM (old.acknowledged_at, old.acknowledged_by, old.acknowledged_why) THEN
		RAISE EXCEPTION 'alarm %: an acknowledgement stands', old.alarm_id USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.alarm_kept() IS 'Trigger: what somebody said about an alarm is never changed.';
CREATE TRIGGER alarm_kept BEFORE UPDATE ON coldchain.alarm FOR EACH ROW EXECUTE FUNCTION coldchain.alarm_kept();
CREATE TRIGGER undeletable BEFORE DELETE OR TRUNCATE ON coldchain.alarm FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();

DO $$
BEGIN
	PERFORM audit.watch('coldchain.alarm_kind', 'alarm_kind'), audit.watch('coldchain.alarm_rule', 'alarm_rule', NULL, '{revision}');
	PERFORM fleet.guard('coldchain.alarm'), fleet.guard('coldchain.notice');
END
$$;

-- Rules for the fleet and for models are seen by everybody: they count for whoever has none of their own.
CREATE POLICY scope ON coldchain.alarm_rule TO coldfleet_api_definer USING ((SELECT fleet.scope_all()) OR num_nonnulls(group_id, device_id) = 0
	OR group_id = ANY ((SELECT fleet.scope_groups())::int[]) OR EXISTS (SELECT FROM fleet.device AS d WHERE d.device_id = alarm_rule.device_id));
CREATE POLICY everything ON coldchain.alarm_rule TO coldfleet_analyst USING (true);
ALTER TABLE coldchain.alarm_rule ENABLE ROW LEVEL SECURITY;
-- What became of a rule for a group is shown to those who see the group; what concerns a device, to those who see that.
CREATE POLICY alarm_rule ON audit.entry TO coldfleet_api_definer USING (kind = 'alarm_rule' AND device_id IS NULL
	AND group_id = ANY ((SELECT fleet.scope_groups())::int[]));

REVOKE ALL ON FUNCTION coldchain.json_time(timestamptz), coldchain.alarm_json(coldchain.alarm), coldchain.alarm_tell(coldchain.alarm, text),
	coldchain.alarm_rule_of(text, int), coldchain.alarm_raise(text, int, bigint, smallint, text, timestamptz, boolean, jsonb),
	coldchain.alarm_clear(text, int, text, timestamptz), coldchain.alarm_acknowledge(bigint, text, text), coldchain.alarm_escalate(int),
	coldchain.alarm_kept() FROM PUBLIC;
GRANT USAGE ON SCHEMA coldchain TO coldfleet_notify, coldfleet_api_definer, coldfleet_analyst;
GRANT EXECUTE ON FUNCTION coldchain.alarm_escalate(int) TO coldfleet_notify;
GRANT EXECUTE ON FUNCTION coldchain.json_time(timestamptz), coldchain.alarm_json(coldchain.alarm), coldchain.alarm_acknowledge(bigint, text, text),
	coldchain.alarm_rule_of(text, int) TO coldfleet_api_definer;
GRANT INSERT, UPDATE, DELETE ON coldchain.alarm_rule TO coldfleet_api_definer;
GRANT SELECT ON coldchain.alarm, coldchain.alarm_kind, coldchain.alarm_rule TO coldfleet_api_definer, coldfleet_analyst;

COMMIT;
