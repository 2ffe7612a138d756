-- SPDX-License-Identifier: Apache-2.0
-- A reading finds its partition, late ones get theirs, and a message that cannot be read is kept. All is rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	ASSERT (SELECT count(*) >= 2 FROM telemetry.partitions() WHERE upper > now()), 'no partitions are made ahead';
	PERFORM telemetry.ensure_partition(now() - interval '399 days');
	INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
	VALUES (now(), now(), -1, 0, 0, 0, 4.5), (now() - interval '399 days', now(), -1, 0, 0, 0, 4.5);
	PERFORM telemetry.quarantine_store(ARRAY[NULL::int], ARRAY['verify'], ARRAY['\x00'::bytea], NULL, ARRAY[now()],
					   ARRAY['syntax'], ARRAY['verify']);
	ASSERT EXISTS (SELECT FROM telemetry.quarantine WHERE topic = 'verify'), 'a message is not kept';
END
$$;

ROLLBACK;
