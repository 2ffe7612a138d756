-- SPDX-License-Identifier: Apache-2.0
-- What happened, for whoever listens now or was away for less than a day: one row an event, written in the transaction of
-- what it tells, so that there is no event without the effect and no effect without the event. Readings are no events:
-- listeners get the latest state of a device as often as they can take it.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE fleet.event_type (
	type text PRIMARY KEY CHECK (type ~ '^[a-z]+(\.[a-z]+)?$'),
	meaning text NOT NULL
);
COMMENT ON TABLE fleet.event_type IS 'What there are events of. A new type is a row here and calls of fleet.announce().';
COMMENT ON COLUMN fleet.event_type.type IS 'Its name.';
COMMENT ON COLUMN fleet.event_type.meaning IS 'What an event of it tells.';
INSERT INTO fleet.event_type (type, meaning) VALUES
	('device.state', 'The latest state of a device has changed; not kept, the one of the moment is sent.'),
	('device.lifecycle', 'A device was registered or stands elsewhere in its life.'),
	('config', 'A device is to have another configuration.');

-- The number of the transaction orders events, and not a sequence, whose numbers become visible in any order: a reader
-- that only takes events of transactions older than the oldest still running can never be overtaken by a late commit.
CREATE TABLE fleet.event (
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	event_id bigint GENERATED ALWAYS AS IDENTITY,
	at timestamptz NOT NULL DEFAULT now(),
	device_id int,
	type text NOT NULL,
	body jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
	PRIMARY KEY (xid, event_id)
);
COMMENT ON TABLE fleet.event IS
	'What happened, in the order of (xid, event_id), for fleet.event_log.kept. Rows are added by fleet.announce() and never changed.';
COMMENT ON COLUMN fleet.event.xid IS 'The transaction that did it.';
COMMENT ON COLUMN fleet.event.event_id IS 'Number of the event; rises within a transaction.';
COMMENT ON COLUMN fleet.event.at IS 'When.';
COMMENT ON COLUMN fleet.event.device_id IS 'The device that it concerns, which decides who sees it; NULL: whoever sees all devices.';
COMMENT ON COLUMN fleet.event.type IS 'What kind of event, of fleet.event_type.';
COMMENT ON COLUMN fleet.event.body IS 'What there is to tell, names and values.';

CREATE TABLE fleet.event_log (
	one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	kept interval NOT NULL DEFAULT '24 hours' CHECK (kept >= '1 minute'),
	gone_xid xid8 NOT NULL DEFAULT '0',
	gone_id bigint NOT NULL DEFAULT 0
);
INSERT INTO fleet.event_log DEFAULT VALUES;
COMMENT ON TABLE fleet.event_log IS 'How far back events reach: one row.';
COMMENT ON COLUMN fleet.event_log.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN fleet.event_log.kept IS 'How long events are kept.';
COMMENT ON COLUMN fleet.event_log.gone_xid IS 'xid of the last event that was deleted; 0: none was.';
COMMENT ON COLUMN fleet.event_log.gone_id IS 'event_id of that event.';

-- No NOTIFY: PostgreSQL commits transactions that notify one after the other, and whoever is woken would have to wait
-- for older transactions anyway. Those who listen ask four times a second.
CREATE FUNCTION fleet.announce(type text, device_id int, body jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM fleet.event_type AS t WHERE t.type = announce.type) THEN
		RAISE EXCEPTION 'type %: expected one of fleet.event_type', type USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO fleet.event (type, device_id, body) VALUES (announce.type, announce.device_id, announce.body);
END
$$;
COMMENT ON FUNCTION fleet.announce(text, int, jsonb) IS
	'Tells listeners what the transaction does, when it commits: a type of fleet.event_type (another: 22023), the device or NULL, an object '
	'with what there is to tell. For what happens seldom: a change by a person, an alarm, a step of a command; not for readings.';

CREATE FUNCTION fleet.announce_lifecycle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM fleet.announce('device.lifecycle', new.device_id, jsonb_build_object('state', new.state,
		'was', CASE WHEN TG_OP = 'UPDATE' THEN old.state END,
		'actor', coalesce(fleet.setting('actor'), session_user), 'reason', fleet.setting('reason')));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.announce_lifecycle() IS 'Trigger: a device was registered (was is null) or stands elsewhere in its life.';
CREATE TRIGGER announce_registered AFTER INSERT ON fleet.device
	FOR EACH ROW EXECUTE FUNCTION fleet.announce_lifecycle();
CREATE TRIGGER announce_lifecycle AFTER UPDATE ON fleet.device
	FOR EACH ROW WHEN (old.state IS DISTINCT FROM new.state) EXECUTE FUNCTION fleet.announce_lifecycle();

CREATE FUNCTION fleet.announce_config() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM fleet.announce('config', new.device_id,
		jsonb_build_object('version', new.version, 'actor', new.actor, 'reason', new.reason));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.announce_config() IS 'Trigger: a device is to have another configuration.';
CREATE TRIGGER announce_config AFTER INSERT ON fleet.config
	FOR EACH ROW EXECUTE FUNCTION fleet.announce_config();

CREATE FUNCTION fleet.forget_events(most int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	log fleet.event_log;
	gone fleet.event;
BEGIN
	SELECT * INTO log FROM fleet.event_log;
	IF NOT (SELECT e.at < now() - log.kept FROM fleet.event AS e WHERE (e.xid, e.event_id) > (log.gone_xid, log.gone_id)
		ORDER BY e.xid, e.event_id LIMIT 1) IS TRUE THEN
		RETURN false;
	END IF;
	SELECT * INTO log FROM fleet.event_log FOR UPDATE SKIP LOCKED;
	IF log.one_row IS NULL THEN
		RETURN false;
	END IF;
	-- In their order and from the last one on, so that what is left has no holes, and index entries of the dead are passed over.
	SELECT * INTO gone FROM (
		SELECT * FROM fleet.event AS e WHERE (e.xid, e.event_id) > (log.gone_xid, log.gone_id)
			AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY e.xid, e.event_id LIMIT most) AS old
	WHERE old.at < now() - log.kept ORDER BY old.xid DESC, old.event_id DESC LIMIT 1;
	IF gone.xid IS NULL THEN
		RETURN false;
	END IF;
	DELETE FROM fleet.event AS e WHERE (e.xid, e.event_id) > (log.gone_xid, log.gone_id)
		AND (e.xid, e.event_id) <= (gone.xid, gone.event_id);
	UPDATE fleet.event_log SET gone_xid = gone.xid, gone_id = gone.event_id;
	RETURN true;
END
$$;
COMMENT ON FUNCTION fleet.forget_events(int) IS
	'Deletes up to so many events that are older than they are kept; true: there may be more. One caller at a time.';

SELECT fleet.guard('fleet.event');
REVOKE ALL ON FUNCTION fleet.announce(text, int, jsonb), fleet.announce_lifecycle(), fleet.announce_config(), fleet.forget_events(int)
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.announce(text, int, jsonb), fleet.forget_events(int) TO coldfleet_api_definer;
GRANT SELECT ON fleet.event, fleet.event_type, fleet.event_log TO coldfleet_api_definer;

COMMIT;
