-- SPDX-License-Identifier: Apache-2.0
-- Telling others of alarms: webhooks, and what has become of each notice for each of them. Whatever coldfleet-notify takes
-- it takes for a while; what it does not bring back in that time is taken again. So a notice is sent at least once, with the
-- same id each time, however a process ends.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE coldchain.webhook (
	webhook_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	url text NOT NULL CHECK (length(url) <= 2000 AND url ~ '^https?://[^/?#@\s]+([/?][^#\s]*)?$'),
	kinds text[] CHECK (cardinality(kinds) BETWEEN 1 AND 32),
	groups int[],
	enabled boolean NOT NULL DEFAULT true,
	secret bytea NOT NULL CHECK (octet_length(secret) = 32),
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	retry_at timestamptz NOT NULL DEFAULT '-infinity',
	failures int NOT NULL DEFAULT 0,
	revision xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE coldchain.webhook IS 'Who is told of alarms over HTTP, one row a subscription.';
COMMENT ON COLUMN coldchain.webhook.webhook_id IS 'Number of the subscription.';
COMMENT ON COLUMN coldchain.webhook.name IS 'What people call it.';
COMMENT ON COLUMN coldchain.webhook.url IS 'Where it is told, without user and fragment.';
COMMENT ON COLUMN coldchain.webhook.kinds IS 'Of which kinds of alarms; NULL: of all.';
COMMENT ON COLUMN coldchain.webhook.groups IS 'Of devices of which groups: the scope of who made it; NULL: of all devices.';
COMMENT ON COLUMN coldchain.webhook.enabled IS 'False: it gets nothing new, and what waits for it goes on waiting.';
COMMENT ON COLUMN coldchain.webhook.secret IS 'The key that its deliveries are signed with (HMAC-SHA256), 32 bytes. Shown once.';
COMMENT ON COLUMN coldchain.webhook.created_at IS 'When it was made. It is told of nothing before.';
COMMENT ON COLUMN coldchain.webhook.created_by IS 'Who made it.';
COMMENT ON COLUMN coldchain.webhook.retry_at IS 'Nothing is sent before: it asked for that (Retry-After), or has failed several times.';
COMMENT ON COLUMN coldchain.webhook.failures IS 'How often in a row it has failed.';
COMMENT ON COLUMN coldchain.webhook.revision IS 'The transaction that last edited it; its ETag.';

CREATE TABLE coldchain.delivery (
	delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	webhook_id int NOT NULL REFERENCES coldchain.webhook ON DELETE CASCADE,
	notice_id bigint NOT NULL REFERENCES coldchain.notice ON DELETE CASCADE,
	device_id int NOT NULL,
	state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
	attempts int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	give_up_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
	next_at timestamptz NOT NULL DEFAULT now(),
	ended_at timestamptz,
	last_status int,
	last_error text CHECK (length(last_error) <= 500),
	UNIQUE (webhook_id, notice_id),
	CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX delivery_notice ON coldchain.delivery (notice_id);
CREATE INDEX delivery_waiting ON coldchain.delivery (webhook_id, next_at) WHERE state = 'waiting';
CREATE INDEX delivery_listed ON coldchain.delivery (webhook_id, delivery_id);
CREATE INDEX delivery_dead ON coldchain.delivery (delivery_id) WHERE state = 'dead';
COMMENT ON TABLE coldchain.delivery IS 'What has become of a notice for a webhook, one row each pair.';
COMMENT ON COLUMN coldchain.delivery.delivery_id IS 'Number of the delivery.';
COMMENT ON COLUMN coldchain.delivery.webhook_id IS 'The webhook.';
COMMENT ON COLUMN coldchain.delivery.notice_id IS 'The notice.';
COMMENT ON COLUMN coldchain.delivery.device_id IS 'Its device.';
COMMENT ON COLUMN coldchain.delivery.state IS 'waiting: to be sent, for the first time or again; delivered: answered with 2xx; dead: given up.';
COMMENT ON COLUMN coldchain.delivery.attempts IS 'How often it was sent.';
COMMENT ON COLUMN coldchain.delivery.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.delivery.give_up_at IS 'Until when it is tried: a day.';
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
		ON w.enabled AND w.created_at <= n.at AND (w.kinds IS NULL OR n.body ->> 'kind' = ANY (w.kinds))
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
RETURNS TABLE (delivery_id bigint, url text, secret bytea, id text, event text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	WITH due AS (
		SELECT d.delivery_id, w.url, w.secret FROM coldchain.webhook AS w CROSS JOIN LATERAL (
			SELECT x.delivery_id, x.next_at FROM coldchain.delivery AS x
			WHERE x.webhook_id = w.webhook_id AND x.state = 'waiting' AND x.next_at <= now()
			-- One that fails is asked with one delivery until it answers.
			ORDER BY x.next_at LIMIT CASE WHEN w.failures > 0 THEN 1 ELSE most_each END FOR UPDATE SKIP LOCKED) AS d
		WHERE w.enabled AND w.retry_at <= now() ORDER BY d.next_at LIMIT most
	), taken AS (
		UPDATE coldchain.delivery AS d SET next_at = now() + make_interval(secs => lease), attempts = d.attempts + 1
		FROM due WHERE d.delivery_id = due.delivery_id
		RETURNING d.delivery_id, d.notice_id, due.url, due.secret)
	SELECT t.delivery_id, t.url, t.secret, n.id::text, coldchain.cloud_event(n, source)
	FROM taken AS t JOIN coldchain.notice AS n USING (notice_id) ORDER BY n.notice_id;
END
$$;
COMMENT ON FUNCTION coldchain.deliveries_take(int, int, double precision, text) IS
	'Takes up to so many deliveries that are due, of each webhook up to so many, for `lease` seconds: number, URL, key, id of the notice and '
	'the CloudEvent to send. Several may call at once.';

CREATE FUNCTION coldchain.deliveries_done(ids bigint[], statuses int[], errors text[], waits double precision[], finals boolean[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	longest CONSTANT double precision := 3600;
BEGIN
	WITH said AS (
		SELECT s.*, coalesce(s.status BETWEEN 200 AND 299, false) AS ok
		FROM unnest(ids, statuses, errors, waits, finals) AS s (id, status, error, wait, final)
	), held AS (
		SELECT d.delivery_id, d.webhook_id FROM coldchain.delivery AS d JOIN said AS s ON s.id = d.delivery_id
		WHERE d.state = 'waiting' ORDER BY d.delivery_id FOR UPDATE OF d
	), judged AS (
		-- 1 s, 2 s, 4 s ... up to an hour, a quarter more or less, and never earlier than was asked for.
		SELECT h.*, s.*, now() + make_interval(secs => greatest(coalesce(s.wait, 0),
			least(power(2, least(d.attempts, 20) - 1), longest) * (0.75 + random() / 2))) AS again
		FROM held AS h JOIN coldchain.delivery AS d USING (delivery_id) JOIN said AS s ON s.id = h.delivery_id
	), told AS (
		UPDATE coldchain.delivery AS d SET last_status = j.status, last_error = CASE WHEN NOT j.ok THEN left(j.error, 500) END,
			state = CASE WHEN j.ok THEN 'delivered' WHEN j.final OR j.again > d.give_up_at THEN 'dead' ELSE 'waiting' END,
			ended_at = CASE WHEN j.ok OR j.final OR j.again > d.give_up_at THEN now() END, next_at = j.again
		FROM judged AS j WHERE d.delivery_id = j.delivery_id
	)
	UPDATE coldchain.webhook AS w SET
		failures = CASE WHEN j.ok THEN 0 ELSE w.failures + 1 END,
		retry_at = CASE WHEN j.ok THEN '-infinity' WHEN j.wait > 0 OR w.failures >= 3 THEN j.again ELSE '-infinity' END
	FROM (SELECT DISTINCT ON (i.webhook_id) i.* FROM judged AS i WHERE NOT i.final ORDER BY i.webhook_id, i.ok DESC, i.again) AS j
	WHERE w.webhook_id = j.webhook_id AND NOT (j.ok AND w.failures = 0 AND w.retry_at = '-infinity');
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
BEGIN
	DELETE FROM coldchain.notice AS n WHERE n.notice_id IN (
		SELECT m.notice_id FROM coldchain.notice AS m WHERE m.at < now() - make_interval(days => days)
		ORDER BY m.at LIMIT most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END
$$;
COMMENT ON FUNCTION coldchain.notices_forget(int, int) IS
	'Deletes up to so many notices, with their deliveries, that are older than so many days. Alarms stay.';

CREATE FUNCTION coldchain.webhook_secret() RETURNS bytea
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
$$;
COMMENT ON FUNCTION coldchain.webhook_secret() IS 'A new key, 32 random bytes, made as fleet.create_token() makes tokens.';

CREATE FUNCTION coldchain.webhook_make(name text, url text, kinds text[], groups int[], OUT webhook_id int, OUT secret text)
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
	INSERT INTO coldchain.webhook AS w (name, url, kinds, groups, secret)
	VALUES (webhook_make.name, webhook_make.url, webhook_make.kinds, webhook_make.groups, made) RETURNING w.webhook_id INTO webhook_id;
	secret := 'whsec_' || encode(made, 'base64');
END
$$;
COMMENT ON FUNCTION coldchain.webhook_make(text, text, text[], int[]) IS
	'Makes a webhook and returns its number and, this once, its secret: base64 after "whsec_". A wrong kind: 22023; a wrong URL: 23514.';

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
	UPDATE coldchain.delivery AS x SET state = 'waiting', next_at = now(), give_up_at = now() + interval '24 hours', attempts = 0, ended_at = NULL
	WHERE x.delivery_id = delivery_replay.delivery_id AND x.state <> 'waiting' RETURNING * INTO d;
	IF d.delivery_id IS NULL THEN
		RETURN false;
	END IF;
	PERFORM audit.record('replayed', 'delivery', d.delivery_id::text, d.device_id, NULL, jsonb_build_object('webhook', d.webhook_id));
	NOTIFY coldchain_notice;
	RETURN true;
END
$$;
COMMENT ON FUNCTION coldchain.delivery_replay(bigint) IS
	'Sends a delivery that has ended, well or not, once more, for another day. False: it waits already, or there is none.';

DO $$
BEGIN
	PERFORM audit.watch('coldchain.webhook', 'webhook', NULL, '{secret,retry_at,failures,revision}');
	PERFORM fleet.guard('coldchain.delivery');
END
$$;

-- A token with a scope sees the webhooks that were made within it.
ALTER TABLE coldchain.webhook ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON coldchain.webhook TO coldfleet_api_definer
	USING ((SELECT fleet.scope_all()) OR groups <@ (SELECT fleet.scope_groups())::int[]);
CREATE POLICY everything ON coldchain.webhook TO coldfleet_analyst USING (true);

REVOKE ALL ON FUNCTION coldchain.notices_deal(int), coldchain.cloud_event(coldchain.notice, text),
	coldchain.deliveries_take(int, int, double precision, text),
	coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]), coldchain.notices_publish(int, double precision, text),
	coldchain.notices_published(bigint[]), coldchain.notices_forget(int, int), coldchain.webhook_secret(),
	coldchain.webhook_make(text, text, text[], int[]), coldchain.webhook_rotate(int), coldchain.delivery_replay(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.notices_deal(int), coldchain.deliveries_take(int, int, double precision, text),
	coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]), coldchain.notices_publish(int, double precision, text),
	coldchain.notices_published(bigint[]), coldchain.notices_forget(int, int) TO coldfleet_notify;
GRANT EXECUTE ON FUNCTION coldchain.webhook_make(text, text, text[], int[]), coldchain.webhook_rotate(int), coldchain.delivery_replay(bigint)
	TO coldfleet_api_definer;
-- Never the secret.
GRANT SELECT (webhook_id, name, url, kinds, groups, enabled, created_at, created_by, retry_at, failures, revision) ON coldchain.webhook
	TO coldfleet_api_definer;
GRANT UPDATE (name, url, kinds, enabled, revision, retry_at, failures), DELETE ON coldchain.webhook TO coldfleet_api_definer;
GRANT SELECT ON coldchain.delivery, coldchain.notice TO coldfleet_api_definer;

COMMIT;
