-- SPDX-License-Identifier: Apache-2.0
-- What moves commands: the signer takes and stores, the bridge claims, tells what could not be sent and what devices
-- replied, and sweeps for what time alone changes. Each function works on a set of commands at once and first locks the
-- rows of their devices in command.device, by rising number; so two of them never change the queue of one device at once.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION command.hold(devices int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM command.device AS d WHERE d.device_id = ANY (devices) ORDER BY d.device_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION command.hold(int[]) IS 'Keeps the queues of these devices to the end of the transaction; waits for whoever has them.';

CREATE FUNCTION command.hold_free(devices int[]) RETURNS int[]
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(device_id), '{}') FROM (
		SELECT d.device_id FROM command.device AS d WHERE d.device_id = ANY (devices) ORDER BY d.device_id
		FOR NO KEY UPDATE SKIP LOCKED) AS u
$$;
COMMENT ON FUNCTION command.hold_free(int[]) IS 'Like command.hold(), but only of the devices that nobody has; returns them.';

CREATE FUNCTION command.advance(devices int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	behind CONSTANT int[] := ARRAY(SELECT d FROM unnest(devices) AS d
		WHERE EXISTS (SELECT FROM command.command AS q WHERE q.device_id = d AND q.place IS NOT NULL AND q.place = 'queued' OFFSET 0));
	less uuid[];
	first uuid[];
BEGIN
	IF cardinality(behind) = 0 THEN
		RETURN;
	END IF;
	less := ARRAY(SELECT f.command_id FROM unnest(behind) AS d CROSS JOIN LATERAL (
			SELECT x.command_id, x.urgency FROM command.command AS x WHERE x.device_id = d AND x.place IN ('front', 'ready') OFFSET 0) AS f
		WHERE EXISTS (SELECT FROM command.command AS q WHERE q.device_id = d AND q.place IS NOT NULL AND q.place = 'queued'
			AND q.urgency < f.urgency OFFSET 0));
	UPDATE command.command AS c SET state = 'approved', place = 'queued', generation = c.generation + 1, counter = NULL, taken_at = NULL,
		retry_at = 'infinity', detail = 'gave way to a more urgent command'
	FROM unnest(less) AS u WHERE c.command_id = u;
	first := ARRAY(SELECT h.command_id FROM unnest(behind) AS d CROSS JOIN LATERAL (
			SELECT q.command_id FROM command.command AS q WHERE q.device_id = d AND q.place IS NOT NULL AND q.place = 'queued'
			ORDER BY q.urgency, q.class, q.requested_at, q.command_id LIMIT 1) AS h
		WHERE NOT EXISTS (SELECT FROM command.command AS f WHERE f.device_id = d AND f.place IN ('front', 'ready') OFFSET 0));
	UPDATE command.command AS c SET place = 'front', taken_at = NULL, detail = NULL FROM unnest(first) AS u WHERE c.command_id = u;
	IF FOUND THEN
		PERFORM pg_notify('command_sign', '');
	END IF;
END
$$;
COMMENT ON FUNCTION command.advance(int[]) IS
	'Puts the first queued command of each of these devices to the front where nobody is, or where a less urgent one is, which then gives '
	'way with its signature. Whoever calls holds the devices.';

CREATE FUNCTION command.let_go(devices int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	ready record;
BEGIN
	SELECT bool_or(f.place = 'front' AND f.taken_at IS NULL) AS sign, bool_or(f.place = 'ready' AND f.retry_at < 'infinity') AS send,
		bool_or(f.place = 'ready' AND f.retry_at < 'infinity' AND f.retry_at > now()) AS turn INTO ready
	FROM unnest(devices) AS d CROSS JOIN LATERAL (
		SELECT x.place, x.taken_at, x.retry_at FROM command.command AS x WHERE x.device_id = d AND x.place IN ('front', 'ready') OFFSET 0) AS f;
	IF ready.turn THEN
		-- Those that let an earlier one be answered: it may have been, or have ended.
		UPDATE command.command AS c SET retry_at = now()
		WHERE c.device_id = ANY (devices) AND c.place IS NOT NULL AND c.place = 'ready' AND c.retry_at > now() AND c.retry_at < 'infinity';
	END IF;
	PERFORM pg_notify('command_sign', '') WHERE ready.sign;
	PERFORM pg_notify('command_send', '') WHERE ready.send;
END
$$;
COMMENT ON FUNCTION command.let_go(int[]) IS
	'Last of all by whoever held these devices for something else: calls signer and bridge, which pass over a device that somebody holds, '
	'to what they may have passed over.';

CREATE FUNCTION command.named(ids uuid[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE cardinality(ids) WHEN 1 THEN ids[1]::text ELSE cardinality(ids) || ' commands' END
$$;
COMMENT ON FUNCTION command.named(uuid[]) IS 'What the audit trail calls these commands: the number of one, how many otherwise.';

CREATE FUNCTION command.take_to_sign(max int)
RETURNS TABLE (command_id uuid, generation int, serial text, epoch bigint, counter bigint, class int, operation text, arguments jsonb,
	issued_at timestamptz, not_before timestamptz, expires_at timestamptz, requested_by text, canonical bytea, request_sha256 bytea,
	approver text, approved_sha256 bytea, approved_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	setting CONSTANT command.setting := (SELECT s FROM command.setting AS s);
	stale CONSTANT timestamptz := now() - setting.take_again;
	devices int[] := ARRAY(SELECT c.device_id FROM command.command AS c
		WHERE c.place = 'front' AND (c.taken_at IS NULL OR c.taken_at < stale) AND c.expires_at > now()
		ORDER BY c.urgency, c.class, c.requested_at, c.command_id LIMIT max);
BEGIN
	devices := command.hold_free(devices);
	RETURN QUERY
		WITH due AS MATERIALIZED (
			SELECT c.command_id FROM unnest(devices) AS d CROSS JOIN LATERAL (
				SELECT * FROM command.command AS x WHERE x.device_id = d AND x.place IN ('front', 'ready') OFFSET 0) AS c
			WHERE c.place = 'front' AND (c.taken_at IS NULL OR c.taken_at < stale) AND c.expires_at > now()
		), taken AS (
			UPDATE command.command AS c SET taken_at = now(), generation = c.generation + 1, counter = nextval('command.counter')
			FROM due WHERE c.command_id = due.command_id
			RETURNING c.*)
		SELECT t.command_id, t.generation, d.serial, setting.epoch, t.counter, t.class::int, t.operation, r.arguments,
			date_trunc('second', now()), r.not_before, r.expires_at, r.requested_by, r.canonical, r.request_sha256,
			a.approver, a.request_sha256, a.at
		FROM taken AS t
		JOIN command.request AS r USING (request_id)
		JOIN fleet.device AS d USING (device_id)
		LEFT JOIN command.approval AS a ON a.request_id = t.request_id AND a.request_sha256 = r.request_sha256 AND a.decision = 'approved'
		ORDER BY t.urgency, t.class, t.requested_at, t.command_id;
END
$$;
COMMENT ON FUNCTION command.take_to_sign(int) IS
	'Takes the next commands for signing, at most max and one a device, the most urgent first; each gets a generation and a counter. One '
	'that was taken command.setting.take_again ago and not signed is taken again. The approver is NULL where none is needed. NOTIFY '
	'command_sign says that there is something to take.';

CREATE FUNCTION command.store_signed(command_ids uuid[], generations int[], messages bytea[], kid bytea)
RETURNS TABLE (command_id uuid, stored boolean)
LANGUAGE plpgsql SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	done uuid[];
BEGIN
	PERFORM command.hold(ARRAY(SELECT c.device_id FROM unnest(command_ids) AS u JOIN command.command AS c ON c.command_id = u));
	WITH kept AS (
		INSERT INTO command.message AS m (command_id, counter, kid, message)
		SELECT c.command_id, c.counter, store_signed.kid, u.message
		FROM unnest(command_ids, generations, messages) AS u (id, generation, message)
		CROSS JOIN LATERAL (SELECT * FROM command.command AS x WHERE x.command_id = u.id OFFSET 0) AS c
		WHERE c.place = 'front' AND c.taken_at IS NOT NULL AND c.generation = u.generation
		RETURNING m.command_id)
	SELECT coalesce(array_agg(kept.command_id), '{}') INTO done FROM kept;
	UPDATE command.command AS c SET state = 'signed', place = 'ready', retry_at = now(), since = now()
	FROM unnest(done) AS u WHERE c.command_id = u;
	IF cardinality(done) > 0 THEN
		PERFORM pg_notify('command_send', ''), audit.record('signed', 'command', command.named(done), NULL, NULL,
			-- As words, for objects cost six times as much to write.
			jsonb_build_object('kid', encode(kid, 'hex'), 'signed', ARRAY(SELECT concat_ws(' ', u.id, encode(sha256(u.message), 'hex'))
				FROM unnest(command_ids, messages) AS u (id, message) WHERE u.id IN (SELECT unnest(done)))));
	END IF;
	RETURN QUERY SELECT u, u IN (SELECT unnest(done)) FROM unnest(command_ids) AS u;
END
$$;
COMMENT ON FUNCTION command.store_signed(uuid[], int[], bytea[], bytea) IS
	'Keeps the signed bytes of commands that were taken; stored is false for one that was given back, ended or taken again since: its '
	'bytes are void and kept nowhere. kid: key id of the key that signed them all, 8 bytes. The audit trail has one entry a call, with "id '
	'SHA-256" of each.';

CREATE FUNCTION command.refuse_to_sign(command_ids uuid[], generations int[], reasons text[])
RETURNS TABLE (command_id uuid, refused boolean)
LANGUAGE plpgsql SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	devices CONSTANT int[] := ARRAY(SELECT c.device_id FROM unnest(command_ids) AS u JOIN command.command AS c ON c.command_id = u);
	done uuid[];
BEGIN
	PERFORM command.hold(devices);
	WITH due AS MATERIALIZED (
		SELECT u.id, u.reason FROM unnest(command_ids, generations, reasons) AS u (id, generation, reason)
		CROSS JOIN LATERAL (SELECT * FROM command.command AS x WHERE x.command_id = u.id OFFSET 0) AS c
		WHERE c.place = 'front' AND c.taken_at IS NOT NULL AND c.generation = u.generation
	), ended AS (
		UPDATE command.command AS c SET state = 'refused', place = NULL, ended_at = now(), detail = 'the signer: ' || due.reason
		FROM due WHERE c.command_id = due.id
		RETURNING c.command_id)
	SELECT coalesce(array_agg(ended.command_id), '{}') INTO done FROM ended;
	PERFORM command.advance(devices), audit.record_all((SELECT coalesce(jsonb_agg(jsonb_build_object('action', 'refused', 'kind', 'command',
			'id', c.command_id, 'device_id', c.device_id, 'old', '{"state": "approved"}'::jsonb, 'new', '{"state": "refused"}'::jsonb,
			'reason', c.detail)), '[]')
		FROM unnest(done) AS u JOIN command.command AS c ON c.command_id = u));
	RETURN QUERY SELECT u, u IN (SELECT unnest(done)) FROM unnest(command_ids) AS u;
END
$$;
COMMENT ON FUNCTION command.refuse_to_sign(uuid[], int[], text[]) IS
	'Ends commands that were taken and that the signer found not to be what was approved; refused is false for a stale generation.';

CREATE FUNCTION command.remembered(device int, sent timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT count(*) <= 32 FROM command.target AS t JOIN command.command AS c USING (request_id, device_id)
	WHERE t.device_id = device AND (c.place = 'wire' OR c.sent_at IS NOT NULL AND c.ended_at >= sent)
$$;
COMMENT ON FUNCTION command.remembered(int, timestamptz) IS
	'Does a device surely still know what became of a command that was first sent then? It keeps the outcomes of its last 32, and would '
	'reject an older one as one that it has never seen.';

CREATE FUNCTION command.claim(max int, present text[])
RETURNS TABLE (command_id uuid, generation int, serial text, message bytea, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	setting CONSTANT command.setting := (SELECT s FROM command.setting AS s);
	here CONSTANT int[] := ARRAY(SELECT d.device_id FROM unnest(present) AS u JOIN fleet.device AS d ON d.serial = u);
	-- Found by state and time; looked at again once their devices are held.
	devices CONSTANT int[] := command.hold_free(ARRAY(
		(SELECT c.device_id FROM command.command AS c WHERE c.place IN ('ready', 'wire') AND c.retry_at < 'infinity' AND c.retry_at <= now()
			AND c.expires_at > now()
		 ORDER BY c.retry_at LIMIT max)
		UNION ALL (SELECT d FROM unnest(here) AS d WHERE EXISTS (SELECT FROM command.command AS c WHERE c.device_id = d
			AND c.place IS NOT NULL AND c.place IN ('ready', 'wire') AND c.since <= now() AND c.expires_at > now() OFFSET 0) LIMIT max)));
BEGIN
	IF cardinality(devices) = 0 THEN
		RETURN;
	END IF;
	-- Those that have more time, since they were accepted, and those that it is no use to ask about.
	UPDATE command.command AS c SET retry_at = CASE WHEN c.since > now() THEN c.since ELSE 'infinity' END
	WHERE c.device_id = ANY (devices) AND c.place IS NOT NULL AND c.place = 'wire' AND c.retry_at <= now()
		AND (c.since > now() OR NOT command.remembered(c.device_id, c.sent_at));
	-- Those whose turn it is not: found again and again, they would keep the commands of other devices from theirs.
	UPDATE command.command AS c SET retry_at = s.until FROM unnest(devices) AS d CROSS JOIN LATERAL (
		SELECT max(x.since) AS until FROM command.command AS x WHERE x.device_id = d AND x.place IS NOT NULL AND x.place = 'wire'
			AND x.state = 'sent' AND x.since > now() OFFSET 0) AS s
	WHERE c.device_id = d AND c.place IS NOT NULL AND c.place = 'ready' AND c.urgency >= 3 AND c.retry_at <= now() AND s.until IS NOT NULL;
	IF FOUND THEN
		PERFORM pg_notify('command_send', '');
	END IF;
	RETURN QUERY
		WITH due AS MATERIALIZED (
			SELECT c.command_id FROM unnest(devices) AS d CROSS JOIN LATERAL (
				SELECT * FROM command.command AS x WHERE x.device_id = d AND x.place IS NOT NULL OFFSET 0) AS c
			WHERE c.place IN ('ready', 'wire') AND c.expires_at > now()
				AND (c.retry_at <= now() OR c.since <= now() AND d = ANY (here))
				AND (c.place = 'ready' OR c.since <= now() AND command.remembered(d, c.sent_at))
				-- One after the other, as counters demand; but not for ever, and not what is urgent.
				AND (c.place = 'wire' OR c.urgency < 3 OR NOT EXISTS (SELECT FROM command.command AS s
					WHERE s.device_id = d AND s.place IS NOT NULL AND s.place = 'wire' AND s.state = 'sent' AND s.since > now() OFFSET 0))
			ORDER BY c.urgency, c.class, c.requested_at, c.command_id LIMIT max
		), sent AS (
			UPDATE command.command AS c SET state = CASE c.state WHEN 'accepted' THEN 'accepted' ELSE 'sent' END, place = 'wire',
				generation = c.generation + 1, sends = c.sends + 1, sent_at = coalesce(c.sent_at, now()), retry_at = w.over, since = w.over,
				detail = CASE WHEN c.sends > 0 THEN 'sent again' END
			FROM due JOIN command.command AS x USING (command_id)
			-- Whoever is at work may be so for hours, and need not hear of it every few minutes.
			CROSS JOIN LATERAL (SELECT now() + setting.ack_timeout * (1 << least(x.sends, CASE x.state WHEN 'accepted' THEN 10 ELSE 6 END))) AS w (over)
			WHERE c.command_id = due.command_id
			RETURNING c.*)
		SELECT s.command_id, s.generation, d.serial, m.message, s.expires_at
		FROM sent AS s JOIN fleet.device AS d USING (device_id) JOIN command.message AS m USING (command_id, counter)
		ORDER BY s.urgency, s.class, s.requested_at, s.command_id;
	PERFORM command.advance(devices);
END
$$;
COMMENT ON FUNCTION command.claim(int, text[]) IS
	'Commands to publish now, at most max: those newly signed, those that waited and whose device is present or was heard meanwhile, and '
	'those whose time for a reply or a result is over and whose device remembers them: it answers again and does not act again. '
	'They are sent from the commit on, which comes before the publish; accepted ones stay accepted. '
	'present: serials that appeared since the last call, or that are known to be connected. NOTIFY command_send says that there is '
	'something to claim.';

CREATE FUNCTION command.unreachable(command_ids uuid[], generations int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	devices CONSTANT int[] := ARRAY(SELECT DISTINCT c.device_id FROM unnest(command_ids) AS u JOIN command.command AS c ON c.command_id = u);
	back uuid[];
	gone uuid[];
	held uuid[];
	first uuid[];
	others uuid[];
BEGIN
	PERFORM command.hold(devices);
	back := ARRAY(SELECT c.command_id FROM unnest(command_ids, generations) AS u (id, generation)
		CROSS JOIN LATERAL (SELECT * FROM command.command AS x WHERE x.command_id = u.id OFFSET 0) AS c
		WHERE c.generation = u.generation AND c.state = 'sent' AND c.sends = 1);
	-- An earlier sending may have arrived: it stays sent, and waits to be heard. Said twice, as after a lost connection, it counts once.
	UPDATE command.command AS c SET sends = c.sends - 1, generation = c.generation + 1, since = now(), retry_at = 'infinity'
	FROM unnest(command_ids, generations) AS u (id, generation)
	WHERE c.command_id = u.id AND c.generation = u.generation AND c.place = 'wire' AND c.sends > 1;
	-- What somebody stopped while it was on its way is stopped now that it never was.
	gone := ARRAY(SELECT c.command_id FROM unnest(back) AS u JOIN command.command AS c ON c.command_id = u JOIN command.request AS r USING (request_id)
		JOIN fleet.device AS d USING (device_id) WHERE r.state = 'cancelled' OR d.state = 'decommissioned');
	held := ARRAY(SELECT c.command_id FROM unnest(back) AS u JOIN command.command AS c ON c.command_id = u JOIN command.request AS r USING (request_id)
		WHERE r.state = 'paused' AND c.command_id <> ALL (gone));
	UPDATE command.command AS c SET state = 'cancelled', place = NULL, ended_at = now(), sends = 0, sent_at = NULL, retry_at = 'infinity',
		detail = 'its request was cancelled, or its device decommissioned, and it had reached nobody'
	FROM unnest(gone) AS u WHERE c.command_id = u;
	UPDATE command.command AS c SET state = 'approved', place = 'held', generation = c.generation + 1, counter = NULL, taken_at = NULL,
		sends = 0, sent_at = NULL, retry_at = 'infinity', detail = 'paused'
	FROM unnest(held) AS u WHERE c.command_id = u;
	IF cardinality(gone) > 0 THEN
		PERFORM audit.record('cancelled', 'command', command.named(gone), NULL, '{"state": "sent"}', '{"state": "cancelled"}');
	END IF;
	back := ARRAY(SELECT unnest(back) EXCEPT SELECT unnest(gone || held));
	-- Of those that come back and the one that went to the front meanwhile, the first waits and the others are signed anew.
	first := ARRAY(SELECT h.command_id FROM unnest(devices) AS d CROSS JOIN LATERAL (
		SELECT c.command_id FROM command.command AS c WHERE c.device_id = d AND c.place IS NOT NULL
			AND (c.place IN ('front', 'ready') OR c.command_id IN (SELECT unnest(back)))
		ORDER BY c.urgency, c.class, c.requested_at, c.command_id LIMIT 1) AS h);
	others := ARRAY(SELECT c.command_id FROM unnest(devices) AS d
		CROSS JOIN LATERAL (SELECT * FROM command.command AS x WHERE x.device_id = d AND x.place IS NOT NULL OFFSET 0) AS c
		WHERE (c.place IN ('front', 'ready') OR c.command_id IN (SELECT unnest(back))) AND c.command_id NOT IN (SELECT unnest(first))
			AND d IN (SELECT b.device_id FROM unnest(back) AS u JOIN command.command AS b ON b.command_id = u));
	UPDATE command.command AS c SET state = 'approved', place = 'queued', generation = c.generation + 1, counter = NULL, taken_at = NULL,
		sends = 0, sent_at = NULL, retry_at = 'infinity', detail = 'gave way to another command of an unreachable device'
	FROM unnest(others) AS u WHERE c.command_id = u;
	UPDATE command.command AS c SET state = 'waiting', place = 'ready', sends = 0, sent_at = NULL, since = now(), retry_at = 'infinity', detail = NULL
	FROM (SELECT f FROM unnest(first) AS f WHERE f IN (SELECT unnest(back))) AS u WHERE c.command_id = u.f;
	PERFORM command.advance(devices), command.let_go(devices);
END
$$;
COMMENT ON FUNCTION command.unreachable(uuid[], int[]) IS
	'Says of claimed commands that they surely reached nobody: the broker answered that no one subscribes, or they were not published. They '
	'wait for their device, but for one of which an earlier sending may have arrived; that one stays sent. One whose request was cancelled or '
	'paused meanwhile, or whose device was decommissioned, is now cancelled or held itself. Stale generations change nothing. '
	'A device that appeared between the publish and this call is to be named to the next command.claim().';

CREATE FUNCTION command.judge(serials text[], command_ids uuid[], counters bigint[], statuses text[], OUT device_ids int[], OUT verdicts text[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	SELECT array_agg(j.device_id ORDER BY j.n), array_agg(j.verdict ORDER BY j.n) FROM (SELECT u.n, u.device_id, CASE
		WHEN u.worthless IS NOT NULL THEN u.worthless
		-- The first result of a batch stands, like one that stood before it; what is worth nothing is before nobody.
		WHEN u.status = 'accepted' THEN CASE WHEN u.state IN ('accepted', 'succeeded', 'failed', 'rejected')
			OR u.n > min(u.n) OVER (PARTITION BY u.id, u.worthless IS NULL) THEN 'repeated' ELSE 'applied' END
		WHEN u.state IN ('succeeded', 'failed', 'rejected') THEN CASE WHEN u.state = u.status THEN 'repeated' ELSE 'contradicts' END
		WHEN u.n = min(u.n) FILTER (WHERE u.status <> 'accepted') OVER (PARTITION BY u.id, u.worthless IS NULL) THEN 'applied'
		WHEN u.status = first_value(u.status) OVER (PARTITION BY u.id, u.worthless IS NULL ORDER BY u.status = 'accepted', u.n) THEN 'repeated'
		ELSE 'contradicts' END AS verdict
	FROM (SELECT r.n, r.id, r.status, d.device_id, c.state, CASE
			WHEN c.command_id IS NULL THEN 'unknown'
			WHEN c.device_id IS DISTINCT FROM d.device_id THEN 'foreign'
			WHEN c.state IN ('awaiting_approval', 'approved', 'signed', 'refused') OR c.counter IS NULL THEN 'unexpected'
			WHEN c.counter <> r.counter
				AND NOT EXISTS (SELECT FROM command.message AS m WHERE m.command_id = r.id AND m.counter = r.counter) THEN 'unexpected'
			END AS worthless
		FROM unnest(serials, command_ids, counters, statuses) WITH ORDINALITY AS r (serial, id, counter, status, n)
		LEFT JOIN LATERAL (SELECT x.device_id FROM fleet.device AS x WHERE x.serial = r.serial OFFSET 0) AS d ON true
		LEFT JOIN LATERAL (SELECT * FROM command.command AS x WHERE x.command_id = r.id OFFSET 0) AS c ON true) AS u) AS j
$$;
COMMENT ON FUNCTION command.judge(text[], uuid[], bigint[], text[]) IS
	'What each reply of a batch is worth, in its order: the device that it came from and the verdict of command.reply.';

CREATE FUNCTION command.worth_keeping(serials text[], verdicts text[]) RETURNS boolean[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	most CONSTANT int := (SELECT s.idle_replies FROM command.setting AS s);
	worth boolean[] := ARRAY(SELECT v = 'applied' FROM unnest(verdicts) AS v);
BEGIN
	IF NOT false = ANY (worth) THEN
		RETURN worth;
	END IF;
	WITH came AS (
		SELECT u.serial, count(*)::int AS many FROM unnest(serials, verdicts) AS u (serial, verdict)
		WHERE u.verdict <> 'applied' GROUP BY 1 ORDER BY 1
	), counted AS (
		INSERT INTO command.idle_reply AS i (serial, hour, many) SELECT c.serial, date_trunc('hour', now()), c.many FROM came AS c
		ON CONFLICT ON CONSTRAINT idle_reply_pkey DO UPDATE SET hour = excluded.hour,
			many = least(CASE WHEN i.hour = excluded.hour THEN i.many ELSE 0 END, 1000000000) + excluded.many
		RETURNING i.serial, i.many)
	SELECT array_agg(u.verdict = 'applied' OR n.many - came.many + u.place <= most ORDER BY u.n) INTO worth
	FROM (SELECT r.*, row_number() OVER (PARTITION BY r.serial, r.verdict = 'applied' ORDER BY r.n) AS place
	      FROM unnest(serials, verdicts) WITH ORDINALITY AS r (serial, verdict, n)) AS u
	LEFT JOIN came USING (serial) LEFT JOIN counted AS n USING (serial);
	RETURN worth;
END
$$;
COMMENT ON FUNCTION command.worth_keeping(text[], text[]) IS
	'Counts replies that change nothing, by tracker and hour, and says of each of a batch whether it is to be kept: all that are applied, of the '
	'others as many as command.setting.idle_replies.';

CREATE FUNCTION command.switch_devices(ended uuid[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	change record;
BEGIN
	FOR change IN
		SELECT c.operation, array_agg(c.device_id ORDER BY c.device_id) AS devices
		FROM unnest(ended) AS u JOIN command.command AS c ON c.command_id = u
		WHERE c.switched IS NOT NULL AND NOT EXISTS (SELECT FROM command.command AS n
			WHERE n.device_id = c.device_id AND n.switched IS NOT NULL AND n.switched > c.switched)
		GROUP BY 1
	LOOP
		PERFORM set_config('coldfleet.reason', format('the device carried out a signed %s', change.operation), true);
		UPDATE fleet.device AS d SET state = CASE change.operation WHEN 'disable' THEN 'disabled' ELSE 'active' END
		WHERE d.device_id = ANY (change.devices)
			AND d.state = ANY (CASE change.operation WHEN 'disable' THEN '{registered,active}'::text[] ELSE '{registered,disabled}' END);
	END LOOP;
END
$$;
COMMENT ON FUNCTION command.switch_devices(uuid[]) IS
	'Brings fleet.device.state after the disables and enables among these commands, as far as no later one of the device has succeeded.';

CREATE FUNCTION command.record_replies(serials text[], command_ids uuid[], counters bigint[], statuses text[], reasons text[], results jsonb[],
	device_times timestamptz[], boot_counts bigint[], generations bigint[], raws bytea[], received timestamptz[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	devices CONSTANT int[] := ARRAY(SELECT DISTINCT c.device_id FROM unnest(command_ids) AS u JOIN command.command AS c ON c.command_id = u);
	accepted uuid[];
	accepted_why text[];
	ended uuid[];
	ended_how text[];
	ended_why text[];
	judged record;
	worth boolean[];
	freed boolean;
	patience CONSTANT interval := (SELECT s.ack_timeout FROM command.setting AS s);
BEGIN
	PERFORM command.hold(devices);
	SELECT * INTO judged FROM command.judge(serials, command_ids, counters, statuses);
	worth := command.worth_keeping(serials, judged.verdicts);
	WITH kept AS (
		INSERT INTO command.reply AS r (received_at, serial, device_id, command_id, counter, generation, boot_count, device_time, status, verdict,
			reason, result, raw)
		SELECT coalesce(u.received, now()), u.serial, u.device_id, u.id, u.counter, u.generation, u.boot_count, u.device_time, u.status, u.verdict,
			u.reason, u.result, u.raw
		FROM unnest(serials, command_ids, counters, statuses, reasons, results, device_times, boot_counts, generations, raws, received,
				judged.device_ids, judged.verdicts, worth)
			WITH ORDINALITY AS u (serial, id, counter, status, reason, result, device_time, boot_count, generation, raw, received,
				device_id, verdict, worth, n)
		WHERE u.worth ORDER BY u.n
		RETURNING r.command_id, r.status, r.reason, r.verdict)
	SELECT array_agg(k.command_id) FILTER (WHERE k.status = 'accepted'), array_agg(k.reason) FILTER (WHERE k.status = 'accepted'),
		array_agg(k.command_id) FILTER (WHERE k.status <> 'accepted'), array_agg(k.status) FILTER (WHERE k.status <> 'accepted'),
		array_agg(k.reason) FILTER (WHERE k.status <> 'accepted')
	INTO accepted, accepted_why, ended, ended_how, ended_why
	FROM kept AS k WHERE k.verdict = 'applied';
	freed := EXISTS (SELECT FROM unnest(accepted || ended) AS u
		CROSS JOIN LATERAL (SELECT x.place FROM command.command AS x WHERE x.command_id = u OFFSET 0) AS c WHERE c.place = 'ready');
	UPDATE command.command AS c SET state = 'accepted', place = 'wire', late = c.late OR c.state IN ('expired', 'cancelled'), ended_at = NULL,
		sent_at = coalesce(c.sent_at, now()), since = now() + patience * (1 << least(c.sends, 6)), detail = u.why,
		-- Looking too early costs less than another place in the index for each.
		retry_at = CASE WHEN c.place = 'wire' AND c.retry_at < 'infinity' THEN c.retry_at ELSE now() + patience * (1 << least(c.sends, 6)) END
	FROM unnest(accepted, accepted_why) AS u (id, why) WHERE c.command_id = u.id;
	UPDATE command.request AS r SET open = true FROM unnest(accepted) AS u JOIN command.command AS c ON c.command_id = u
	WHERE c.late AND r.request_id = c.request_id AND NOT r.open;
	UPDATE command.command AS c SET state = u.how, place = NULL, late = c.late OR c.state IN ('expired', 'cancelled'), ended_at = now(),
		sent_at = coalesce(c.sent_at, now()), retry_at = 'infinity', detail = u.why,
		switched = CASE WHEN u.how = 'succeeded' AND c.operation IN ('disable', 'enable') THEN c.counter END
	FROM unnest(ended, ended_how, ended_why) AS u (id, how, why) WHERE c.command_id = u.id;
	PERFORM command.switch_devices(ended);
	PERFORM audit.record('replied', 'command', command.named(command_ids), NULL, NULL, jsonb_build_object('replies', ARRAY(
		SELECT concat_ws(' ', u.id, u.status, u.verdict, encode(sha256(u.raw), 'hex'))
		FROM unnest(command_ids, statuses, judged.verdicts, raws, worth) AS u (id, status, verdict, raw, worth) WHERE u.worth)))
	WHERE true = ANY (worth);
	IF freed THEN
		PERFORM command.advance(devices);
	END IF;
	PERFORM command.let_go(devices);
END
$$;
COMMENT ON FUNCTION command.record_replies(text[], uuid[], bigint[], text[], text[], jsonb[], timestamptz[], bigint[], bigint[], bytea[], timestamptz[]) IS
	'Keeps the replies of a batch with a verdict, in its order, but for what command.worth_keeping() only counts, and applies those that say something new about a command of their own '
	'device, however late; a disable or enable that succeeded changes fleet.device.state. reasons, results, device_times, boot_counts, '
	'generations and received may hold NULL.';

CREATE FUNCTION command.bad_replies(serials text[], raws bytea[], reasons text[], received timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
	INSERT INTO command.reply (received_at, serial, device_id, verdict, reason, raw)
	SELECT coalesce(u.received, now()), u.serial, d.device_id, 'unreadable', u.reason, u.raw
	FROM unnest(serials, raws, reasons, received, command.worth_keeping(serials, array_fill('unreadable'::text, ARRAY[cardinality(serials)])))
		AS u (serial, raw, reason, received, worth)
	LEFT JOIN fleet.device AS d ON d.serial = u.serial WHERE u.worth
$$;
COMMENT ON FUNCTION command.bad_replies(text[], bytea[], text[], timestamptz[]) IS
	'Keeps replies that could not be decoded, with the reason, but for those that command.worth_keeping() only counts.';

CREATE FUNCTION command.release(request uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	r command.request;
	allowed double precision;
	ids uuid[];
	devices int[];
BEGIN
	SELECT * INTO r FROM command.request AS q WHERE q.request_id = request AND q.state = 'active' AND q.releasing AND q.not_before <= now()
	FOR NO KEY UPDATE SKIP LOCKED;
	IF r.request_id IS NULL THEN
		RETURN;
	END IF;
	-- A bucket holds what a second lets through, and at least one.
	allowed := CASE WHEN r.rate IS NULL THEN 5000
		ELSE least(greatest(r.rate, 1), r.tokens + r.rate * extract(epoch FROM clock_timestamp() - r.filled_at)) END;
	devices := command.hold_free(ARRAY(SELECT c.device_id FROM command.command AS c
		WHERE c.request_id = request AND c.place IS NOT NULL AND c.place = 'held' ORDER BY c.device_id LIMIT floor(allowed)::int));
	WITH gone AS (
		UPDATE command.command AS c SET place = 'queued' WHERE c.request_id = request AND c.device_id = ANY (devices) AND c.place = 'held'
		RETURNING c.command_id)
	SELECT array_agg(command_id) INTO ids FROM gone;
	PERFORM command.advance(devices);
	UPDATE command.request AS q SET tokens = allowed - coalesce(cardinality(ids), 0), filled_at = clock_timestamp(),
		releasing = EXISTS (SELECT FROM command.command AS c WHERE c.request_id = request AND c.place = 'held')
	WHERE q.request_id = request;
END
$$;
COMMENT ON FUNCTION command.release(uuid) IS
	'Lets held commands of an active request into the queues of their devices, once not_before has passed and as its rate allows.';

CREATE FUNCTION command.expire(request uuid, max int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	patience CONSTANT interval := (SELECT s.result_timeout FROM command.setting AS s);
	devices int[];
BEGIN
	devices := command.hold_free(ARRAY(SELECT c.device_id FROM command.command AS c
		WHERE c.request_id = request AND c.place IS NOT NULL AND c.expires_at <= now()
			AND (c.state <> 'accepted' OR greatest(c.expires_at, c.since) + patience <= now())
		ORDER BY c.device_id LIMIT max));
	UPDATE command.command AS c SET state = 'expired', place = NULL, ended_at = now(), retry_at = 'infinity', detail = CASE c.state
		WHEN 'accepted' THEN 'accepted, and no result came'
		WHEN 'sent' THEN 'sent, and no reply came: whether it acted is unknown until a late reply' ELSE 'never sent' END
	WHERE c.request_id = request AND c.device_id = ANY (devices) AND c.place IS NOT NULL AND c.expires_at <= now()
		AND (c.state <> 'accepted' OR greatest(c.expires_at, c.since) + patience <= now());
	IF FOUND THEN
		PERFORM command.advance(devices), audit.record('expired', 'command request', request::text, NULL, NULL,
			jsonb_build_object('devices', cardinality(devices))), command.let_go(devices);
	END IF;
	UPDATE command.request AS q SET open = false, releasing = false WHERE q.request_id = request
		AND NOT EXISTS (SELECT FROM command.command AS c WHERE c.request_id = request AND c.place IS NOT NULL);
END
$$;
COMMENT ON FUNCTION command.expire(uuid, int) IS 'Ends commands of a request whose time is over, at most max of them.';

-- Not to be called for itself: a part of command.hear(), without a setting of its own so that it is planned with it.
CREATE FUNCTION command.heard() RETURNS TABLE (command_id uuid, device_id int)
LANGUAGE sql STABLE
AS $$
	SELECT c.command_id, c.device_id FROM command.command AS c
	LEFT JOIN telemetry.device_state AS s ON s.device_id = c.device_id LEFT JOIN telemetry.device_status AS t ON t.device_id = c.device_id
	WHERE c.place IS NOT NULL AND c.state IN ('waiting', 'sent', 'accepted') AND c.retry_at = 'infinity' AND c.expires_at > now()
		AND (s.received_at > c.since OR t.received_at > c.since)
		AND (c.state = 'waiting' OR command.remembered(c.device_id, c.sent_at))
$$;
COMMENT ON FUNCTION command.heard() IS
	'Commands that wait for a device, whether surely never sent or sent and perhaps answered, and whose device was heard since.';

CREATE FUNCTION command.hear(max int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	devices CONSTANT int[] := command.hold_free(ARRAY(SELECT w.device_id FROM command.heard() AS w LIMIT max));
BEGIN
	IF cardinality(devices) = 0 THEN
		RETURN false;
	END IF;
	UPDATE command.command AS c SET retry_at = '-infinity' FROM command.heard() AS w
	WHERE c.command_id = w.command_id AND c.device_id = ANY (devices);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION command.hear(int) IS
	'Marks commands that wait for a device which was heard since; true: there are some to claim.';

CREATE FUNCTION command.sweep() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	soon CONSTANT timestamptz := now() + interval '1 s';
	next timestamptz;
	stale CONSTANT timestamptz := now() - (SELECT s.take_again FROM command.setting AS s);
	patience CONSTANT interval := (SELECT s.result_timeout FROM command.setting AS s);
BEGIN
	-- Not those that only wait for results, or they would keep the others from their turn.
	PERFORM command.expire(r.request_id, 5000) FROM (SELECT q.request_id FROM command.request AS q
		WHERE q.open AND q.expires_at <= now() AND NOT EXISTS (SELECT FROM command.command AS c WHERE c.request_id = q.request_id
			AND c.state = 'accepted' AND greatest(c.expires_at, c.since) + patience > now() OFFSET 0)
		ORDER BY q.expires_at LIMIT 200) AS r;
	PERFORM command.expire(r.request_id, 5000) FROM (SELECT q.request_id FROM command.request AS q
		WHERE q.open AND q.expires_at <= now() AND EXISTS (SELECT FROM command.command AS c WHERE c.request_id = q.request_id
			AND c.place IS NOT NULL AND c.state <> 'accepted' OFFSET 0)
		ORDER BY q.expires_at LIMIT 200) AS r;
	PERFORM command.release(r.request_id) FROM (SELECT q.request_id FROM command.request AS q
		WHERE q.releasing AND q.state = 'active' AND q.not_before <= now() ORDER BY q.not_before LIMIT 200) AS r;
	IF command.hear(5000) OR EXISTS (SELECT FROM command.command AS c
		WHERE c.place IN ('ready', 'wire') AND c.retry_at < 'infinity' AND c.retry_at <= now() AND c.expires_at > now()) THEN
		PERFORM pg_notify('command_send', '');
		next := soon;
	END IF;
	IF EXISTS (SELECT FROM command.command AS c WHERE c.place = 'front' AND (c.taken_at IS NULL OR c.taken_at < stale)) THEN
		PERFORM pg_notify('command_sign', '');
		next := soon;
	END IF;
	RETURN least(next,
		(SELECT greatest(soon, min(q.expires_at)) FROM command.request AS q WHERE q.open),
		(SELECT greatest(soon, min(q.not_before)) FROM command.request AS q WHERE q.releasing AND q.state = 'active'),
		(SELECT soon FROM command.command AS c WHERE c.place IS NOT NULL AND c.place IN ('front', 'ready', 'wire') LIMIT 1));
END
$$;
COMMENT ON FUNCTION command.sweep() IS
	'What time alone changes: commands expire, not_before passes, rates let more through, devices were heard again. Returns when to call it '
	'again, NULL when nothing is open; a NOTIFY command_send or command_sign before that moment calls for it too. Several may call it at once.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA command FROM PUBLIC;
GRANT EXECUTE ON FUNCTION command.take_to_sign(int), command.store_signed(uuid[], int[], bytea[], bytea),
	command.refuse_to_sign(uuid[], int[], text[]) TO coldfleet_signer;
GRANT EXECUTE ON FUNCTION command.claim(int, text[]), command.unreachable(uuid[], int[]), command.record_replies(text[], uuid[], bigint[], text[],
	text[], jsonb[], timestamptz[], bigint[], bigint[], bytea[], timestamptz[]), command.bad_replies(text[], bytea[], text[], timestamptz[]),
	command.sweep() TO coldfleet_bridge;
-- The signer looks for itself which devices a command's request has.
GRANT SELECT (command_id, request_id) ON command.command TO coldfleet_signer;

COMMIT;
