-- SPDX-License-Identifier: Apache-2.0
-- Quarantined messages decoded anew: somebody asks over REST, coldfleet-ingest takes them on NOTIFY and lets them go the
-- way of any message, and says what became of them. Whatever dies in between, it is done again, which does no harm.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE telemetry.replay (
	quarantine_id bigint PRIMARY KEY REFERENCES telemetry.quarantine ON DELETE CASCADE,
	asked_at timestamptz NOT NULL DEFAULT now(),
	asked_by text NOT NULL,
	taken_at timestamptz,
	outcome text
);
CREATE INDEX replay_waiting ON telemetry.replay (asked_at) WHERE outcome IS NULL;
COMMENT ON TABLE telemetry.replay IS 'Quarantined messages that are to be decoded anew, or were; one row a message, the last time.';
COMMENT ON COLUMN telemetry.replay.quarantine_id IS 'The message, telemetry.quarantine.';
COMMENT ON COLUMN telemetry.replay.asked_at IS 'When somebody asked.';
COMMENT ON COLUMN telemetry.replay.asked_by IS 'Who.';
COMMENT ON COLUMN telemetry.replay.taken_at IS 'When a process took it; a minute later without outcome another may. NULL: it waits.';
COMMENT ON COLUMN telemetry.replay.outcome IS
	'stored: its readings are where readings belong; else the reason for which it stays in quarantine; NULL: not yet known.';

CREATE FUNCTION telemetry.replay_take(max_rows int)
RETURNS TABLE (id bigint, topic text, payload bytea, content_type text, received_us bigint)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH taken AS (
		UPDATE telemetry.replay AS r SET taken_at = now()
		WHERE r.quarantine_id IN (
			SELECT w.quarantine_id FROM telemetry.replay AS w
			WHERE w.outcome IS NULL AND coalesce(w.taken_at < now() - interval '1 minute', true)
			ORDER BY w.asked_at LIMIT max_rows FOR UPDATE SKIP LOCKED)
		RETURNING r.quarantine_id
	)
	SELECT q.id, q.topic, q.payload, q.content_type,
	       (extract(epoch FROM greatest(q.first_received_at, CASE q.reason WHEN 'clock' THEN q.kept_at END)) * 1000000)::bigint
	FROM taken JOIN telemetry.quarantine AS q ON q.id = taken.quarantine_id
$$;
COMMENT ON FUNCTION telemetry.replay_take(int) IS
	'Messages to be decoded anew, as they came, and when they first came in microseconds since 1970: of those with a wrong time not before '
	'they were kept by the clock of the database, since that of ingest may have been behind; no other process gets them for a minute.';

CREATE FUNCTION telemetry.replay_done(ids bigint[], outcomes text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE telemetry.replay AS r SET outcome = d.outcome
	FROM unnest(ids, outcomes) AS d (id, outcome) WHERE r.quarantine_id = d.id;
	-- One that stays was quarantined once more on its way, and has not arrived once more.
	UPDATE telemetry.quarantine AS q SET replayed_at = now(), seen = greatest(1, q.seen - (d.outcome <> 'stored')::int)
	FROM unnest(ids, outcomes) AS d (id, outcome) WHERE q.id = d.id
$$;
COMMENT ON FUNCTION telemetry.replay_done(bigint[], text[]) IS 'Says what became of messages that were taken: stored, or why not.';

REVOKE ALL ON FUNCTION telemetry.replay_take(int), telemetry.replay_done(bigint[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry.replay_take(int), telemetry.replay_done(bigint[], text[]) TO coldfleet_ingest;
GRANT SELECT ON telemetry.replay TO coldfleet_analyst;
GRANT SELECT, INSERT, UPDATE ON telemetry.replay TO coldfleet_api_definer;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.quarantine_replay(id bigint) RETURNS api.answer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM telemetry.quarantine AS q WHERE q.id = quarantine_replay.id) THEN
		RAISE EXCEPTION 'there is no message % in quarantine', id USING ERRCODE = 'CF404';
	END IF;
	INSERT INTO telemetry.replay AS r (quarantine_id, asked_by) VALUES (id, current_setting('coldfleet.actor'))
	ON CONFLICT (quarantine_id) DO UPDATE SET asked_at = now(), asked_by = excluded.asked_by, taken_at = NULL, outcome = NULL;
	PERFORM pg_notify('telemetry_replay', '');
	RETURN (202, concat('{"id":', id, ',"state":"waiting"}'), NULL, '/v1/quarantine/' || id)::api.answer;
END
$$;
COMMENT ON FUNCTION api.quarantine_replay(bigint) IS
	'POST /v1/quarantine/{id}:replay: has the message decoded anew; replayed_at of the message says when it was. Unknown: CF404.';

REVOKE ALL ON FUNCTION api.quarantine_replay(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.quarantine_replay(bigint) TO coldfleet_api;

COMMIT;
