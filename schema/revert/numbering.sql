-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions; what was asked and noted stays.
BEGIN;

DROP FUNCTION telemetry.note_renumbered(int[]);
DROP FUNCTION telemetry.note_epochs(int[], smallint[]);
DROP FUNCTION telemetry.ask_again(int[], int[], int[], smallint[], int[], smallint[]);
DROP FUNCTION telemetry.ask_again_at(int, timestamptz);

COMMIT;
