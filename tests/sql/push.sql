-- SPDX-License-Identifier: Apache-2.0
-- Transfers pushed to others: which answers end one, and how long it is tried.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(31);

SELECT fleet.register_device('push-1', 'push', 'one', '');
SELECT webhook_id AS hook FROM coldchain.webhook_make('district', 'https://district.example/', NULL, NULL, 'cce', 'Bearer key') \gset

CREATE FUNCTION pg_temp.after(failed int, status int, wait double precision DEFAULT NULL, late boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO coldchain.delivery (webhook_id, transfer_id, device_id, from_ts, to_ts, attempts, give_up_at)
	SELECT w.webhook_id, gen_random_uuid(), d.device_id, '2026-11-01T10:00Z', '2026-11-01T11:00Z', failed,
		now() + CASE WHEN late THEN interval '-1 second' ELSE interval '1 day' END
	FROM coldchain.webhook AS w, fleet.device AS d WHERE d.serial = 'push-1' AND w.name = 'district' RETURNING delivery_id INTO id;
	PERFORM coldchain.deliveries_done(ARRAY[id], ARRAY[status], ARRAY['no'], ARRAY[wait], ARRAY[false]);
	RETURN (SELECT state FROM coldchain.delivery WHERE delivery_id = id);
END
$$;

SELECT is(ARRAY(SELECT s FROM generate_series(100, 599) AS s WHERE NOT coldchain.answer_ends('cce', s) AND s >= 400),
	ARRAY[404, 408, 409, 429, 500, 502, 503, 504] || ARRAY(SELECT generate_series(506, 599)), 'test_a_transfer_is_sent_again_after_404_408_409_429_and_5xx_but_501_505');
SELECT is(ARRAY(SELECT s FROM generate_series(100, 599) AS s WHERE coldchain.answer_ends('cloudevents', s)), ARRAY[410], 'test_an_event_is_given_up_at_410_only');
SELECT ok(NOT coldchain.answer_ends('cce', NULL), 'test_no_answer_ends_nothing');
SELECT is(pg_temp.after(1, 204), 'delivered', 'test_204_is_delivered');
SELECT is(pg_temp.after(1, 422), 'dead', 'test_422_is_dead_at_once');
SELECT is(pg_temp.after(1, 307), 'waiting', 'test_a_redirect_is_tried_again_where_it_was_sent');
SELECT is(pg_temp.after(1, NULL), 'waiting', 'test_what_nobody_answers_is_tried_again');
SELECT is(pg_temp.after(6, 503, NULL, true), 'waiting', 'test_a_sixth_failure_is_tried_again_even_after_a_day');
SELECT is(pg_temp.after(7, 503, NULL, true), 'dead', 'test_after_six_retries_and_a_day_it_is_dead');
SELECT is(pg_temp.after(7, 503, 7200), 'waiting', 'test_within_a_day_retry_after_is_waited_for');
SELECT ok((SELECT retry_at >= now() + interval '7200 s' FROM coldchain.webhook WHERE webhook_id = :hook), 'test_by_all_that_waits_for_that_receiver');

-- Six retries are within a day: 1 s, 2 s, 4 s ... and no more than 5/4 of an hour between two.
SELECT cmp_ok((SELECT sum(least(power(2, n), 3600) * 1.25) FROM generate_series(0, 5) AS n), '<', 86400::double precision, 'test_six_retries_are_within_a_day');

SELECT throws_ok($$ SELECT coldchain.webhook_make('x', 'https://district.example/', NULL, NULL, 'cce', E'Bearer key\r\nX-Evil: 1') $$, '23514', NULL,
	'test_credentials_are_one_line');
SELECT throws_ok($$ SELECT coldchain.webhook_make('x', 'https://district.example/', ARRAY['door'], NULL, 'cce') $$, '23514', NULL,
	'test_transfers_are_of_no_kind_of_alarm');
SELECT throws_ok($$ SELECT coldchain.webhook_make('x', 'https://district.example/', NULL, NULL, 'csv') $$, '23514', NULL, 'test_other_formats_are_refused');
SELECT ok(coldchain.stored_since(pg_current_xact_id()::xid, pg_current_xact_id()) AND coldchain.stored_since(pg_current_xact_id()::xid, '3'),
	'test_what_this_transaction_writes_is_news_since_it');
SELECT ok(NOT coldchain.stored_since('2', pg_current_xact_id()) AND NOT coldchain.stored_since((pg_current_xact_id()::text::bigint - 1)::text::xid, pg_current_xact_id()),
	'test_what_one_before_wrote_is_not');

-- Where webhooks may be

DELETE FROM coldchain.webhook_guard;
SELECT is(coldchain.webhook_barred('https://10.0.0.1/'), NULL, 'test_before_it_is_said_where_nothing_is_barred');
SELECT coldchain.webhook_guard_set('10.0.0.0/8,127.0.0.0/8,::/3,4000::/2,8000::/1', '10.1.0.0/16, fd00::/8');
SELECT is(coldchain.webhook_barred(url) IS NOT NULL, barred, 'test_' || url || CASE WHEN barred THEN '_is_barred' ELSE '_is_not' END) FROM (VALUES
	('https://10.0.0.1/', true), ('https://10.1.2.3:8443/x', false), ('https://[::1]/', true), ('https://[fd00::7]/', false),
	('https://[::ffff:127.0.0.1]/', true), ('https://[::ffff:10.1.0.1]/', false), ('https://2130706433/', true), ('https://0x7f.1/', true),
	('https://127.1/', true), ('https://127.0.0.1./', true), ('https://256.1.1.1/', true), ('https://10.0.0.1.example/', false),
	('https://93.184.216.34/', false)) AS u (url, barred);

SELECT * FROM finish();
ROLLBACK;
