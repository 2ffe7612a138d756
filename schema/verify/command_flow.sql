-- SPDX-License-Identifier: Apache-2.0
-- The daemons may call their functions, and they work on nothing. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_signer;
SELECT * FROM command.take_to_sign(0);
SELECT * FROM command.store_signed('{}', '{}', '{}', '\x0000000000000000');
SELECT * FROM command.refuse_to_sign('{}', '{}', '{}');
SET LOCAL ROLE coldfleet_bridge;
SELECT * FROM command.claim(0, '{}');
SELECT command.unreachable('{}', '{}'), command.record_replies('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
	command.bad_replies('{}', '{}', '{}', '{}'), command.sweep();

ROLLBACK;
