-- SPDX-License-Identifier: Apache-2.0
-- Excursions whose allowed duration is used up, and lots whose cumulative duration is, raise alarms, in the transaction that finds
-- them. An alarm is named after the excursion, or the lot and band; so it is raised once, however the excursion is revised, and not
-- again for a part of what somebody has been alarmed about already.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION coldchain.excursion_alarm() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT e.*, v.change, a.shipment_id, b.code AS band, p.code AS profile, pv.version, l.number AS lot, b.title
		FROM said AS v JOIN coldchain.excursion AS e USING (excursion_id)
		JOIN coldchain.assignment AS a USING (assignment_id) JOIN coldchain.band AS b USING (band_id)
		JOIN coldchain.profile_version AS pv ON pv.profile_version_id = b.profile_version_id
		JOIN coldchain.profile AS p USING (profile_id) JOIN coldchain.lot AS l ON l.lot_id = a.lot_id
		ORDER BY e.device_id, e.excursion_id
	LOOP
		IF r.state IN ('open', 'ended') AND r.alarm_at IS NOT NULL AND NOT EXISTS (
				SELECT FROM coldchain.excursion AS o JOIN coldchain.alarm AS m ON m.kind = 'excursion' AND m.device_id = r.device_id
					AND m.key = 'excursion ' || o.excursion_id
				WHERE o.excursion_id = r.split_from OR o.merged_into = r.excursion_id) THEN
			PERFORM coldchain.alarm_raise('excursion', r.device_id, r.shipment_id::bigint, r.probe, 'excursion ' || r.excursion_id,
				r.alarm_at, r.late, jsonb_build_object('excursion_id', r.excursion_id, 'band', r.band, 'title', r.title,
					'profile', r.profile, 'version', r.version, 'algorithm', r.algorithm, 'lot', r.lot,
					'started_at', to_jsonb(r.started_at), 'min_c', r.min_c, 'max_c', r.max_c));
		END IF;
		-- Ended, or not any more, or never was.
		PERFORM coldchain.alarm_clear('excursion', r.device_id, 'excursion ' || r.excursion_id, CASE
			WHEN r.state = 'retracted' OR (r.state IN ('open', 'ended') AND r.alarm_at IS NULL) THEN r.started_at
			WHEN r.state = 'merged' THEN r.last_at ELSE r.ended_at END);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.excursion_alarm() IS 'Trigger: an excursion that has used up its allowed duration raises an alarm, its end clears it.';
CREATE TRIGGER excursion_alarm AFTER INSERT ON coldchain.excursion_revision REFERENCING NEW TABLE AS said
	FOR EACH STATEMENT EXECUTE FUNCTION coldchain.excursion_alarm();

CREATE FUNCTION coldchain.reached_late(lot int, band text, reached_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH stay AS MATERIALIZED (
		SELECT e.device_id, e.probe, e.assignment_id, e.started_at, least(coalesce(e.ended_at, e.last_at), reached_at) AS ended_at
		FROM coldchain.assignment AS a JOIN coldchain.excursion AS e USING (assignment_id) JOIN coldchain.band AS b USING (band_id)
		WHERE a.lot_id = lot AND b.code = band AND e.state IN ('open', 'ended') AND e.started_at <= reached_at
	), shown AS MATERIALIZED (
		SELECT max(r.received_at) AS at FROM stay AS s JOIN telemetry.reading AS r ON r.device_id = s.device_id AND r.probe = s.probe
			AND r.ts >= s.started_at AND r.ts <= s.ended_at
	)
	SELECT EXISTS (SELECT FROM stay AS s JOIN coldchain.assignment_version AS v USING (assignment_id) CROSS JOIN shown WHERE v.at > shown.at)
		OR EXISTS (SELECT FROM stay AS s JOIN telemetry.reading AS r USING (device_id) CROSS JOIN shown
			WHERE r.ts > reached_at AND r.received_at < shown.at)
$$;
COMMENT ON FUNCTION coldchain.reached_late(int, text, timestamptz) IS
	'Was it found late that a lot has used up a cumulative band at that moment: by readings, of any of its stays, that arrived after newer ones of '
	'its devices, or by an assignment made after they had? A stay that was late and known before does not make it so.';

CREATE FUNCTION coldchain.exposure_alarm() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r record;
BEGIN
	IF TG_OP <> 'INSERT' AND old.alarm_at IS NOT NULL AND (TG_OP = 'DELETE' OR new.alarm_at IS NULL) THEN
		PERFORM coldchain.alarm_clear('excursion', m.device_id, m.key, m.raised_at)
		FROM coldchain.alarm AS m WHERE m.kind = 'excursion' AND m.key = concat('lot ', old.lot_id, ' ', old.band_code);
	END IF;
	IF TG_OP = 'DELETE' OR new.alarm_at IS NULL THEN
		RETURN NULL;
	END IF;
	-- The probe that the alarm fell to; of several the first. One that is known is not told of again, whichever probe it falls to now.
	SELECT e.device_id, e.probe, a.shipment_id, l.number AS lot, b.title INTO r
	FROM coldchain.assignment AS a JOIN coldchain.excursion AS e USING (assignment_id) JOIN coldchain.band AS b USING (band_id)
	JOIN coldchain.lot AS l ON l.lot_id = a.lot_id
	WHERE a.lot_id = new.lot_id AND b.code = new.band_code AND e.state IN ('open', 'ended') AND e.started_at <= new.alarm_at
	ORDER BY coalesce(e.ended_at, 'infinity') < new.alarm_at, e.started_at, e.excursion_id LIMIT 1;
	IF r.device_id IS NOT NULL AND NOT EXISTS (SELECT FROM coldchain.alarm AS m WHERE m.kind = 'excursion'
			AND m.key = concat('lot ', new.lot_id, ' ', new.band_code)) THEN
		PERFORM coldchain.alarm_raise('excursion', r.device_id, r.shipment_id::bigint, r.probe, concat('lot ', new.lot_id, ' ', new.band_code),
			new.alarm_at, coldchain.reached_late(new.lot_id, new.band_code, new.alarm_at), jsonb_build_object('lot', r.lot, 'band', new.band_code, 'title', r.title, 'out_s', new.out_s,
				'allowed_s', new.allowed_s, 'algorithm', new.algorithm));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.exposure_alarm() IS 'Trigger: a lot that has used up the allowed duration of a cumulative band raises an alarm.';
CREATE INDEX alarm_lot ON coldchain.alarm (key) WHERE kind = 'excursion' AND key LIKE 'lot %';
CREATE TRIGGER exposure_alarm AFTER INSERT ON coldchain.exposure
	FOR EACH ROW WHEN (new.counting = 'cumulative' AND new.alarm_at IS NOT NULL) EXECUTE FUNCTION coldchain.exposure_alarm();
CREATE TRIGGER exposure_alarm_again AFTER UPDATE ON coldchain.exposure
	FOR EACH ROW WHEN (new.counting = 'cumulative' AND new.alarm_at IS DISTINCT FROM old.alarm_at) EXECUTE FUNCTION coldchain.exposure_alarm();
CREATE TRIGGER exposure_alarm_gone AFTER DELETE ON coldchain.exposure
	FOR EACH ROW WHEN (old.counting = 'cumulative' AND old.alarm_at IS NOT NULL) EXECUTE FUNCTION coldchain.exposure_alarm();

REVOKE ALL ON FUNCTION coldchain.excursion_alarm(), coldchain.exposure_alarm(), coldchain.reached_late(int, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.evaluate(int) TO coldfleet_notify;

COMMIT;
