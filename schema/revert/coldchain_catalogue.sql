-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions. The catalogue goes with the tables that hold it: what is in use by then must not be taken away here.
BEGIN;

DROP FUNCTION coldchain.profile_version_at(text, timestamptz);
DROP FUNCTION coldchain.put_profile(text, jsonb);

COMMIT;
