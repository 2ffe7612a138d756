-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions; the audit trail stays.
BEGIN;

DROP FUNCTION api.audit_checkpoints(int, text);
DROP FUNCTION api.audit_export(bigint, text);
DROP FUNCTION api.audit_whole();
DROP FUNCTION api.audit(jsonb, int, text);
DROP FUNCTION api.json_audit(audit.entry);

COMMIT;
