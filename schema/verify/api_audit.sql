-- SPDX-License-Identifier: Apache-2.0
-- A change is found by its device and is in the export. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
SET CONSTRAINTS audit.chain IMMEDIATE;
DO $$
DECLARE
	before CONSTANT bigint := (SELECT number FROM audit.head());
BEGIN
	PERFORM fleet.register_device('verify.audit', 'verify', 'verify.audit', 'A');
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.audit', 'auditor'), 'UTF8')), 'auditor');
	ASSERT api.audit('{"device": "verify.audit", "since": "2000-01-01T00:00:00Z"}', 1, NULL)::json #>> '{items,0,action}' = 'created',
		'a change is not found';
	ASSERT (SELECT body LIKE '%"entry":{"number":%verify.audit%' AND next IS NULL FROM api.audit_export(before, NULL)), 'it is not exported';
	ASSERT api.audit_checkpoints(1, NULL) LIKE '{"items":[%', 'checkpoints are not listed';
END
$$;

ROLLBACK;
