-- SPDX-License-Identifier: Apache-2.0
-- The whole way of a device once through, and rolled back: registered, certified, pulled by a cache; and a token.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	device int;
	token text;
BEGIN
	device := fleet.register_device('verify.fleet', 'verify', 'verify', 'A', '490154203237518', '8949000000000000001');
	PERFORM fleet.add_certificate('verify.fleet', sha256('certificate'), sha256('key'), now(), now() + interval '1 year');
	ASSERT EXISTS (SELECT FROM fleet.devices_changed(pg_current_xact_id(), device - 1, 10) AS d
		       WHERE d.device_id = device AND d.serial = 'verify.fleet'),
		'a new device is not among the changed ones';
	token := fleet.create_token('verify', 'viewer');
	ASSERT token ~ '^cf_[A-Za-z0-9_-]{43}$', 'a token is not 256 bits in base64url';
	ASSERT EXISTS (SELECT FROM fleet.token AS t WHERE t.sha256 = sha256(convert_to(token, 'UTF8'))),
		'the hash of a token is not found';
END
$$;

ROLLBACK;
