-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions; latest state and gaps stay as they are.
BEGIN;

DROP FUNCTION telemetry.advance(
	int[], timestamptz[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[], timestamptz[], real[],
	timestamptz[], double precision[], double precision[], real[], real[], timestamptz[], boolean[], timestamptz[],
	boolean[], timestamptz[], boolean[], timestamptz[], real[], timestamptz[], int[], smallint[], int[], int[], boolean[],
	int[], smallint[], real[], real[], timestamptz[]);
DROP FUNCTION telemetry.position_wins(timestamptz, double precision, double precision, real, real, timestamptz,
				      double precision, double precision, real, real);
DROP FUNCTION telemetry.later(timestamptz, anyelement, timestamptz, anyelement);
DROP FUNCTION telemetry.receipts(int[], smallint[], int[], smallint[]);
DROP FUNCTION telemetry.advance_sequences(int[], int[], timestamptz[], int[], smallint[], int[], int[], boolean[]);
DROP FUNCTION telemetry.facts_of(int[], int[], timestamptz[], int[], smallint[], int[], int[], boolean[]);
DROP FUNCTION telemetry.align(int[], int[], smallint[], int[], int[], boolean[], int[], smallint[]);

COMMIT;
