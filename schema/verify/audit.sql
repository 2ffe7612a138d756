-- SPDX-License-Identifier: Apache-2.0
-- A change and a recorded action are chained in turn, each to the entry before it. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
SET CONSTRAINTS audit.chain IMMEDIATE;
DO $$
DECLARE
	was record;
	e audit.entry;
BEGIN
	SELECT * INTO was FROM audit.head();
	PERFORM set_config('coldfleet.actor', 'verify', true), audit.record('tried', 'verify', '1', NULL, NULL, '{"a": 1}');
	SELECT * INTO STRICT e FROM audit.entry AS f WHERE f.number = was.number + 1;
	ASSERT e.previous_hash = was.hash AND e.hash = sha256('\x00'::bytea || was.hash || e.canonical), 'an entry is not chained';
	ASSERT convert_from(e.canonical, 'UTF8')::jsonb @> jsonb_build_object('number', e.number, 'actor', 'verify', 'new', '{"a": 1}'::jsonb),
		'an entry does not say what was recorded';
	PERFORM fleet.register_device('verify.audit', 'verify', 'verify.audit', 'A');
	ASSERT EXISTS (SELECT FROM audit.entry AS f WHERE f.kind = 'device' AND f.id = 'verify.audit' AND f.action = 'created'),
		'a change is not recorded';
	SELECT * INTO was FROM audit.head();
	ASSERT audit.store_checkpoint(was.number, was.hash, now(), '\x0102030405060708', '\x00'), 'a checkpoint is not kept';
	ASSERT NOT audit.store_checkpoint(was.number, e.hash, now(), '\x0102030405060708', '\x00'), 'a wrong checkpoint is kept';
END
$$;

ROLLBACK;
