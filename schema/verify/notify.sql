-- SPDX-License-Identifier: Apache-2.0
-- A notice becomes a delivery of a webhook, is taken, and is done with. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	tracker int;
	taken bigint;
BEGIN
	tracker := fleet.register_device('verify.notify', 'verify', 'verify', 'A');
	PERFORM coldchain.webhook_make('verify', 'https://verify.example/', '{tamper}', NULL);
	PERFORM coldchain.alarm_raise('tamper', tracker, NULL, NULL, 'verify', now(), false, '{}');
	PERFORM coldchain.notices_deal(2147483647);
	SELECT t.delivery_id INTO taken FROM coldchain.deliveries_take(2147483647, 2147483647, 60, 'verify') AS t WHERE t.url = 'https://verify.example/';
	PERFORM coldchain.deliveries_done(ARRAY[taken], ARRAY[204], ARRAY[NULL], ARRAY[NULL::float8], ARRAY[false]);
	ASSERT (SELECT state = 'delivered' FROM coldchain.delivery WHERE delivery_id = taken), 'expected a delivery';
	ASSERT NOT has_column_privilege('coldfleet_api_definer', 'coldchain.webhook', 'secret', 'SELECT')
		AND NOT has_column_privilege('coldfleet_api_definer', 'coldchain.webhook', 'credentials', 'SELECT'), 'REST could read secrets';
END
$$;

ROLLBACK;
