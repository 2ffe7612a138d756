-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION coldchain.stages_move(int[]);
DROP FUNCTION coldchain.stage_move(int);
DROP FUNCTION coldchain.crossed(int, text, timestamptz, boolean);
DROP FUNCTION coldchain.distance_m(double precision, double precision, double precision, double precision);
ALTER TABLE coldchain.shipment DROP COLUMN geofenced;
DROP TABLE coldchain.geofence;

COMMIT;
