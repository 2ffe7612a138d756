-- SPDX-License-Identifier: Apache-2.0
-- Drops the lists, which are copies.
BEGIN;

DROP TRIGGER device_listed ON fleet.device;
DROP TRIGGER device_relisted ON fleet.device;
DROP TRIGGER member_listed ON fleet.group_member;
DROP TRIGGER member_unlisted ON fleet.group_member;
DROP FUNCTION fleet.fill_listing();
DROP FUNCTION fleet.relist_excursions(int[], int[]);
DROP FUNCTION fleet.in_excursion();
DROP FUNCTION fleet.sweep(interval, int, int);
DROP FUNCTION fleet.plant_fences();
DROP FUNCTION fleet.fence_width();
DROP FUNCTION fleet.member_unlisted();
DROP FUNCTION fleet.member_listed();
DROP FUNCTION fleet.device_relisted();
DROP FUNCTION fleet.device_listed();
DROP TABLE fleet.sweep_state, fleet.fence, fleet.listing;
DROP FUNCTION fleet.place_step(double precision, int);
DROP FUNCTION fleet.battery_step(real);
DROP FUNCTION fleet.heard_step(timestamptz);

COMMIT;
