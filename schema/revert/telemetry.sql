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
DROP TABLE telemetry.quarantine, telemetry.gap, telemetry.epoch, telemetry.device_state, telemetry.reading,
	telemetry.setting;
DROP SCHEMA telemetry;

COMMIT;
