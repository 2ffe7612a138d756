-- SPDX-License-Identifier: Apache-2.0
-- A status is stored, an older one is passed over, and the firmware is that of the device. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	device CONSTANT int := fleet.register_device('verify.status', 'verify', 'verify', 'A', '490154203237518');
BEGIN
	ASSERT telemetry.store_status(ARRAY[device, device], ARRAY[now(), now()], ARRAY[
		'{"boot":2,"uptime":1,"mcu":"running","firmware":{"running":"a","slots":{"a":"2.0"}},"module":{"imei":"356938035643809"}}',
		'{"boot":1,"uptime":9,"mcu":"disabled","firmware":{"running":"a","slots":{"a":"1.0"}}}']::jsonb[]) = 2, 'not all are news';
	ASSERT telemetry.store_status(ARRAY[device], ARRAY[now()], ARRAY['{"boot":1,"uptime":9.5}']::jsonb[]) = 0, 'an older one is news';
	ASSERT (SELECT mcu_state = 'running' FROM telemetry.device_status AS s WHERE s.device_id = device), 'the older one is shown';
	ASSERT (SELECT firmware = '2.0' FROM fleet.device AS d WHERE d.device_id = device), 'its firmware is not the device''s';
	ASSERT EXISTS (SELECT FROM telemetry.identity_mismatch AS m WHERE m.device_id = device AND field = 'imei'), 'no mismatch is seen';
END
$$;

ROLLBACK;
