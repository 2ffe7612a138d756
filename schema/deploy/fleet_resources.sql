-- SPDX-License-Identifier: Apache-2.0
-- What operations people keep about the fleet beyond its devices: tags, groups, certifications of radio modules, desired
-- and reported configuration, long-running operations, and the history of every field that anybody changed.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

-- Prefixes are searched as ranges, pages follow this order: both by bytes, whatever the database's locale.
ALTER TABLE fleet.device ALTER COLUMN serial TYPE text COLLATE "C";
ALTER TABLE fleet.module ALTER COLUMN imei TYPE text COLLATE "C";
ALTER TABLE fleet.sim ALTER COLUMN iccid TYPE text COLLATE "C";

CREATE FUNCTION fleet.tags_valid(tags text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT cardinality(tags) <= 32 AND array_position(tags, NULL) IS NULL
		AND coalesce(bool_and(tag COLLATE "C" ~ '^[A-Za-z0-9._:=-]{1,64}$'
			AND (before IS NULL OR before COLLATE "C" < tag)), true)
	FROM (SELECT tag, lag(tag) OVER (ORDER BY place) AS before, place FROM unnest(tags) WITH ORDINALITY AS t (tag, place)) AS u
$$;
COMMENT ON FUNCTION fleet.tags_valid(text[]) IS
	'True for at most 32 tags of 1 to 64 of A-Z a-z 0-9 . _ : = -, sorted by bytes, none twice.';

ALTER TABLE fleet.device
	ADD COLUMN firmware text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(firmware) <= 64),
	ADD COLUMN tags text[] COLLATE "C" NOT NULL DEFAULT '{}' CHECK (fleet.tags_valid(tags));
COMMENT ON COLUMN fleet.device.firmware IS 'Firmware version of the tracker''s own controller; empty: unknown.';
COMMENT ON COLUMN fleet.device.tags IS 'Words that people put on it, sorted by bytes, none twice; fleet.device_tag finds devices by them.';

-- The index of tags by plain equality, and not GIN on the array: array operators are not leakproof, so under row-level
-- security they could not use their index.
CREATE TABLE fleet.device_tag (
	tag text COLLATE "C" NOT NULL,
	device_id int NOT NULL REFERENCES fleet.device,
	PRIMARY KEY (tag, device_id)
);
CREATE INDEX device_tag_device ON fleet.device_tag (device_id);
COMMENT ON TABLE fleet.device_tag IS 'Devices by tag; kept equal to fleet.device.tags by a trigger.';
COMMENT ON COLUMN fleet.device_tag.tag IS 'The tag.';
COMMENT ON COLUMN fleet.device_tag.device_id IS 'A device that has it.';

CREATE FUNCTION fleet.device_tagged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO fleet.device_tag (tag, device_id) SELECT tag, r.device_id FROM registered AS r CROSS JOIN LATERAL unnest(r.tags) AS tag;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.device_tagged() IS 'Trigger: new devices are found by their tags, all of a statement at once.';
CREATE TRIGGER device_tagged AFTER INSERT ON fleet.device REFERENCING NEW TABLE AS registered
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.device_tagged();

CREATE FUNCTION fleet.device_retagged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM fleet.device_tag AS t WHERE t.device_id = new.device_id AND t.tag <> ALL (new.tags);
	INSERT INTO fleet.device_tag (tag, device_id) SELECT tag, new.device_id FROM unnest(new.tags) AS tag
	ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.device_retagged() IS 'Trigger: fleet.device_tag follows fleet.device.tags.';
CREATE TRIGGER device_retagged AFTER UPDATE OF tags ON fleet.device
	FOR EACH ROW WHEN (new.tags <> old.tags) EXECUTE FUNCTION fleet.device_retagged();

ALTER TABLE fleet.device_group
	ALTER COLUMN name TYPE text COLLATE "C",
	ADD COLUMN description text NOT NULL DEFAULT '' CHECK (length(description) <= 1000),
	ADD COLUMN filter jsonb CHECK (jsonb_typeof(filter) = 'object'),
	ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
	ADD COLUMN revision xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON TABLE fleet.device_group IS
	'Groups of devices, one row a group. A static one lists its members. A dynamic one has a filter, which is applied whenever somebody '
	'asks: its members change with every reading, so a stored list would be old or would be written all the time. The scope of a token '
	'names static groups only: who may see what must not change because a battery runs low.';
COMMENT ON COLUMN fleet.device_group.description IS 'What it is for; empty: not said.';
COMMENT ON COLUMN fleet.device_group.filter IS
	'NULL: static. Else the filters of GET /v1/devices by name, all of which a member meets (but for group: no group of groups).';
COMMENT ON COLUMN fleet.device_group.created_at IS 'When it was made.';
COMMENT ON COLUMN fleet.device_group.revision IS 'The transaction that last changed it; its ETag.';

CREATE TABLE fleet.module_type (
	manufacturer text NOT NULL CHECK (manufacturer <> ''),
	model text NOT NULL CHECK (model <> ''),
	fcc_id text CHECK (fcc_id ~ '^[A-Z0-9-]{4,20}$'),
	ptcrb text CHECK (ptcrb <> ''),
	carriers text[] NOT NULL DEFAULT '{}',
	PRIMARY KEY (manufacturer, model)
);
COMMENT ON TABLE fleet.module_type IS 'What a kind of radio module is certified for, one row a kind; modules refer to it by maker and model.';
COMMENT ON COLUMN fleet.module_type.manufacturer IS 'Who makes the module.';
COMMENT ON COLUMN fleet.module_type.model IS 'What its maker calls it.';
COMMENT ON COLUMN fleet.module_type.fcc_id IS 'Its FCC identifier; NULL: not known.';
COMMENT ON COLUMN fleet.module_type.ptcrb IS 'Number of its PTCRB certification; NULL: none known.';
COMMENT ON COLUMN fleet.module_type.carriers IS 'Carriers that have approved it.';

CREATE TABLE fleet.config (
	device_id int NOT NULL REFERENCES fleet.device,
	version int NOT NULL CHECK (version > 0),
	body jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
	at timestamptz NOT NULL DEFAULT now(),
	actor text NOT NULL,
	reason text,
	request_id text,
	PRIMARY KEY (device_id, version)
);
COMMENT ON TABLE fleet.config IS
	'Desired configuration of devices, every version that there ever was; the highest is in force. Rows are added, never changed.';
COMMENT ON COLUMN fleet.config.device_id IS 'The device.';
COMMENT ON COLUMN fleet.config.version IS 'Counts the versions of a device from 1.';
COMMENT ON COLUMN fleet.config.body IS 'The configuration, names and values.';
COMMENT ON COLUMN fleet.config.at IS 'When it was set.';
COMMENT ON COLUMN fleet.config.actor IS 'Who set it.';
COMMENT ON COLUMN fleet.config.reason IS 'Why; NULL: not said.';
COMMENT ON COLUMN fleet.config.request_id IS 'The request that set it.';

CREATE TABLE fleet.config_report (
	device_id int PRIMARY KEY REFERENCES fleet.device,
	version int,
	body jsonb CHECK (jsonb_typeof(body) = 'object'),
	reported_at timestamptz NOT NULL
);
COMMENT ON TABLE fleet.config_report IS 'The configuration that a device last said it runs with.';
COMMENT ON COLUMN fleet.config_report.device_id IS 'The device.';
COMMENT ON COLUMN fleet.config_report.version IS 'The version it names; NULL: it named none.';
COMMENT ON COLUMN fleet.config_report.body IS 'The names and values it told; NULL: it told the version only.';
COMMENT ON COLUMN fleet.config_report.reported_at IS 'When it said so, by our clock.';

CREATE TABLE fleet.history (
	history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	device_id int,
	object text NOT NULL,
	key text NOT NULL,
	field text NOT NULL,
	old jsonb,
	new jsonb,
	actor text NOT NULL,
	reason text,
	request_id text
);
CREATE INDEX history_device ON fleet.history (device_id, history_id);
COMMENT ON TABLE fleet.history IS
	'What was changed, field by field: old value, new value, who, when and why. Rows are added by triggers and never changed.';
COMMENT ON COLUMN fleet.history.history_id IS 'Number of the entry.';
COMMENT ON COLUMN fleet.history.at IS 'When it was changed.';
COMMENT ON COLUMN fleet.history.device_id IS 'The device that it concerns; NULL: none.';
COMMENT ON COLUMN fleet.history.object IS 'What was changed: device, module, sim, model, module_type, device_group, group_member.';
COMMENT ON COLUMN fleet.history.key IS 'Which one: serial, IMEI, ICCID or name.';
COMMENT ON COLUMN fleet.history.field IS 'Which field of it; state is the life of a device.';
COMMENT ON COLUMN fleet.history.old IS 'Its value before; NULL: it did not exist.';
COMMENT ON COLUMN fleet.history.new IS 'Its value since; NULL: it is gone.';
COMMENT ON COLUMN fleet.history.actor IS 'Who changed it: the name of a token, the subject of an access token, or a role of the database.';
COMMENT ON COLUMN fleet.history.reason IS 'Why; NULL: not said.';
COMMENT ON COLUMN fleet.history.request_id IS 'The request that changed it; NULL: none.';

CREATE FUNCTION fleet.setting(name text) RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT nullif(current_setting('coldfleet.' || name, true), '')
$$;
COMMENT ON FUNCTION fleet.setting(text) IS 'A setting of this transaction about who asks and why; NULL: not set.';

CREATE FUNCTION fleet.keep_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	who CONSTANT text := coalesce(fleet.setting('actor'), session_user);
	why CONSTANT text := fleet.setting('reason');
	request CONSTANT text := fleet.setting('request_id');
	hidden CONSTANT text[] := CASE WHEN TG_TABLE_NAME IN ('sim', 'group_member') THEN '{revision,created_at,model_id,sim_id}'
		ELSE '{revision,created_at,model_id,sim_id,device_id}' END;
BEGIN
	-- A new row tells what it was given, not its numbers. OFFSET 0: the row is made JSON once, and not for each field.
	INSERT INTO fleet.history (device_id, object, key, field, new, actor, reason, request_id)
	SELECT device, TG_TABLE_NAME, its_key, name, value, who, why, request
	FROM (SELECT (of ->> 'device_id')::int AS device, of ->> TG_ARGV[0] AS its_key, of FROM (
		SELECT to_jsonb(a) AS of FROM added AS a OFFSET 0) AS j OFFSET 0) AS r
	CROSS JOIN LATERAL (SELECT name, value FROM jsonb_each(of) AS e (name, value)
		WHERE name <> ALL (hidden) AND value NOT IN ('""', '[]', 'null')
		UNION ALL SELECT 'model', to_jsonb(concat_ws(' ', m.manufacturer, m.name)) FROM fleet.model AS m
		WHERE TG_TABLE_NAME = 'device' AND m.model_id = (of ->> 'model_id')::int) AS e;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.keep_first() IS
	'Trigger: the first values of new rows go to fleet.history, those of a statement all at once, a row a field; otherwise like '
	'fleet.keep_history().';

CREATE FUNCTION fleet.keep_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was CONSTANT jsonb := to_jsonb(old);
	becomes CONSTANT jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(new) END;
	of CONSTANT jsonb := coalesce(becomes, was);
BEGIN
	-- A row that goes tells all that goes with it.
	INSERT INTO fleet.history (device_id, object, key, field, old, new, actor, reason, request_id)
	SELECT coalesce((of ->> 'device_id')::int, (was ->> 'device_id')::int), TG_TABLE_NAME, of ->> TG_ARGV[0], name,
		was -> name, becomes -> name,
		coalesce(fleet.setting('actor'), session_user), fleet.setting('reason'), fleet.setting('request_id')
	FROM jsonb_object_keys(of) AS name
	WHERE name NOT IN ('revision', 'created_at', 'model_id', 'sim_id') AND (name = 'device_id') <= (TG_TABLE_NAME IN ('sim', 'group_member'))
		AND was -> name IS DISTINCT FROM becomes -> name;
	IF TG_TABLE_NAME = 'device' AND was -> 'model_id' IS DISTINCT FROM becomes -> 'model_id' THEN
		INSERT INTO fleet.history (device_id, object, key, field, old, new, actor, reason, request_id)
		SELECT new.device_id, 'device', new.serial, 'model',
			(SELECT to_jsonb(concat_ws(' ', m.manufacturer, m.name)) FROM fleet.model AS m WHERE m.model_id = (was ->> 'model_id')::int),
			(SELECT to_jsonb(concat_ws(' ', m.manufacturer, m.name)) FROM fleet.model AS m WHERE m.model_id = new.model_id),
			coalesce(fleet.setting('actor'), session_user), fleet.setting('reason'), fleet.setting('request_id');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.keep_history() IS
	'Trigger: what changed goes to fleet.history, a row a field. Its argument is the column that names the object. Who and why are the '
	'settings coldfleet.actor, coldfleet.reason and coldfleet.request_id of the transaction.';
CREATE TRIGGER keep_first AFTER INSERT ON fleet.device REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('serial');
CREATE TRIGGER keep_first AFTER INSERT ON fleet.module REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('imei');
CREATE TRIGGER keep_first AFTER INSERT ON fleet.sim REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('iccid');
CREATE TRIGGER keep_first AFTER INSERT ON fleet.module_type REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('model');
CREATE TRIGGER keep_first AFTER INSERT ON fleet.device_group REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('name');
CREATE TRIGGER keep_first AFTER INSERT ON fleet.group_member REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.keep_first('group_id');
CREATE TRIGGER keep_history AFTER UPDATE ON fleet.device
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('serial');
CREATE TRIGGER keep_history AFTER UPDATE OR DELETE ON fleet.module
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('imei');
CREATE TRIGGER keep_history AFTER UPDATE OR DELETE ON fleet.sim
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('iccid');
CREATE TRIGGER keep_history AFTER UPDATE OR DELETE ON fleet.model
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('name');
CREATE TRIGGER keep_history AFTER UPDATE OR DELETE ON fleet.module_type
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('model');
CREATE TRIGGER keep_history AFTER UPDATE OR DELETE ON fleet.device_group
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('name');
CREATE TRIGGER keep_history AFTER DELETE ON fleet.group_member
	FOR EACH ROW EXECUTE FUNCTION fleet.keep_history('group_id');

CREATE FUNCTION fleet.unchangeable() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION '%.% is only ever added to', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
COMMENT ON FUNCTION fleet.unchangeable() IS 'Trigger: refuses to change or remove rows of a history, to the owner too.';
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet.history
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet.config
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();

CREATE TABLE fleet.operation (
	operation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	kind text NOT NULL CHECK (kind IN ('devices-import')),
	state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done')),
	format text NOT NULL CHECK (format IN ('ndjson', 'csv')),
	header text[],
	total int NOT NULL DEFAULT 0,
	succeeded int NOT NULL DEFAULT 0,
	failed int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz,
	actor text NOT NULL,
	scope text NOT NULL,
	reason text,
	request_id text,
	token_id int
);
CREATE INDEX operation_open ON fleet.operation (created_at) WHERE state <> 'done';
COMMENT ON TABLE fleet.operation IS 'Long work that was asked for over REST: done in pieces, each of which is one transaction.';
COMMENT ON COLUMN fleet.operation.operation_id IS 'Its number, at random.';
COMMENT ON COLUMN fleet.operation.kind IS 'What is done: devices-import.';
COMMENT ON COLUMN fleet.operation.state IS 'queued: not begun; running; done: every row has its result.';
COMMENT ON COLUMN fleet.operation.format IS 'How the rows are written: ndjson or csv.';
COMMENT ON COLUMN fleet.operation.header IS 'Names of the columns of csv; NULL: ndjson, whose rows name their own.';
COMMENT ON COLUMN fleet.operation.total IS 'How many rows there are.';
COMMENT ON COLUMN fleet.operation.succeeded IS 'How many were carried out.';
COMMENT ON COLUMN fleet.operation.failed IS 'How many were refused; fleet.operation_row says why.';
COMMENT ON COLUMN fleet.operation.created_at IS 'When it was asked for.';
COMMENT ON COLUMN fleet.operation.finished_at IS 'When it was done; NULL: not yet.';
COMMENT ON COLUMN fleet.operation.actor IS 'Who asked.';
COMMENT ON COLUMN fleet.operation.scope IS 'What that one may see: * or numbers of groups.';
COMMENT ON COLUMN fleet.operation.reason IS 'Why; NULL: not said.';
COMMENT ON COLUMN fleet.operation.request_id IS 'The request that asked.';
COMMENT ON COLUMN fleet.operation.token_id IS 'The token that asked; NULL: another proof.';

CREATE TABLE fleet.operation_row (
	operation_id uuid NOT NULL REFERENCES fleet.operation ON DELETE CASCADE,
	line int NOT NULL,
	input text NOT NULL,
	serial text,
	result text CHECK (result IN ('created', 'unchanged', 'failed')),
	detail text,
	PRIMARY KEY (operation_id, line)
);
CREATE INDEX operation_row_waiting ON fleet.operation_row (operation_id, line) WHERE result IS NULL;
COMMENT ON TABLE fleet.operation_row IS 'The rows of an operation and what became of each.';
COMMENT ON COLUMN fleet.operation_row.operation_id IS 'The operation.';
COMMENT ON COLUMN fleet.operation_row.line IS 'Line of the row in what was sent, from 1.';
COMMENT ON COLUMN fleet.operation_row.input IS 'The row as it came.';
COMMENT ON COLUMN fleet.operation_row.serial IS 'The device that it names; NULL: none.';
COMMENT ON COLUMN fleet.operation_row.result IS
	'created; unchanged: the device is there with these values; failed; NULL: not done yet.';
COMMENT ON COLUMN fleet.operation_row.detail IS 'Why it failed: what, where, what was expected.';

CREATE TABLE fleet.summary (
	scope text PRIMARY KEY,
	body json NOT NULL,
	taken_at timestamptz NOT NULL,
	took interval NOT NULL,
	asked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fleet.summary IS 'Counts over the fleet as they were a moment ago, one row a scope that somebody asked for.';
COMMENT ON COLUMN fleet.summary.scope IS 'Whose fleet: * or numbers of groups.';
COMMENT ON COLUMN fleet.summary.body IS 'The counts.';
COMMENT ON COLUMN fleet.summary.taken_at IS 'When they were taken.';
COMMENT ON COLUMN fleet.summary.took IS 'How long that took.';
COMMENT ON COLUMN fleet.summary.asked_at IS 'When somebody last asked, to the minute.';

DO $$
BEGIN
	PERFORM fleet.guard(target) FROM unnest(ARRAY['fleet.device_tag', 'fleet.config', 'fleet.config_report',
		'fleet.history']::regclass[]) AS target;
END
$$;
ALTER TABLE fleet.operation ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.operation TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR scope = (SELECT current_setting('coldfleet.scope', true)));
ALTER TABLE fleet.operation_row ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.operation_row TO coldfleet_api_definer
	USING (EXISTS (SELECT FROM fleet.operation AS o WHERE o.operation_id = operation_row.operation_id));
ALTER TABLE fleet.summary ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON fleet.summary TO coldfleet_api_definer
	USING (scope = (SELECT current_setting('coldfleet.scope', true)));

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fleet FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.setting(text) TO coldfleet_api_definer;
GRANT SELECT ON fleet.device_tag, fleet.module_type, fleet.config, fleet.config_report, fleet.history, fleet.operation,
	fleet.operation_row, fleet.summary TO coldfleet_api_definer;
GRANT INSERT ON fleet.config TO coldfleet_api_definer;
GRANT INSERT, UPDATE ON fleet.module_type, fleet.operation, fleet.operation_row, fleet.summary TO coldfleet_api_definer;
GRANT DELETE ON fleet.operation, fleet.summary TO coldfleet_api_definer;
GRANT SELECT ON fleet.device_tag, fleet.module_type, fleet.config, fleet.config_report, fleet.history TO coldfleet_analyst;

COMMIT;
