-- SPDX-License-Identifier: Apache-2.0
-- Drops the schema by name of its parts, so that an object it does not know stops the revert.
BEGIN;

DROP TABLE coldchain.due, coldchain.exposure, coldchain.excursion_revision, coldchain.excursion, coldchain.assignment_version,
	coldchain.assignment, coldchain.shipment_lot, coldchain.lot, coldchain.leg, coldchain.shipment, coldchain.lane, coldchain.band,
	coldchain.profile_version, coldchain.profile, coldchain.product;
DROP FUNCTION coldchain.shipment_judged();
DROP FUNCTION coldchain.assignment_alone();
DROP FUNCTION coldchain.assignment_step();
DROP FUNCTION coldchain.judged(tstzrange, int);
DROP FUNCTION coldchain.revised();
DROP FUNCTION coldchain.shipment_step();
DROP FUNCTION coldchain.band_outside_storage();
DROP FUNCTION coldchain.profile_frozen();
DROP FUNCTION coldchain.in_band(real, real, boolean, real, boolean);
DROP FUNCTION coldchain.gtin_valid(text);
DROP SCHEMA coldchain;

COMMIT;
