-- SPDX-License-Identifier: Apache-2.0
-- What telemetry.advance does when the numbers of a device are not simply the next ones: it asks again for what stays
-- missing, with growing pauses, and writes down when a device begins a new epoch or counts anew without one.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

-- Without SET, so that the planner puts its body in place of the call.
CREATE FUNCTION telemetry.ask_again_at(asked int, asked_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN asked = 0 THEN '-infinity' ELSE asked_at + least(interval '10 seconds' * (1 << least(asked - 1, 10)), interval '1 hour') END
$$;
COMMENT ON FUNCTION telemetry.ask_again_at(int, timestamptz) IS
	'When the next round of asking for a gap is due, of telemetry.gap.asked and asked_at: 10 seconds after the first, twice as long after '
	'each further one, at most an hour.';

-- The caller holds the rows of telemetry.device_state of these devices.
CREATE FUNCTION telemetry.ask_again(due int[], opened int[], of_device int[], of_epoch smallint[], a_device int[], a_epoch smallint[])
RETURNS TABLE (device_id int, epoch smallint, through int, missing int[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	due_device int[];
	due_epoch smallint[];
BEGIN
	SELECT array_agg(g.device_id), array_agg(g.epoch) INTO due_device, due_epoch
	FROM (SELECT DISTINCT g.device_id, g.epoch FROM telemetry.gap AS g JOIN telemetry.device_state AS s ON s.device_id = g.device_id
	      WHERE g.device_id = ANY (due) AND g.closed_at IS NULL AND telemetry.ask_again_at(g.asked, g.asked_at) <= s.received_at) AS g;
	RETURN QUERY
		WITH told AS (
			SELECT r.* FROM telemetry.receipts(of_device || due_device, of_epoch || due_epoch, a_device, a_epoch) AS r
		), noted AS (
			UPDATE telemetry.gap AS g SET asked = g.asked + 1, asked_at = s.received_at
			FROM told AS t JOIN telemetry.device_state AS s ON s.device_id = t.device_id
			WHERE g.device_id = t.device_id AND g.epoch = t.epoch AND g.closed_at IS NULL AND lower(g.missing) <= t.through
				AND telemetry.ask_again_at(g.asked, g.asked_at) <= s.received_at
		)
		SELECT * FROM told;
	-- A receipt names 32 ranges: what is behind them has to wait for those, and must not make every message ask.
	-- A round that is arranged stays so: where holes show all the time, no round would ever come.
	UPDATE telemetry.device_state AS s SET ask_at = least(CASE WHEN s.device_id = ANY (due) THEN NULL ELSE s.ask_at END, (
		SELECT greatest(min(telemetry.ask_again_at(g.asked, g.asked_at)), s.received_at + interval '10 seconds')
		FROM telemetry.gap AS g WHERE g.device_id = s.device_id AND g.closed_at IS NULL HAVING count(*) > 0))
	WHERE s.device_id = ANY (due || opened);
END
$$;
COMMENT ON FUNCTION telemetry.ask_again(int[], int[], int[], smallint[], int[], smallint[]) IS
	'Receipts, as of telemetry.receipts(), and besides for each epoch of the devices in due with a gap that is due to be asked for. Counts '
	'the rounds in telemetry.gap and says in telemetry.device_state when the next one is due, of those and of devices with a new gap.';

-- fleet.history is made later; what is not run is not looked for.
CREATE FUNCTION telemetry.note_epochs(devices int[], epochs smallint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n record;
BEGIN
	FOR n IN
		SELECT s.device_id, d.serial, s.epoch AS old, max(u.epoch) AS new, s.seq_high
		FROM unnest(devices, epochs) AS u (device_id, epoch) JOIN telemetry.device_state AS s USING (device_id)
		JOIN fleet.device AS d USING (device_id)
		WHERE s.seq_high >= 0 GROUP BY s.device_id, d.device_id HAVING max(u.epoch) > s.epoch
	LOOP
		INSERT INTO fleet.history (device_id, object, key, field, old, new, actor, reason)
		VALUES (n.device_id, 'numbering', n.serial, 'epoch', to_jsonb(n.old), to_jsonb(n.new), '@device', format(
			'numbers its samples in a new epoch: it could not go on after number %s, and what was not sent until then is lost', n.seq_high));
	END LOOP;
END
$$;
COMMENT ON FUNCTION telemetry.note_epochs(int[], smallint[]) IS
	'Writes down in fleet.history which of these devices are about to move on from an epoch with numbers to a higher one.';

CREATE FUNCTION telemetry.note_renumbered(devices int[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO fleet.history (device_id, object, key, field, new, actor, reason)
	SELECT s.device_id, 'numbering', d.serial, 'seq', jsonb_build_object('epoch', s.epoch, 'seq_high', s.seq_high), '@device',
		'gives numbers that are known to new samples: it counts anew and has not raised its epoch, so receipts cannot tell it what is stored'
	FROM telemetry.device_state AS s JOIN fleet.device AS d USING (device_id)
	WHERE s.device_id = ANY (devices) ORDER BY s.device_id;
END
$$;
COMMENT ON FUNCTION telemetry.note_renumbered(int[]) IS 'Writes down in fleet.history that these devices count anew within a known epoch.';

REVOKE ALL ON FUNCTION telemetry.ask_again_at(int, timestamptz), telemetry.ask_again(int[], int[], int[], smallint[], int[], smallint[]),
	telemetry.note_epochs(int[], smallint[]), telemetry.note_renumbered(int[]) FROM PUBLIC;

COMMIT;
