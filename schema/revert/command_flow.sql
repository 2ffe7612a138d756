-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION command.sweep();
DROP FUNCTION command.hear(int);
DROP FUNCTION command.heard();
DROP FUNCTION command.expire(uuid, int);
DROP FUNCTION command.release(uuid);
DROP FUNCTION command.bad_replies(text[], bytea[], text[], timestamptz[]);
DROP FUNCTION command.record_replies(text[], uuid[], bigint[], text[], text[], jsonb[], timestamptz[], bigint[], bigint[], bytea[], timestamptz[]);
DROP FUNCTION command.switch_devices(uuid[]);
DROP FUNCTION command.worth_keeping(text[], text[]);
DROP FUNCTION command.judge(text[], uuid[], bigint[], text[]);
DROP FUNCTION command.unreachable(uuid[], int[]);
DROP FUNCTION command.claim(int, text[]);
DROP FUNCTION command.remembered(int, timestamptz);
DROP FUNCTION command.refuse_to_sign(uuid[], int[], text[]);
DROP FUNCTION command.store_signed(uuid[], int[], bytea[], bytea);
DROP FUNCTION command.take_to_sign(int);
DROP FUNCTION command.named(uuid[]);
DROP FUNCTION command.let_go(int[]);
DROP FUNCTION command.advance(int[]);
DROP FUNCTION command.hold_free(int[]);
DROP FUNCTION command.hold(int[]);

COMMIT;
