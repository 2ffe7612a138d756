-- SPDX-License-Identifier: Apache-2.0
-- The audit trail: a chain of entries, each of which holds the hash of the one before, about every change that a person or a
-- program made. What is to be recorded waits in audit.pending until the transaction commits; only then is the head of the chain
-- taken, so nobody waits for a lock while holding the head, and no two transactions can wait for each other through it.
BEGIN;

CREATE SCHEMA audit AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA audit IS 'Who changed what, when and why, in a chain of hashes that shows every later alteration.';

CREATE TABLE audit.entry (
	number bigint PRIMARY KEY CHECK (number > 0),
	previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
	hash bytea NOT NULL CHECK (octet_length(hash) = 32),
	at timestamptz NOT NULL,
	device_id int,
	group_id int,
	actor text NOT NULL,
	action text NOT NULL,
	kind text NOT NULL,
	id text NOT NULL,
	canonical bytea NOT NULL
);
-- What is long is numbers and hashes of many commands, which do not compress: trying took 13 us of each command.
ALTER TABLE audit.entry ALTER COLUMN canonical SET STORAGE EXTERNAL;
CREATE INDEX entry_at ON audit.entry (at);
CREATE INDEX entry_object ON audit.entry (kind, id, number);
CREATE INDEX entry_actor ON audit.entry (actor, number);
CREATE INDEX entry_device ON audit.entry (device_id, number) WHERE device_id IS NOT NULL;
COMMENT ON TABLE audit.entry IS
	'The chain, one row a change. The truth is `canonical`; the columns beside it find entries and are proved by nothing. Rows are '
	'added by audit.chain() alone and never changed.';
COMMENT ON COLUMN audit.entry.number IS 'Place in the chain, from 1, without gaps.';
COMMENT ON COLUMN audit.entry.previous_hash IS 'Hash of the entry before, 32 bytes; zeros for the first.';
COMMENT ON COLUMN audit.entry.hash IS 'SHA-256 of a zero byte, previous_hash and canonical, 32 bytes.';
COMMENT ON COLUMN audit.entry.at IS 'When it was chained, by our clock; never before that of the entry before.';
COMMENT ON COLUMN audit.entry.device_id IS 'The device that it concerns; NULL: none.';
COMMENT ON COLUMN audit.entry.group_id IS 'The group that it concerns, the same before and since; NULL: none. What shows entries without a device to a scope.';
COMMENT ON COLUMN audit.entry.actor IS 'Who: the name of a token, the subject of an access token, or a role of the database.';
COMMENT ON COLUMN audit.entry.action IS 'What was done: created, changed, removed, or a word of its own such as approved.';
COMMENT ON COLUMN audit.entry.kind IS 'What it was done to: device, token, request ...';
COMMENT ON COLUMN audit.entry.id IS 'Which one: serial, number or name.';
COMMENT ON COLUMN audit.entry.canonical IS
	'The bytes that are hashed: a JSON object in UTF-8 with the fields number, at (UTC, microseconds), role (of the database), actor, '
	'action, kind, id, device (serial), old, new, reason, request_id, in this order; old and new as jsonb writes them.';

CREATE TABLE audit.head (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	number bigint NOT NULL,
	hash bytea NOT NULL CHECK (octet_length(hash) = 32),
	at timestamptz NOT NULL
) WITH (fillfactor = 20);
INSERT INTO audit.head (number, hash, at) VALUES (0, decode(repeat('00', 32), 'hex'), '-infinity');
COMMENT ON TABLE audit.head IS 'Where the chain ends: one row, which whoever adds an entry holds until the commit.';
COMMENT ON COLUMN audit.head.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN audit.head.number IS 'Number of the last entry; 0: there is none.';
COMMENT ON COLUMN audit.head.hash IS 'Its hash; zeros while there is none.';
COMMENT ON COLUMN audit.head.at IS 'Its time; -infinity while there is none.';

CREATE TABLE audit.checkpoint (
	checkpoint_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	number bigint NOT NULL REFERENCES audit.entry,
	hash bytea NOT NULL CHECK (octet_length(hash) = 32),
	at timestamptz NOT NULL,
	kid bytea NOT NULL CHECK (octet_length(kid) = 8),
	message bytea NOT NULL
);
CREATE INDEX checkpoint_number ON audit.checkpoint (number);
COMMENT ON TABLE audit.checkpoint IS
	'Statements of the signer that the chain had this hash at this number, one row each. What counts are the copies elsewhere: rows '
	'here can be forged by whoever can forge the chain, the signatures cannot.';
COMMENT ON COLUMN audit.checkpoint.checkpoint_id IS 'Number of the row.';
COMMENT ON COLUMN audit.checkpoint.number IS 'The entry that was the last one.';
COMMENT ON COLUMN audit.checkpoint.hash IS 'Its hash, 32 bytes.';
COMMENT ON COLUMN audit.checkpoint.at IS 'When it was signed, by the signer''s clock.';
COMMENT ON COLUMN audit.checkpoint.kid IS 'Which key signed: the first 8 bytes of the SHA-256 of its SubjectPublicKeyInfo.';
COMMENT ON COLUMN audit.checkpoint.message IS
	'COSE_Sign1, ES256, additional data "coldfleet-audit-v1" and a zero byte; payload {1: number, 2: hash, 3: seconds since 1970}.';

-- Rows live from a statement to the end of its transaction and are never seen by another, so a crash has nothing to restore.
CREATE UNLOGGED TABLE audit.pending (
	pending_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	actor text NOT NULL,
	device_ids int[] NOT NULL,
	group_ids int[] NOT NULL,
	actions text[] NOT NULL,
	kinds text[] NOT NULL,
	ids text[] NOT NULL,
	tails text[] NOT NULL
);
ALTER TABLE audit.pending ALTER COLUMN tails SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.pending IS 'What transactions at work will add to the chain when they commit, one row a statement. Empty to everybody else.';
COMMENT ON COLUMN audit.pending.pending_id IS 'Number of the row.';
COMMENT ON COLUMN audit.pending.actor IS 'Who.';
COMMENT ON COLUMN audit.pending.device_ids IS 'For each entry: device_id.';
COMMENT ON COLUMN audit.pending.group_ids IS 'For each entry: group_id.';
COMMENT ON COLUMN audit.pending.actions IS 'For each entry: action.';
COMMENT ON COLUMN audit.pending.kinds IS 'For each entry: kind.';
COMMENT ON COLUMN audit.pending.ids IS 'For each entry: id.';
COMMENT ON COLUMN audit.pending.tails IS 'For each entry: canonical from `"role"` on, behind number and time.';

CREATE FUNCTION audit.link(state bytea, start bytea, canonical bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN sha256('\x00'::bytea || coalesce(state, start) || canonical);
END
$$;
COMMENT ON FUNCTION audit.link(bytea, bytea, bytea) IS
	'The hash of an entry: of a zero byte, the hash before (state, for the first one start) and its canonical bytes.';
CREATE AGGREGATE audit.links(start bytea, canonical bytea) (SFUNC = audit.link, STYPE = bytea);
COMMENT ON AGGREGATE audit.links(bytea, bytea) IS
	'As a window in the order of the chain: the hash of each entry, when start is the hash before the first.';

CREATE FUNCTION audit.chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	head audit.head;
	stamp text;
BEGIN
	DELETE FROM audit.pending AS p WHERE p.pending_id = new.pending_id;
	SELECT * INTO STRICT head FROM audit.head FOR UPDATE;
	head.at := greatest(head.at, clock_timestamp());
	stamp := ',"at":"' || to_char(head.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z",';
	WITH entries AS (
		SELECT head.number + n AS number, e.*, convert_to('{"number":' || head.number + n || stamp || tail, 'UTF8') AS canonical
		FROM unnest(new.device_ids, new.group_ids, new.actions, new.kinds, new.ids, new.tails)
			WITH ORDINALITY AS e (device_id, group_id, action, kind, id, tail, n)
	), hashed AS (
		SELECT e.*, audit.links(head.hash, e.canonical) OVER (ORDER BY e.number) AS hash FROM entries AS e
	), added AS (
		INSERT INTO audit.entry (number, previous_hash, hash, at, device_id, group_id, actor, action, kind, id, canonical)
		SELECT h.number, lag(h.hash, 1, head.hash) OVER (ORDER BY h.number), h.hash, head.at, h.device_id, h.group_id, new.actor, h.action,
			h.kind, h.id, h.canonical
		FROM hashed AS h ORDER BY h.number
		RETURNING number, hash)
	SELECT a.number, a.hash INTO head.number, head.hash FROM added AS a ORDER BY a.number DESC LIMIT 1;
	UPDATE audit.head AS h SET number = head.number, hash = head.hash, at = head.at;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit.chain() IS
	'Trigger, at the commit: what a statement left in audit.pending becomes entries of the chain. Holds the head until the transaction ends.';
CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON audit.pending DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION audit.chain();

-- In plpgsql, and with one plan for ever: planning at each call, as functions in SQL do, cost more than all the rest.
CREATE FUNCTION audit.keep(actions text[], kinds text[], ids text[], device_ids int[], group_ids int[], olds jsonb[], news jsonb[], reasons text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off -- a plan made while there were few devices is kept when there are many
AS $$
BEGIN
	INSERT INTO audit.pending (actor, device_ids, group_ids, actions, kinds, ids, tails)
	SELECT who.actor, array_agg(e.device_id ORDER BY n), array_agg(e.group_id ORDER BY n), array_agg(e.action ORDER BY n), array_agg(e.kind ORDER BY n),
		array_agg(e.id ORDER BY n), array_agg(concat(
			'"role":', to_json(session_user), ',"actor":', to_json(who.actor), ',"action":', to_json(e.action),
			',"kind":', to_json(e.kind), ',"id":', to_json(e.id), ',"device":', coalesce(
				(SELECT to_json(d.serial) FROM fleet.device AS d WHERE d.device_id = e.device_id)::text, 'null'),
			',"old":', coalesce(e.old::text, 'null'), ',"new":', coalesce(e.new::text, 'null'),
			',"reason":', coalesce(to_json(coalesce(e.reason, who.reason))::text, 'null'),
			',"request_id":', coalesce(to_json(who.request_id)::text, 'null'), '}') ORDER BY n)
	FROM (SELECT coalesce(fleet.setting('actor'), session_user) AS actor, fleet.setting('reason') AS reason,
		     fleet.setting('request_id') AS request_id) AS who
	CROSS JOIN unnest(actions, kinds, ids, device_ids, group_ids, olds, news, reasons)
		WITH ORDINALITY AS e (action, kind, id, device_id, group_id, old, new, reason, n)
	GROUP BY who.actor;
END
$$;
COMMENT ON FUNCTION audit.keep(text[], text[], text[], int[], int[], jsonb[], jsonb[], text[]) IS
	'What audit.record() does, for entries given as arrays of equal length.';

CREATE FUNCTION audit.record(action text, kind text, id text, device_id int, old jsonb, new jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM audit.keep(ARRAY[action], ARRAY[kind], ARRAY[id], ARRAY[device_id], NULL, ARRAY[old], ARRAY[new], NULL);
END
$$;
COMMENT ON FUNCTION audit.record(text, text, text, int, jsonb, jsonb) IS
	'Adds an entry to the chain when the transaction commits: what was done (created, changed, approved ...) to which object of what kind, '
	'which device it concerns (NULL: none), its value before and since (NULL: none). Who, why and in which request are the settings '
	'coldfleet.actor (else the role of the session), coldfleet.reason and coldfleet.request_id, as they are at the call.';

CREATE FUNCTION audit.record_all(entries jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM audit.keep(array_agg(e ->> 'action'), array_agg(e ->> 'kind'), array_agg(e ->> 'id'), array_agg((e ->> 'device_id')::int), NULL,
		array_agg(nullif(e -> 'old', 'null')), array_agg(nullif(e -> 'new', 'null')), array_agg(e ->> 'reason'))
	FROM jsonb_array_elements(entries) AS e HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION audit.record_all(jsonb) IS
	'audit.record() for many: an array of objects with the fields action, kind, id, device_id, old, new and reason (absent: '
	'coldfleet.reason), in this order in the chain. No entry: nothing happens.';

CREATE FUNCTION audit.watched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET bytea_output = 'hex'
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	its_kind CONSTANT text := TG_ARGV[0];
	its_name CONSTANT text[] := TG_ARGV[1]::text[];
	its_key CONSTANT text[] := TG_ARGV[2]::text[];
	ignored CONSTANT text[] := TG_ARGV[3]::text[];
	actions text[];
	ids text[];
	devices int[];
	groups int[];
	olds jsonb[];
	news jsonb[];
BEGIN
	CASE TG_OP
	WHEN 'INSERT' THEN
		SELECT array_agg('created'::text), array_agg(concat_ws('/', r ->> its_name[1], r ->> its_name[2], r ->> its_name[3])), array_agg((r ->> 'device_id')::int),
			array_agg((r ->> 'group_id')::int), array_agg(NULL::jsonb), array_agg(jsonb_strip_nulls(r - ignored))
		INTO actions, ids, devices, groups, olds, news FROM (SELECT to_jsonb(a) AS r FROM added AS a) AS t;
	WHEN 'DELETE' THEN
		SELECT array_agg('removed'::text), array_agg(concat_ws('/', r ->> its_name[1], r ->> its_name[2], r ->> its_name[3])), array_agg((r ->> 'device_id')::int),
			array_agg((r ->> 'group_id')::int), array_agg(jsonb_strip_nulls(r - ignored)), array_agg(NULL::jsonb)
		INTO actions, ids, devices, groups, olds, news FROM (SELECT to_jsonb(g) AS r FROM gone AS g) AS t;
	WHEN 'UPDATE' THEN
		-- A row whose key has changed shows as one that went and one that came.
		SELECT array_agg(CASE WHEN o IS NULL THEN 'created' WHEN n IS NULL THEN 'removed' ELSE 'changed' END),
			array_agg(concat_ws('/', coalesce(n, o) ->> its_name[1], coalesce(n, o) ->> its_name[2], coalesce(n, o) ->> its_name[3])),
			array_agg(coalesce(n ->> 'device_id', o ->> 'device_id')::int),
			-- What moves to another group says something of both, so it is neither's.
			array_agg(CASE WHEN o IS NULL OR n IS NULL OR o -> 'group_id' = n -> 'group_id' THEN (coalesce(n, o) ->> 'group_id')::int END),
			array_agg(b.old), array_agg(b.new)
		INTO actions, ids, devices, groups, olds, news
		FROM (SELECT o, jsonb_build_array(o -> its_key[1], o -> its_key[2], o -> its_key[3]) AS k
		      FROM (SELECT to_jsonb(g) AS o FROM gone AS g) AS r) AS g
		FULL JOIN (SELECT n, jsonb_build_array(n -> its_key[1], n -> its_key[2], n -> its_key[3]) AS k
			   FROM (SELECT to_jsonb(a) AS n FROM added AS a) AS r) AS a USING (k)
		CROSS JOIN LATERAL (
			SELECT jsonb_object_agg(f, o -> f) FILTER (WHERE o IS NOT NULL) AS old, jsonb_object_agg(f, n -> f) FILTER (WHERE n IS NOT NULL) AS new
			FROM jsonb_object_keys(coalesce(n, o) - ignored) AS f WHERE o -> f IS DISTINCT FROM n -> f) AS b
		WHERE b.old IS NOT NULL OR b.new IS NOT NULL;
	ELSE
		actions := '{emptied}';
		ids := '{*}';
		devices := '{NULL}';
	END CASE;
	IF actions IS NOT NULL THEN
		PERFORM audit.keep(actions, array_fill(its_kind, ARRAY[cardinality(actions)]), ids, devices, groups, olds, news, NULL);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit.watched() IS
	'Trigger, once a statement: an entry for each row that came, went or changed in a column that counts; of a changed one the columns '
	'that changed. Arguments: kind, columns of the id, columns of the key, columns that do not count; lists as array literals.';

CREATE FUNCTION audit.watch(target regclass, kind text, name text[] DEFAULT NULL, ignored text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key CONSTANT text[] := ARRAY(SELECT a.attname FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
		JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = target AND i.indisprimary ORDER BY k.n);
	event text[];
BEGIN
	IF cardinality(key) NOT BETWEEN 1 AND 3 OR cardinality(coalesce(name, key)) NOT BETWEEN 1 AND 3 OR EXISTS (
		SELECT FROM unnest(coalesce(name, key) || ignored) AS c WHERE NOT EXISTS (
			SELECT FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = c)) THEN
		RAISE EXCEPTION '%: expected a primary key and a name of one to three columns each, and columns that exist', target
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOREACH event SLICE 1 IN ARRAY ARRAY[['added', 'INSERT', 'REFERENCING NEW TABLE AS added'],
		['changed', 'UPDATE', 'REFERENCING OLD TABLE AS gone NEW TABLE AS added'],
		['removed', 'DELETE', 'REFERENCING OLD TABLE AS gone'], ['emptied', 'TRUNCATE', '']]
	LOOP
		EXECUTE format('CREATE TRIGGER audit_%s AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION audit.watched(%L, %L, %L, %L)',
			       event[1], event[2], target, event[3], kind, coalesce(name, key), key, ignored);
	END LOOP;
END
$$;
COMMENT ON FUNCTION audit.watch(regclass, text, text[], text[]) IS
	'From now on the chain has an entry for each row of the table that is added, changed, removed or truncated away, whoever does it: '
	'what to call such an object, which columns name it (NULL: the primary key; several are joined with slashes), and which columns do not count, '
	'for they are secret, derived or only housekeeping. A column device_id says which device it concerns, group_id which group. For schema changes.';

CREATE FUNCTION audit.unwatch(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	event text;
BEGIN
	FOREACH event IN ARRAY '{added,changed,removed,emptied}'::text[] LOOP
		EXECUTE format('DROP TRIGGER audit_%s ON %s', event, target);
	END LOOP;
END
$$;
COMMENT ON FUNCTION audit.unwatch(regclass) IS 'Undoes audit.watch(). For the reverts of schema changes.';

CREATE FUNCTION audit.head() RETURNS TABLE (number bigint, hash bytea, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.number, h.hash, h.at FROM audit.head AS h
$$;
COMMENT ON FUNCTION audit.head() IS 'The last entry of the chain that is committed: number (0: there is none), hash, time.';

CREATE FUNCTION audit.store_checkpoint(number bigint, hash bytea, at timestamptz, kid bytea, message bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO audit.checkpoint (number, hash, at, kid, message)
	SELECT e.number, e.hash, store_checkpoint.at, store_checkpoint.kid, store_checkpoint.message FROM audit.entry AS e
	WHERE e.number = store_checkpoint.number AND e.hash = store_checkpoint.hash;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM pg_notify('audit_checkpoint', number::text), audit.count_refusals(now());
	RETURN true;
END
$$;
COMMENT ON FUNCTION audit.store_checkpoint(bigint, bytea, timestamptz, bytea, bytea) IS
	'Keeps a signed checkpoint {number, hash, at}, the key id and the COSE_Sign1 message, and wakes whoever listens on audit_checkpoint. '
	'False: no entry has this number and hash, nothing is kept. Also the moment to record counts of refused logins, for it comes '
	'within a minute of any.';

-- Tokens that did not hold: a stranger can make as many as he likes, so of an address and a minute the chain has the first one
-- and how many more there were; and of more than ten addresses in a minute the others count as one, called `others`.
CREATE TABLE audit.refusal (
	minute timestamptz NOT NULL,
	address text NOT NULL,
	more int NOT NULL DEFAULT 0,
	PRIMARY KEY (minute, address)
);
COMMENT ON TABLE audit.refusal IS 'Refused logins that the chain has not counted yet, one row an address and minute.';
COMMENT ON COLUMN audit.refusal.minute IS 'The minute.';
COMMENT ON COLUMN audit.refusal.address IS 'Where they came from; local: a Unix socket; others: the eleventh address of the minute and later ones.';
COMMENT ON COLUMN audit.refusal.more IS 'How many there were beyond those that the chain has.';

CREATE FUNCTION audit.count_refusals(before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH due AS (
		SELECT r.minute, r.address, r.more FROM audit.refusal AS r WHERE r.minute < count_refusals.before FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM audit.refusal AS r USING due AS d WHERE r.minute = d.minute AND r.address = d.address)
	SELECT audit.record_all(jsonb_agg(jsonb_build_object('action', 'refused', 'kind', 'login', 'id', d.address,
		'new', jsonb_build_object('minute', to_char(d.minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), 'more', d.more))
		ORDER BY d.minute, d.address)) FROM due AS d WHERE d.more > 0
$$;
COMMENT ON FUNCTION audit.count_refusals(timestamptz) IS
	'Records how many refused logins there were in the minutes that began before that time, and forgets these minutes.';

CREATE FUNCTION audit.login_refused() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	this CONSTANT timestamptz := date_trunc('minute', new.at);
	sender text := coalesce(host(new.address), 'local');
	first boolean;
BEGIN
	PERFORM audit.count_refusals(this);
	IF (SELECT count(*) >= 10 AND NOT bool_or(r.address = sender) FROM audit.refusal AS r WHERE r.minute = this) THEN
		sender := 'others';
	END IF;
	INSERT INTO audit.refusal AS r (minute, address) VALUES (this, sender)
	ON CONFLICT ON CONSTRAINT refusal_pkey DO UPDATE SET more = r.more + 1 RETURNING more = 0 INTO first;
	IF first THEN
		PERFORM audit.record('refused', 'login', sender, NULL, NULL, jsonb_build_object('reason', new.reason, 'detail', new.detail,
			'request_id', new.request_id));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit.login_refused() IS
	'Trigger: the first refused login of an address in a minute is recorded at once, the others are counted.';
CREATE TRIGGER audit_refused AFTER INSERT ON fleet.refused_login FOR EACH ROW EXECUTE FUNCTION audit.login_refused();

CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.checkpoint
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE DELETE OR TRUNCATE ON audit.head
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
SELECT fleet.guard('audit.entry');

DO $$
BEGIN
	PERFORM audit.watch('fleet.model', 'model'), audit.watch('fleet.device', 'device', '{serial}', '{revision}'),
		audit.watch('fleet.module', 'module', '{imei}'), audit.watch('fleet.sim', 'sim', '{iccid}'),
		audit.watch('fleet.certificate', 'certificate'), audit.watch('fleet.module_type', 'module_type'),
		audit.watch('fleet.device_group', 'group', NULL, '{revision}'),
		audit.watch('fleet.group_member', 'member', '{group_id,device_id}'),
		audit.watch('fleet.token', 'token', NULL, '{sha256,last_used_at}'), audit.watch('fleet.config', 'config'),
		audit.watch('fleet.operation', 'operation', NULL, '{state,total,succeeded,failed,finished_at}'),
		audit.watch('telemetry.setting', 'telemetry_setting'), audit.watch('fleet.event_type', 'event_type'),
		audit.watch('fleet.event_log', 'event_log', NULL, '{gone_xid,gone_id}'),
		audit.watch('telemetry.replay', 'replay', NULL, '{taken_at,outcome}');
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO coldfleet_signer, coldfleet_bridge, coldfleet_analyst, coldfleet_api_definer;
-- The bridge publishes the newest one.
GRANT SELECT ON audit.checkpoint TO coldfleet_bridge;
GRANT SELECT ON audit.entry, audit.checkpoint TO coldfleet_signer, coldfleet_analyst, coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION audit.head() TO coldfleet_signer, coldfleet_analyst, coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION audit.store_checkpoint(bigint, bytea, timestamptz, bytea, bytea) TO coldfleet_signer;
GRANT EXECUTE ON FUNCTION audit.record(text, text, text, int, jsonb, jsonb), audit.record_all(jsonb) TO coldfleet_api_definer;

COMMIT;
