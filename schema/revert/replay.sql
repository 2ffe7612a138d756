-- SPDX-License-Identifier: Apache-2.0
-- Drops what was asked for; the quarantined messages stay.
BEGIN;

DROP FUNCTION api.quarantine_replay(bigint);
DROP FUNCTION telemetry.replay_done(bigint[], text[]);
DROP FUNCTION telemetry.replay_take(int);
DROP TABLE telemetry.replay;

COMMIT;
