-- SPDX-License-Identifier: Apache-2.0
-- A reader is admitted, and the feed says where to go on. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
BEGIN
	PERFORM fleet.register_device('verify.stream', 'verify', 'verify', 'A');
	PERFORM set_config('coldfleet.scope', '*', true);
	ASSERT (SELECT scope = '*' AND reset IS NULL FROM api.stream_open('verify.stream', NULL, 'device.state', NULL)), 'expected a place';
	ASSERT (SELECT count(*) = 1 FROM api.feed_events('9000000000000000000', 0, 10, '{*}', '{""}', '{""}')), 'expected the place alone';
	ASSERT (SELECT count(*) = 2 FROM api.feed_watched('{1:1:}', '{*}', '{verify.stream}', '{""}')), 'expected the state and the place';
	ASSERT (SELECT count(*) = 2 FROM api.feed_sweep('1:1:', (SELECT max(device_id) - 1 FROM fleet.device), 10, 10, '{*}', '{""}')),
		'expected the state and the place';
END
$$;

ROLLBACK;
