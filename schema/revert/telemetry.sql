-- SPDX-License-Identifier: Apache-2.0
-- Drops the schema by name of its parts, with every reading in it.
BEGIN;

DROP TRIGGER device_registered ON fleet.device;
DROP FUNCTION telemetry.maintain();
DROP FUNCTION telemetry.drop_partition(text);
DROP FUNCTION telemetry.quarantine_store(int[], text[], bytea[], text[], timestamptz[], text[], text[]);
DROP FUNCTION telemetry.device_registered();
DROP FUNCTION telemetry.ensure_partition(timestamptz);
DROP FUNCTION telemetry.partitions();
DROP VIEW telemetry.reading;
DROP FUNCTION telemetry.store_reading();
DROP FUNCTION telemetry.store_readings(
	int[], timestamptz[], timestamptz[], int[], smallint[], smallint[], real[], real[], real[], real[], real[], real[], double precision[],
	double precision[], real[], real[], boolean[], boolean[], boolean[], smallint[], text[], boolean);
DROP FUNCTION telemetry.measurements(
	int[], timestamptz[], timestamptz[], int[], smallint[], smallint[], real[], real[], real[], real[], real[], real[], double precision[],
	double precision[], real[], real[], boolean[], boolean[], boolean[], smallint[], text[]);
DROP FUNCTION telemetry.seldom(double precision, double precision, real, real, real, real, real, smallint, boolean, boolean, boolean, jsonb);
DROP FUNCTION telemetry.number(smallint, smallint, int);
DROP FUNCTION telemetry.complete_through(telemetry.device_state);
DROP FUNCTION telemetry.first_missing(int, smallint);
DROP TABLE telemetry.quarantine, telemetry.gap, telemetry.epoch, telemetry.device_state, telemetry.measurement,
	telemetry.setting;
DROP TYPE telemetry.seldom;
DROP SCHEMA telemetry;

COMMIT;
