-- SPDX-License-Identifier: Apache-2.0
-- A message that is asked for is taken once and its outcome is kept. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	message bigint;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.replay', 'admin'), 'UTF8')), 'admin');
	PERFORM telemetry.quarantine_store(ARRAY[NULL::int], ARRAY['verify'], ARRAY['\x00'::bytea], NULL, ARRAY[now()],
					   ARRAY['syntax'], ARRAY['verify']);
	SELECT id INTO message FROM telemetry.quarantine WHERE topic = 'verify';
	ASSERT (api.quarantine_replay(message)).status = 202, 'a message cannot be asked for';
	ASSERT EXISTS (SELECT FROM telemetry.replay_take(1000) AS t WHERE t.id = message), 'it is not taken';
	ASSERT NOT EXISTS (SELECT FROM telemetry.replay_take(1000) AS t WHERE t.id = message), 'it is taken twice';
	PERFORM telemetry.replay_done(ARRAY[message], ARRAY['stored']);
	ASSERT (SELECT replayed_at IS NOT NULL FROM telemetry.quarantine WHERE id = message), 'its outcome is not kept';
END
$$;

ROLLBACK;
