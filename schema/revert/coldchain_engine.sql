-- SPDX-License-Identifier: Apache-2.0
-- Drops the engine; what it has found stays. Nothing is watched any more.
BEGIN;

DROP TRIGGER assignment_changed ON coldchain.assignment;
DROP TRIGGER assignment_came ON coldchain.assignment;
DROP FUNCTION coldchain.evaluate(int);
CREATE OR REPLACE FUNCTION fleet.in_excursion() RETURNS SETOF int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NULL::int LIMIT 0
$$;
COMMENT ON FUNCTION fleet.in_excursion() IS 'The devices with an open excursion, each once; none until coldchain_engine is deployed, which replaces this.';
UPDATE fleet.listing SET in_excursion = false WHERE in_excursion;
DROP FUNCTION coldchain.evaluate_claimed(int[], timestamptz[]);
DROP FUNCTION coldchain.settle(int[]);
DROP FUNCTION coldchain.expose(int[]);
DROP FUNCTION coldchain.evaluate_devices(int[], timestamptz[]);
DROP FUNCTION coldchain.found_late(int, timestamptz, timestamptz);
DROP FUNCTION coldchain.assignment_changed();
DROP FUNCTION coldchain.watch_assigned(int[]);
DROP FUNCTION coldchain.mark(int[], timestamptz[]);
DROP FUNCTION coldchain.length_s(tstzmultirange);
DROP FUNCTION coldchain.held_to(timestamptz, timestamptz, timestamptz, interval, interval);
DROP FUNCTION coldchain.samples(int, smallint, tstzrange, timestamptz);
DROP FUNCTION coldchain.algorithm();
UPDATE telemetry.device_state SET watch_low = NULL, watch_high = NULL, watch_from = NULL, watch_to = NULL, watch_all = NULL
WHERE num_nonnulls(watch_low, watch_high, watch_from, watch_to, watch_all) > 0;

COMMIT;
