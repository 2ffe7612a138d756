-- SPDX-License-Identifier: Apache-2.0
-- Rounds of asking are 10 seconds, 20, 40 and at most an hour apart.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	ASSERT (SELECT array_agg(telemetry.ask_again_at(n, '2026-11-22') - '2026-11-22') FROM unnest(ARRAY[1, 3, 60]) AS n)
		= '{00:00:10,00:00:40,01:00:00}', 'expected pauses that double up to an hour';
END
$$;

ROLLBACK;
