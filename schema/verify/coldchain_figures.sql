-- SPDX-License-Identifier: Apache-2.0
-- A mean kinetic temperature whose value is known, and figures of nothing are none.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	ASSERT abs(coldchain.mkt_c('{20,25,30}') - 25.858208) < 1e-6, 'a mean kinetic temperature is wrong';
	ASSERT NOT EXISTS (SELECT FROM coldchain.figures(ARRAY[-1])), 'there are figures of no assignment';
	ASSERT NOT EXISTS (SELECT FROM coldchain.band_figures(ARRAY[-1])), 'there are figures of no assignment';
	PERFORM FROM coldchain.lot_figures(-1), coldchain.total WHERE total.assignment_id = -1;
END
$$;

ROLLBACK;
