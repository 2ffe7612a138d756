-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION coldchain.delivery_replay(bigint);
DROP FUNCTION coldchain.webhook_rotate(int);
DROP FUNCTION coldchain.webhook_make(text, text, text[], int[], text, text);
DROP FUNCTION coldchain.webhook_secret();
DROP FUNCTION coldchain.notices_forget(int, int);
DROP FUNCTION coldchain.notices_published(bigint[]);
DROP FUNCTION coldchain.notices_publish(int, double precision, text);
DROP FUNCTION coldchain.deliveries_done(bigint[], int[], text[], double precision[], boolean[]);
DROP FUNCTION coldchain.deliveries_take(int, int, double precision, text);
DROP FUNCTION coldchain.cloud_event(coldchain.notice, text);
DROP FUNCTION coldchain.answer_ends(text, int);
DROP FUNCTION coldchain.transfers_deal(int);
DROP FUNCTION coldchain.push_look();
DROP FUNCTION coldchain.stored_since(xid, xid8);
DROP TRIGGER push_keeps ON analytics.due;
DROP FUNCTION coldchain.push_keeps();
DROP FUNCTION coldchain.notices_deal(int);
DROP FUNCTION coldchain.webhook_barred(text);
DROP FUNCTION coldchain.webhook_guard_set(text, text);
DROP TABLE coldchain.webhook_guard;
DROP TABLE coldchain.push_due, coldchain.push_state;
DROP TABLE coldchain.delivery, coldchain.webhook;
REVOKE SELECT ON coldchain.notice FROM coldfleet_api_definer;

COMMIT;
