-- SPDX-License-Identifier: Apache-2.0
-- A calibration that is due soon is a condition of its probe: it begins so many days before, as its rule says, and ends when a newer record or the
-- voiding of this one takes its place. By our clock, and only of devices in service.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION coldchain.watch_calibration(most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	longest CONSTANT real := (SELECT max(r.below) FROM coldchain.alarm_rule AS r WHERE r.kind = 'calibration' AND r.enabled);
	c record;
	done int := 0;
BEGIN
	FOR c IN
		SELECT q.* FROM (
			SELECT l.device_id, l.probe, l.certificate, l.valid_until, l.due_at - u.below * interval '1 day' AS since, u.after
			FROM coldchain.calibration AS l JOIN fleet.device AS d USING (device_id)
			CROSS JOIN LATERAL coldchain.alarm_rule_of('calibration', l.device_id) AS u
			WHERE l.latest AND l.due_at <= now() + longest * interval '1 day' AND d.state NOT IN ('banned', 'decommissioned') AND u.enabled
				AND NOT EXISTS (SELECT FROM coldchain.condition AS n
					WHERE n.kind = 'calibration' AND n.device_id = l.device_id AND n.probe = l.probe)) AS q
		WHERE q.since <= now() ORDER BY q.since, q.device_id, q.probe LIMIT most
	LOOP
		INSERT INTO coldchain.condition (kind, device_id, probe, since, due_at, body)
		VALUES ('calibration', c.device_id, c.probe, c.since, c.since + c.after,
			jsonb_build_object('certificate', c.certificate, 'valid_until', c.valid_until))
		ON CONFLICT DO NOTHING;
		-- One that had ended, for a record that is void by now: it lasts after all.
		PERFORM coldchain.alarm_clear('calibration', c.device_id, coldchain.condition_key(c.probe, c.since), NULL);
		done := done + 1;
	END LOOP;
	RETURN CASE WHEN done = most THEN 1 ELSE 0 END;
END
$$;
COMMENT ON FUNCTION coldchain.watch_calibration(int) IS
	'Finds up to so many probes of devices in service whose newest calibration is due within the days that the rule says, or is over. 1: call it '
	'again at once. Call it every ten minutes.';

CREATE FUNCTION coldchain.calibration_renewed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM coldchain.condition_ends('calibration', new.device_id, new.probe, now());
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.calibration_renewed() IS 'Trigger: a record that is no longer the newest of its probe is no longer due.';
CREATE TRIGGER calibration_renewed AFTER UPDATE OF latest ON coldchain.calibration
	FOR EACH ROW WHEN (old.latest AND NOT new.latest) EXECUTE FUNCTION coldchain.calibration_renewed();

REVOKE ALL ON FUNCTION coldchain.watch_calibration(int), coldchain.calibration_renewed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.watch_calibration(int) TO coldfleet_notify;

COMMIT;
