-- SPDX-License-Identifier: Apache-2.0
-- The catalogue is there, and a profile gets its next version. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	first CONSTANT int := coldchain.profile_version_at('who-refrigerator', '2026-09-01');
	next CONSTANT int := coldchain.put_profile('who-refrigerator', '{"source": "verify", "effective_from": "2026-09-01"}');
BEGIN
	ASSERT (SELECT count(*) = 2 FROM coldchain.band AS b WHERE b.profile_version_id = first), 'a profile has not its bands';
	ASSERT coldchain.profile_version_at('who-refrigerator', '2026-08-31 12:00Z') = first, 'the version before is not in force before';
	ASSERT coldchain.profile_version_at('who-refrigerator', '2026-09-01 00:00Z') = next, 'the next version is not in force';
END
$$;

ROLLBACK;
