-- SPDX-License-Identifier: Apache-2.0
-- Distances are those of the Earth, and shipments can be geofenced. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	ASSERT coldchain.distance_m(0, 0, 0, 1) BETWEEN 111190 AND 111200, 'expected a degree of the equator';
	ASSERT NOT EXISTS (SELECT FROM coldchain.shipment WHERE geofenced IS NULL), 'expected it of each shipment';
END
$$;

ROLLBACK;
