-- SPDX-License-Identifier: Apache-2.0
-- REST can ask for alarms and webhooks, and not for secrets. Rolled back.
BEGIN;

DO $$
BEGIN
	PERFORM api.enter('verify', NULL, 'admin', NULL, 'admin', NULL);
	ASSERT api.alarms(1, NULL, NULL, NULL, NULL, NULL)::jsonb ? 'items', 'expected a page of alarms';
	ASSERT (api.webhook_create('{"description": "verify", "url": "https://verify.example/"}')).body::jsonb ? 'secret', 'expected a webhook with its secret';
	ASSERT NOT api.webhooks(1000, NULL)::jsonb #> '{items,0}' ? 'secret', 'a list shows secrets';
	ASSERT has_function_privilege('coldfleet_api', 'api.alarm_acknowledge(bigint, jsonb)', 'EXECUTE'), 'coldfleet_api cannot acknowledge';
END
$$;

ROLLBACK;
