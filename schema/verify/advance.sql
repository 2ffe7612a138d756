-- SPDX-License-Identifier: Apache-2.0
-- A first number of 2 leaves a hole, which the receipt tells. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	ASSERT (SELECT (receipt_device, receipt_epoch, through, missing) = (-1, 0::smallint, 4, '{0,1}'::int[])
		FROM telemetry.advance(ARRAY[-1], ARRAY[now()], ARRAY[now()], ARRAY[4.5], ARRAY[now()], NULL, NULL, NULL, NULL,
				       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
				       ARRAY[-1], ARRAY[0::smallint], ARRAY[2], ARRAY[4], NULL, NULL, NULL)),
		'expected a receipt through 4 without 0 to 1';
END
$$;

ROLLBACK;
