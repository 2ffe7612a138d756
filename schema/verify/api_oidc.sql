-- SPDX-License-Identifier: Apache-2.0
-- A subject opens a call, a refused token is noted. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	PERFORM api.begin_oidc('verify.oidc', 'viewer', NULL, 'viewer');
	ASSERT current_setting('coldfleet.actor') = 'verify.oidc' AND current_setting('coldfleet.scope') = '*', 'expected a call';
	PERFORM api.refused_login('verify', 'verify', NULL, 'verify');
	ASSERT EXISTS (SELECT FROM fleet.refused_login WHERE reason = 'verify'), 'expected a row';
END
$$;

ROLLBACK;
