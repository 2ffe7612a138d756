-- SPDX-License-Identifier: Apache-2.0
-- Telling others: of alarms, and, in the form of cce-interop, of what devices measured; and what has become of each telling for
-- each of them. Whatever coldfleet-notify takes it takes for a while; what it does not bring back in that time is taken again.
-- So a notice or transfer is sent at least once, with the same id each time, however a process ends.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.webhook (
	webhook_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	url text NOT NULL CHECK (length(url) <= 2000 AND url ~ '^https?://[^/?#@\s]+([/?][^#\s]*)?$'),
	format text NOT NULL DEFAULT 'cloudevents' CHECK (format IN ('cloudevents', 'cce')),
	kinds text[] CHECK (kinds IS NULL OR (cardinality(kinds) BETWEEN 1 AND 32 AND format = 'cloudevents')),
	groups int[],
	enabled boolean NOT NULL DEFAULT true,
	secret bytea NOT NULL CHECK (octet_length(secret) = 32),
	credentials text CHECK (length(credentials) <= 1000 AND credentials ~ '^[!-~]([ -~]*[!-~])?$'),
	has_credentials boolean NOT NULL GENERATED ALWAYS AS (credentials IS NOT NULL) STORED,
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	retry_at timestamptz NOT NULL DEFAULT '-infinity',
	failures int NOT NULL DEFAULT 0,
	sending_until timestamptz NOT NULL DEFAULT '-infinity',
	revision xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE coldchain.webhook IS 'Who is told over HTTP, one row a subscription.';
COMMENT ON COLUMN coldchain.webhook.webhook_id IS 'Number of the subscription.';
COMMENT ON COLUMN coldchain.webhook.name IS 'What people call it.';
COMMENT ON COLUMN coldchain.webhook.url IS 'Where it is told, without user and fragment.';
COMMENT ON COLUMN coldchain.webhook.format IS
	'cloudevents: of alarms, each as it happens; cce: of what devices measured, as transfers of cce-interop 0.8.1 (WHO PQS E006/DS01), one at a time.';
COMMENT ON COLUMN coldchain.webhook.kinds IS 'Of which kinds of alarms; NULL: of all.';
COMMENT ON COLUMN coldchain.webhook.groups IS 'Of devices of which groups: the scope of who made it; NULL: of all devices.';
COMMENT ON COLUMN coldchain.webhook.enabled IS 'False: it gets nothing new, and what waits for it goes on waiting.';
COMMENT ON COLUMN coldchain.webhook.secret IS 'The key that its deliveries are signed with (HMAC-SHA256), 32 bytes. Shown once.';
COMMENT ON COLUMN coldchain.webhook.credentials IS 'What it is sent as Authorization, for example "Bearer " and a key that it gave out; never shown. NULL: nothing.';
COMMENT ON COLUMN coldchain.webhook.has_credentials IS 'Whether there are credentials, for those who may not see them.';
COMMENT ON COLUMN coldchain.webhook.created_at IS 'When it was made. It is told of nothing before.';
COMMENT ON COLUMN coldchain.webhook.created_by IS 'Who made it.';
COMMENT ON COLUMN coldchain.webhook.retry_at IS 'Nothing is sent before: it asked for that (Retry-After), or has failed several times.';
COMMENT ON COLUMN coldchain.webhook.failures IS 'How often in a row it has failed.';
COMMENT ON COLUMN coldchain.webhook.sending_until IS 'Of cce: a transfer is under way, at most until then.';
COMMENT ON COLUMN coldchain.webhook.revision IS 'The transaction that last edited it; its ETag.';

CREATE TABLE coldchain.webhook_guard (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	refused inet[] NOT NULL,
	allowed inet[] NOT NULL
);
COMMENT ON TABLE coldchain.webhook_guard IS
	'Where webhooks may be, one row, as the coldfleet-notify that was started last has it (notify.allow); no row: none was started yet.';
COMMENT ON COLUMN coldchain.webhook_guard.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN coldchain.webhook_guard.refused IS 'Networks that are not of the public Internet.';
COMMENT ON COLUMN coldchain.webhook_guard.allowed IS 'Networks that are allowed besides it.';

CREATE FUNCTION coldchain.webhook_guard_set(refused text, allowed text) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO coldchain.webhook_guard AS g (refused, allowed)
	SELECT array_remove(regexp_split_to_array(webhook_guard_set.refused, '[, \t]+'), '')::inet[],
		array_remove(regexp_split_to_array(webhook_guard_set.allowed, '[, \t]+'), '')::inet[]
	ON CONFLICT (one_row) DO UPDATE SET refused = excluded.refused, allowed = excluded.allowed
	WHERE (g.refused, g.allowed) IS DISTINCT FROM (excluded.refused, excluded.allowed)
$$;
COMMENT ON FUNCTION coldchain.webhook_guard_set(text, text) IS 'Says where webhooks may be: networks with commas or blanks between.';

CREATE FUNCTION coldchain.webhook_barred(url text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	host CONSTANT text := lower(substring(url FROM '^https?://(\[[^]]*\]|[^/:?#]+)'));
	address inet;
BEGIN
	IF host ~ '^\[' THEN
		address := btrim(host, '[]')::inet;
	ELSIF host ~ '^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}$' THEN
		address := host::inet;
	ELSIF host ~ '(^|\.)([0-9]+|0x[0-9a-f]*)\.?$' THEN -- an address too, of another spelling (WHATWG URL, "ends in a number")
		RETURN format('%s: expected an address as four decimal numbers', host);
	END IF;
	IF address <<= '::ffff:0:0/96' THEN
		address := '0.0.0.0'::inet + (address - '::ffff:0:0'::inet);
	END IF;
	RETURN (SELECT format('%s is no address of the public Internet, and notify.allow does not name it', host) FROM coldchain.webhook_guard AS g
		WHERE address <<= ANY (g.refused) AND NOT address <<= ANY (g.allowed));
EXCEPTION WHEN invalid_text_representation THEN
	RETURN format('%s: expected a name or an address', host);
END
$$;
COMMENT ON FUNCTION coldchain.webhook_barred(text) IS
	'Why a webhook may not be at this URL, when its host is an address; NULL: it may, or its host is a name, whose addresses are looked at when '
	'something is sent.';

CREATE TABLE coldchain.delivery (
	delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	webhook_id int NOT NULL REFERENCES coldchain.webhook ON DELETE CASCADE,
	notice_id bigint REFERENCES coldchain.notice ON DELETE CASCADE,
	transfer_id uuid,
	device_id int NOT NULL,
	from_ts timestamptz,
	to_ts timestamptz,
	state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
	attempts int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	give_up_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
	next_at timestamptz NOT NULL DEFAULT now(),
	ended_at timestamptz,
	last_status int,
	last_error text CHECK (length(last_error) <= 500),
	UNIQUE (webhook_id, notice_id),
	CHECK ((state = 'waiting') = (ended_at IS NULL)),
	CHECK (num_nonnulls(notice_id, transfer_id) = 1 AND num_nonnulls(transfer_id, from_ts, to_ts) IN (0, 3) AND from_ts < to_ts)
);
CREATE INDEX delivery_notice ON coldchain.delivery (notice_id);
CREATE INDEX delivery_waiting ON coldchain.delivery (webhook_id, next_at) WHERE state = 'waiting';
CREATE INDEX delivery_listed ON coldchain.delivery (webhook_id, delivery_id);
CREATE INDEX delivery_transfer ON coldchain.delivery (created_at) WHERE transfer_id IS NOT NULL;
CREATE INDEX delivery_parts ON coldchain.delivery (transfer_id) WHERE transfer_id IS NOT NULL;
CREATE INDEX delivery_dead ON coldchain.delivery (delivery_id) WHERE state = 'dead';
COMMENT ON TABLE coldchain.delivery IS 'What has become of a notice or transfer for a webhook, one row each.';
COMMENT ON COLUMN coldchain.delivery.delivery_id IS 'Number of the delivery.';
COMMENT ON COLUMN coldchain.delivery.webhook_id IS 'The webhook.';
COMMENT ON COLUMN coldchain.delivery.notice_id IS 'The notice; NULL: it is a transfer.';
COMMENT ON COLUMN coldchain.delivery.transfer_id IS 'What the receiver calls the transfer: the same each time that it is sent, of all deliveries to a webhook that go in one. NULL: it is a notice.';
COMMENT ON COLUMN coldchain.delivery.device_id IS 'Its device.';
COMMENT ON COLUMN coldchain.delivery.from_ts IS 'Of a transfer: what was measured from then on. It is read when it is sent: readings never change.';
COMMENT ON COLUMN coldchain.delivery.to_ts IS 'Of a transfer: and before then.';
COMMENT ON COLUMN coldchain.delivery.state IS 'waiting: to be sent, for the first time or again; delivered: answered with 2xx; dead: given up.';
COMMENT ON COLUMN coldchain.delivery.attempts IS 'How often it was sent.';
COMMENT ON COLUMN coldchain.delivery.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.delivery.give_up_at IS 'Until when it is tried: a day, of a transfer from its first attempt on, and then at least 6 times again.';
COMMENT ON COLUMN coldchain.delivery.next_at IS 'When it is sent next; until then whoever took it is at it.';
COMMENT ON COLUMN coldchain.delivery.ended_at IS 'When it was delivered or given up; NULL: neither.';
COMMENT ON COLUMN coldchain.delivery.last_status IS 'HTTP status of the last answer; NULL: there was none.';
COMMENT ON COLUMN coldchain.delivery.last_error IS 'Why the last attempt failed; NULL: it did not.';

CREATE FUNCTION coldchain.notices_deal(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken bigint[];
BEGIN
	taken := ARRAY(SELECT n.notice_id FROM coldchain.notice AS n WHERE NOT n.dealt ORDER BY n.notice_id LIMIT most FOR UPDATE SKIP LOCKED);
	INSERT INTO coldchain.delivery (webhook_id, notice_id, device_id)
	SELECT w.webhook_id, n.notice_id, n.device_id FROM coldchain.notice AS n JOIN coldchain.webhook AS w
		ON w.format = 'cloudevents' AND w.enabled AND w.created_at <= n.at AND (w.kinds IS NULL OR n.body ->> 'kind' = ANY (w.kinds))
		AND (w.groups IS NULL OR EXISTS (
			SELECT FROM fleet.group_member AS m WHERE m.device_id = n.device_id AND m.group_id = ANY (w.groups)))
	WHERE n.notice_id = ANY (taken) ORDER BY n.notice_id
	ON CONFLICT DO NOTHING;
	UPDATE coldchain.notice AS n SET dealt = true WHERE n.notice_id = ANY (taken);
	RETURN cardinality(taken);
END
$$;
COMMENT ON FUNCTION coldchain.notices_deal(int) IS
	'Makes the deliveries of up to so many new notices, for each webhook that wants them; returns how many notices. Several may call at once.';

CREATE TABLE coldchain.push_state (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	seen pg_snapshot NOT NULL DEFAULT pg_current_snapshot()
);
INSERT INTO coldchain.push_state DEFAULT VALUES;
COMMENT ON TABLE coldchain.push_state IS 'How far coldchain.transfers_deal() has looked: one row, held by who is at it.';
COMMENT ON COLUMN coldchain.push_state.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN coldchain.push_state.seen IS 'What it has seen: what transactions from its xmin on have stored is news, or was sent already.';

CREATE TABLE coldchain.push_due (
	due_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL,
	since timestamptz NOT NULL,
	stored_since xid8
);
CREATE INDEX push_due_device ON coldchain.push_due (device_id);
COMMENT ON TABLE coldchain.push_due IS 'Devices with readings that receivers of transfers may not have.';
COMMENT ON COLUMN coldchain.push_due.due_id IS 'Number of the row.';
COMMENT ON COLUMN coldchain.push_due.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.push_due.since IS 'The oldest of them, in measurement time.';
COMMENT ON COLUMN coldchain.push_due.stored_since IS
	'Only those stored by this transaction or a later one; NULL: not looked at yet, analytics.refresh() has taken its note of new readings away.';

-- telemetry.device_state.rollup_from is the oldest new reading of a device until analytics.refresh() takes it.
CREATE FUNCTION coldchain.push_keeps() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM coldchain.webhook AS w WHERE w.format = 'cce' AND w.enabled) THEN
		INSERT INTO coldchain.push_due (device_id, since) SELECT n.device_id, n.since FROM noted AS n;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.push_keeps() IS 'Trigger: what analytics.refresh() takes away is kept for coldchain.transfers_deal().';
CREATE TRIGGER push_keeps AFTER INSERT ON analytics.due REFERENCING NEW TABLE AS noted
	FOR EACH STATEMENT EXECUTE FUNCTION coldchain.push_keeps();

CREATE FUNCTION coldchain.stored_since(row_xmin xid, since xid8) RETURNS boolean
LANGUAGE sql STABLE
AS $$
	SELECT since::text::bigint <= 3 OR age(row_xmin) <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint + age(pg_snapshot_xmin(pg_current_snapshot())::xid)
		- since::text::bigint
$$;
COMMENT ON FUNCTION coldchain.stored_since(xid, xid8) IS
	'Was a row written by this transaction or one that began later? By number, so that of subtransactions too it misses none. Since 3: any.';

CREATE FUNCTION coldchain.push_look() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	this CONSTANT pg_snapshot := pg_current_snapshot();
	was pg_snapshot;
BEGIN
	SELECT p.seen INTO was FROM coldchain.push_state AS p FOR UPDATE SKIP LOCKED;
	IF was IS NULL OR EXISTS (SELECT FROM coldchain.push_due AS d WHERE d.stored_since IS NOT NULL) THEN
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM coldchain.webhook AS w WHERE w.format = 'cce' AND w.enabled) THEN
		-- One statement: what is not in the states yet or any more is in what was kept.
		WITH kept AS (DELETE FROM coldchain.push_due AS d WHERE d.stored_since IS NULL RETURNING d.device_id, d.since)
		INSERT INTO coldchain.push_due (device_id, since, stored_since)
		SELECT n.device_id, min(n.since), pg_snapshot_xmin(was) FROM (
			SELECT s.device_id, s.rollup_from FROM telemetry.device_state AS s
			WHERE s.rollup_from IS NOT NULL AND coldchain.stored_since(s.xmin, pg_snapshot_xmin(was))
			UNION ALL SELECT k.device_id, k.since FROM kept AS k) AS n (device_id, since)
		GROUP BY n.device_id ORDER BY n.device_id;
		-- What was sent before its alarm was known is sent again, with it.
		INSERT INTO coldchain.push_due (device_id, since, stored_since)
		SELECT n.device_id, min(CASE n.type WHEN 'alarm.raised' THEN a.raised_at ELSE a.cleared_at END), '3'
		FROM coldchain.notice AS n JOIN coldchain.alarm AS a USING (alarm_id)
		WHERE n.at > now() - interval '1 day' AND coldchain.stored_since(n.xmin, pg_snapshot_xmin(was))
			AND n.type IN ('alarm.raised', 'alarm.cleared') AND a.kind IN ('excursion', 'door', 'power')
			AND CASE n.type WHEN 'alarm.raised' THEN a.raised_at ELSE a.cleared_at END IS NOT NULL
		GROUP BY n.device_id ORDER BY n.device_id;
	END IF;
	UPDATE coldchain.push_state SET seen = this;
END
$$;
COMMENT ON FUNCTION coldchain.push_look() IS
	'Notes the devices that have new readings or alarms, unless some of those noted last are yet to be dealt. While somebody else is at it, nothing.';

CREATE FUNCTION coldchain.transfers_deal(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	records CONSTANT int := 1000; -- a transfer is 1 MB at most, a record 200 to 400 bytes, one of many probes and alarms more
	-- What several devices have that goes in one; what a report says around its records counts as two of them.
	together CONSTANT int := 300;
	devices int[];
	sinces timestamptz[];
	stored xid8[];
	oldest timestamptz;
BEGIN
	PERFORM coldchain.push_look();
	WITH taken AS (
		DELETE FROM coldchain.push_due AS d WHERE d.due_id IN (
			SELECT q.due_id FROM coldchain.push_due AS q WHERE q.stored_since IS NOT NULL ORDER BY q.due_id LIMIT most FOR UPDATE SKIP LOCKED)
		RETURNING d.device_id, d.since, d.stored_since)
	SELECT array_agg(t.device_id), array_agg(t.since), array_agg(t.stored_since), min(t.since) INTO devices, sinces, stored, oldest FROM taken AS t;
	IF devices IS NULL THEN
		RETURN 0;
	END IF;
	INSERT INTO coldchain.delivery (webhook_id, transfer_id, device_id, from_ts, to_ts)
	WITH part AS (SELECT w.webhook_id, p.*, CASE WHEN p.weight < together / 2 THEN (sum(p.weight) OVER (PARTITION BY w.webhook_id, p.kind, p.weight < together / 2
			ORDER BY p.device_id, p.from_ts) - p.weight)::int / together END AS batch
	FROM (SELECT c.device_id, min(c.ts) AS from_ts, max(c.ts) + interval '1 microsecond' AS to_ts, count(*) + 2 AS weight,
			coalesce((SELECT r.kind FROM coldchain.cce_report AS r WHERE r.device_id = c.device_id ORDER BY r.report_id DESC LIMIT 1), 'rtm') AS kind
	      FROM (SELECT n.device_id, n.ts, (row_number() OVER (PARTITION BY n.device_id ORDER BY n.ts) - 1) / records AS part
		    FROM (SELECT DISTINCT d.device_id, m.ts FROM unnest(devices, sinces, stored) AS d (device_id, since, stored_since)
			  JOIN telemetry.measurement AS m ON m.device_id = d.device_id AND m.ts >= d.since
			  WHERE m.ts >= oldest AND coldchain.stored_since(m.xmin, d.stored_since)) AS n) AS c
	      GROUP BY c.device_id, c.part) AS p
	JOIN coldchain.webhook AS w ON w.format = 'cce' AND w.enabled AND (w.groups IS NULL OR EXISTS (
		SELECT FROM fleet.group_member AS m WHERE m.device_id = p.device_id AND m.group_id = ANY (w.groups))))
	, transfer AS MATERIALIZED (SELECT p.webhook_id, p.kind, p.batch, gen_random_uuid() AS id FROM part AS p WHERE p.batch IS NOT NULL GROUP BY 1, 2, 3)
	SELECT p.webhook_id, coalesce(t.id, gen_random_uuid()), p.device_id, p.from_ts, p.to_ts
	FROM part AS p LEFT JOIN transfer AS t USING (webhook_id, kind, batch) ORDER BY p.device_id, p.from_ts, p.webhook_id;
	RETURN cardinality(devices);
END
$$;
COMMENT ON FUNCTION coldchain.transfers_deal(int) IS
	'Makes the transfers of up to so many devices with new readings, for each webhook of format cce, several devices in one as far as they have little; '
	'returns how many devices, 0: it has looked and there are none. Several may call at once. A reading can be in several transfers, never in none.';

CREATE FUNCTION coldchain.cloud_event(n coldchain.notice, source text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('specversion', '1.0', 'id', n.id, 'source', source, 'type', 'coldfleet.' || n.type,
		'subject', n.body ->> 'device', 'time', coldchain.json_time(n.at), 'datacontenttype', 'application/json', 'data', n.body)::text
$$;
COMMENT ON FUNCTION coldchain.cloud_event(coldchain.notice, text) IS
	'A notice as a CloudEvent (1.0, structured, JSON), whose source is given.';

CREATE FUNCTION coldchain.deliveries_take(most int, most_each int, lease double precision, source text)
RETURNS TABLE (delivery_id bigint, url text, secret bytea, credentials text, format text, id text, body text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Transfers go one at a time: what somebody else has sent of them is seen by the statement after this one.
	mine CONSTANT int[] := ARRAY(SELECT w.webhook_id FROM coldchain.webhook AS w
		WHERE w.format = 'cce' AND w.enabled AND pg_try_advisory_xact_lock('coldchain.webhook'::regclass::oid::int, w.webhook_id));
BEGIN
	RETURN QUERY
	WITH due AS (
		SELECT d.delivery_id, d.transfer_id, w.webhook_id, w.url, w.secret, w.credentials, w.format FROM coldchain.webhook AS w CROSS JOIN LATERAL (
			SELECT x.delivery_id, x.transfer_id, x.next_at FROM coldchain.delivery AS x
			WHERE x.webhook_id = w.webhook_id AND x.state = 'waiting' AND x.next_at <= now()
			-- One that fails is asked with one delivery until it answers.
			ORDER BY x.next_at LIMIT CASE WHEN w.failures > 0 OR w.format = 'cce' THEN 1 ELSE most_each END FOR UPDATE SKIP LOCKED) AS d
		WHERE w.enabled AND w.retry_at <= now() AND (w.format <> 'cce' OR (w.webhook_id = ANY (mine) AND w.sending_until <= now()))
		ORDER BY d.next_at LIMIT most
	), sending AS (
		UPDATE coldchain.webhook AS w SET sending_until = now() + make_interval(secs => lease)
		FROM due WHERE w.webhook_id = due.webhook_id AND due.format = 'cce'
	), part AS (
		SELECT due.delivery_id AS first, due.delivery_id FROM due WHERE due.format <> 'cce'
		UNION ALL SELECT due.delivery_id, x.delivery_id FROM due JOIN coldchain.delivery AS x
			ON x.transfer_id = due.transfer_id AND x.webhook_id = due.webhook_id AND x.state = 'waiting' WHERE due.format = 'cce'
	), taken AS (
		UPDATE coldchain.delivery AS d SET next_at = now() + make_interval(secs => lease), attempts = d.attempts + 1,
			give_up_at = CASE WHEN d.transfer_id IS NOT NULL AND d.attempts = 0 THEN now() + interval '24 hours' ELSE d.give_up_at END
		FROM part WHERE d.delivery_id = part.delivery_id
		RETURNING part.first, d.*)
	SELECT due.delivery_id, due.url, due.secret, due.credentials, due.format, coalesce(n.id, due.transfer_id)::text, CASE due.format
		WHEN 'cce' THEN coldchain.cce_transfer(t.devices, t.froms, t.tos, 2147483647, due.transfer_id)
		ELSE coldchain.cloud_event(n, source) END
	FROM (SELECT x.first, min(x.notice_id) AS notice_id, array_agg(x.device_id ORDER BY x.delivery_id) AS devices,
			array_agg(x.from_ts ORDER BY x.delivery_id) AS froms, array_agg(x.to_ts ORDER BY x.delivery_id) AS tos FROM taken AS x GROUP BY x.first) AS t
	JOIN due ON due.delivery_id = t.first LEFT JOIN coldchain.notice AS n ON n.notice_id = t.notice_id ORDER BY due.delivery_id;
END
$$;
COMMENT ON FUNCTION coldchain.deliveries_take(int, int, double precision, text) IS
	'Takes up to so many deliveries that are due, of each webhook up to so many, of transfers one with all its deliveries, for `lease` seconds: number '
	'(of a transfer that of one of them), URL, key, Authorization, format, id, and what to send; NULL: there is nothing of it any more. Several may '
	'call at once.';

CREATE FUNCTION coldchain.answer_ends(format text, status int) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce(CASE format
		WHEN 'cce' THEN (status BETWEEN 400 AND 499 AND status NOT IN (404, 408, 409, 429)) OR status IN (501, 505)
		ELSE status = 410 END, false)
$$;
COMMENT ON FUNCTION coldchain.answer_ends(text, int) IS
	'Is trying again of no use after an answer with this HTTP status? Of transfers as WHO PQS E006/DS01 says; of events when the receiver is gone '
	'for good (RFC 9110).';

CREATE FUNCTION coldchain.deliveries_done(ids bigint[], statuses int[], errors text[], waits double precision[], finals boolean[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	longest CONSTANT double precision := 3600;
BEGIN
	WITH said AS (
		SELECT s.*, coalesce(s.status BETWEEN 200 AND 299, false) AS ok, 0.75 + random() / 2 AS chance
		FROM unnest(ids, statuses, errors, waits, finals) AS s (id, status, error, wait, final)
	), part AS (
		SELECT p.id, p.delivery_id, count(*) OVER (PARTITION BY p.id) > 1 AS together FROM (
			SELECT s.id, s.id AS delivery_id FROM said AS s
			UNION SELECT s.id, x.delivery_id FROM said AS s JOIN coldchain.delivery AS f ON f.delivery_id = s.id
				JOIN coldchain.delivery AS x ON x.transfer_id = f.transfer_id AND x.webhook_id = f.webhook_id AND x.state = 'waiting') AS p
	), held AS (
		SELECT p.id, p.together, d.delivery_id, d.webhook_id, w.format FROM coldchain.delivery AS d JOIN part AS p USING (delivery_id)
		JOIN coldchain.webhook AS w USING (webhook_id) WHERE d.state = 'waiting' ORDER BY d.delivery_id FOR UPDATE OF d
	), judged AS (
		-- 1 s, 2 s, 4 s ... up to an hour, a quarter more or less, and never earlier than was asked for.
		-- Several devices that were refused together, or three times not taken, go each alone from then on: one may be at fault.
		SELECT h.delivery_id, h.webhook_id, s.status, s.error, s.wait, s.ok, s.final OR coldchain.answer_ends(h.format, s.status) AS final,
			NOT s.ok AND NOT s.final AND h.together AND (coldchain.answer_ends(h.format, s.status) OR d.attempts >= 3) AS parts,
			d.give_up_at, h.format = 'cce' AND d.attempts <= 6 AS too_few, now() + make_interval(secs => greatest(coalesce(s.wait, 0),
			least(power(2, least(d.attempts, 20) - 1), longest) * s.chance)) AS again
		FROM held AS h JOIN coldchain.delivery AS d USING (delivery_id) JOIN said AS s USING (id)
	), told AS (
		UPDATE coldchain.delivery AS d SET last_status = j.status, last_error = CASE WHEN NOT j.ok THEN left(j.error, 500) END,
			state = CASE WHEN j.ok THEN 'delivered' WHEN j.given_up THEN 'dead' ELSE 'waiting' END,
			ended_at = CASE WHEN j.ok OR j.given_up THEN now() END, next_at = CASE WHEN j.parts AND j.final THEN now() ELSE j.again END,
			transfer_id = CASE WHEN j.parts AND NOT j.given_up THEN gen_random_uuid() ELSE d.transfer_id END
		FROM (SELECT i.*, (i.final AND NOT i.parts) OR (i.again > i.give_up_at AND NOT i.too_few) AS given_up FROM judged AS i) AS j
		WHERE d.delivery_id = j.delivery_id
	)
	UPDATE coldchain.webhook AS w SET sending_until = '-infinity',
		failures = CASE WHEN j.ok THEN 0 WHEN j.final THEN w.failures ELSE w.failures + 1 END,
		retry_at = CASE WHEN j.ok THEN '-infinity' WHEN j.final THEN w.retry_at WHEN j.wait > 0 OR w.failures >= 3 THEN j.again ELSE '-infinity' END
	FROM (SELECT DISTINCT ON (i.webhook_id) i.* FROM judged AS i ORDER BY i.webhook_id, i.final, i.ok DESC, i.again) AS j
	WHERE w.webhook_id = j.webhook_id AND NOT ((j.ok OR j.final) AND w.sending_until = '-infinity'
		AND (j.final OR (w.failures = 0 AND w.retry_at = '-infinity')));
END
$$;
COMMENT ON FUNCTION coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]) IS
	'What became of deliveries that were taken: HTTP status or NULL, what went wrong, how many seconds the receiver asked to be left alone '
	'(NULL: not), and whether trying again is of no use. What failed is tried again for a day, then it is dead.';

CREATE FUNCTION coldchain.notices_publish(most int, lease double precision, source text)
RETURNS TABLE (notice_id bigint, kind text, serial text, event text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	WITH taken AS (
		UPDATE coldchain.notice AS n SET publish_at = now() + make_interval(secs => lease)
		FROM (SELECT m.notice_id AS id FROM coldchain.notice AS m WHERE NOT m.published AND m.publish_at <= now()
		      ORDER BY m.publish_at, m.notice_id LIMIT most FOR UPDATE SKIP LOCKED) AS due
		WHERE n.notice_id = due.id RETURNING n.*)
	SELECT t.notice_id, t.body ->> 'kind', t.body ->> 'device',
		coldchain.cloud_event((t.notice_id, t.id, t.at, t.type, t.device_id, t.alarm_id, t.body, t.dealt, t.published, t.publish_at)::coldchain.notice, source)
	FROM taken AS t ORDER BY t.notice_id;
END
$$;
COMMENT ON FUNCTION coldchain.notices_publish(int, double precision, text) IS
	'Takes up to so many notices that are to be published on MQTT, for `lease` seconds: number, kind, serial, CloudEvent. Several may call '
	'at once.';

CREATE FUNCTION coldchain.notices_published(ids bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE coldchain.notice AS n SET published = true WHERE n.notice_id = ANY (ids)
$$;
COMMENT ON FUNCTION coldchain.notices_published(bigint[]) IS 'The broker has taken these notices.';

CREATE FUNCTION coldchain.notices_forget(days int, most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	gone int;
	transfers int;
BEGIN
	DELETE FROM coldchain.notice AS n WHERE n.notice_id IN (
		SELECT m.notice_id FROM coldchain.notice AS m WHERE m.at < now() - make_interval(days => days)
		ORDER BY m.at LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS gone = ROW_COUNT;
	DELETE FROM coldchain.delivery AS d WHERE d.delivery_id IN (
		SELECT x.delivery_id FROM coldchain.delivery AS x WHERE x.transfer_id IS NOT NULL AND x.created_at < now() - make_interval(days => days)
		ORDER BY x.created_at LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS transfers = ROW_COUNT;
	RETURN gone + transfers;
END
$$;
COMMENT ON FUNCTION coldchain.notices_forget(int, int) IS
	'Deletes up to so many notices, with their deliveries, and as many transfers that are older than so many days. Alarms and readings stay.';

CREATE FUNCTION coldchain.webhook_secret() RETURNS bytea
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
$$;
COMMENT ON FUNCTION coldchain.webhook_secret() IS 'A new key, 32 random bytes, made as fleet.create_token() makes tokens.';

CREATE FUNCTION coldchain.webhook_make(name text, url text, kinds text[], groups int[], format text DEFAULT 'cloudevents',
	credentials text DEFAULT NULL, OUT webhook_id int, OUT secret text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made CONSTANT bytea := coldchain.webhook_secret();
BEGIN
	IF NOT kinds <@ (SELECT array_agg(k.kind::text) FROM coldchain.alarm_kind AS k) THEN
		RAISE EXCEPTION 'kinds: expected some of %', (SELECT string_agg(k.kind, ', ' ORDER BY k.kind) FROM coldchain.alarm_kind AS k)
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO coldchain.webhook AS w (name, url, kinds, groups, format, credentials, secret)
	VALUES (webhook_make.name, webhook_make.url, webhook_make.kinds, webhook_make.groups, webhook_make.format, webhook_make.credentials, made)
	RETURNING w.webhook_id INTO webhook_id;
	secret := 'whsec_' || encode(made, 'base64');
END
$$;
COMMENT ON FUNCTION coldchain.webhook_make(text, text, text[], int[], text, text) IS
	'Makes a webhook and returns its number and, this once, its secret: base64 after "whsec_". A wrong kind: 22023; a wrong URL, format or '
	'Authorization: 23514.';

CREATE FUNCTION coldchain.webhook_rotate(webhook_id int) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made CONSTANT bytea := coldchain.webhook_secret();
BEGIN
	UPDATE coldchain.webhook AS w SET secret = made, revision = DEFAULT WHERE w.webhook_id = webhook_rotate.webhook_id;
	PERFORM audit.record('rotated', 'webhook', webhook_id::text, NULL, NULL, NULL);
	RETURN 'whsec_' || encode(made, 'base64');
END
$$;
COMMENT ON FUNCTION coldchain.webhook_rotate(int) IS 'Gives a webhook another secret and returns it, this once.';

CREATE FUNCTION coldchain.delivery_replay(delivery_id bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	d coldchain.delivery;
BEGIN
	SELECT * INTO d FROM coldchain.delivery AS x WHERE x.delivery_id = delivery_replay.delivery_id AND x.state <> 'waiting' FOR UPDATE;
	IF d.delivery_id IS NULL THEN
		RETURN false;
	END IF;
	UPDATE coldchain.delivery AS x SET state = 'waiting', next_at = now(), give_up_at = now() + interval '24 hours', attempts = 0, ended_at = NULL
	WHERE x.delivery_id = d.delivery_id OR (x.transfer_id = d.transfer_id AND x.webhook_id = d.webhook_id);
	PERFORM audit.record('replayed', 'delivery', d.delivery_id::text, d.device_id, NULL, jsonb_build_object('webhook', d.webhook_id));
	NOTIFY coldchain_notice;
	RETURN true;
END
$$;
COMMENT ON FUNCTION coldchain.delivery_replay(bigint) IS
	'Sends a delivery that has ended, well or not, once more, for another day, a transfer with all that went in it. False: it waits already, or there is none.';

DO $$
BEGIN
	PERFORM audit.watch('coldchain.webhook', 'webhook', NULL, '{secret,credentials,retry_at,failures,sending_until,revision}'),
		audit.watch('coldchain.webhook_guard', 'webhook guard');
	PERFORM fleet.guard('coldchain.delivery'), fleet.guard('coldchain.push_due');
END
$$;

-- A token with a scope sees the webhooks that were made within it.
ALTER TABLE coldchain.webhook ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON coldchain.webhook TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR groups <@ (SELECT fleet.scope_groups())::int[]);
CREATE POLICY everything ON coldchain.webhook TO coldfleet_analyst USING (true);

REVOKE ALL ON FUNCTION coldchain.webhook_guard_set(text, text), coldchain.webhook_barred(text), coldchain.push_keeps(), coldchain.stored_since(xid, xid8), coldchain.push_look(), coldchain.transfers_deal(int),
	coldchain.answer_ends(text, int), coldchain.notices_deal(int), coldchain.cloud_event(coldchain.notice, text),
	coldchain.deliveries_take(int, int, double precision, text),
	coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]), coldchain.notices_publish(int, double precision, text),
	coldchain.notices_published(bigint[]), coldchain.notices_forget(int, int), coldchain.webhook_secret(),
	coldchain.webhook_make(text, text, text[], int[], text, text), coldchain.webhook_rotate(int), coldchain.delivery_replay(bigint) FROM PUBLIC;
GRANT SELECT ON coldchain.webhook_guard TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION coldchain.webhook_barred(text) TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION coldchain.webhook_guard_set(text, text), coldchain.transfers_deal(int), coldchain.notices_deal(int), coldchain.deliveries_take(int, int, double precision, text),
	coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]), coldchain.notices_publish(int, double precision, text),
	coldchain.notices_published(bigint[]), coldchain.notices_forget(int, int) TO coldfleet_notify;
GRANT EXECUTE ON FUNCTION coldchain.webhook_make(text, text, text[], int[], text, text), coldchain.webhook_rotate(int), coldchain.delivery_replay(bigint)
	TO coldfleet_api_definer;
-- Never the secrets.
GRANT SELECT (webhook_id, name, url, format, kinds, groups, has_credentials, enabled, created_at, created_by, retry_at, failures, revision) ON coldchain.webhook
	TO coldfleet_api_definer;
GRANT UPDATE (name, url, kinds, credentials, enabled, revision, retry_at, failures), DELETE ON coldchain.webhook TO coldfleet_api_definer;
GRANT SELECT ON coldchain.delivery, coldchain.notice TO coldfleet_api_definer;

COMMIT;
