-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

SELECT audit.unwatch(target) FROM unnest(ARRAY['fleet.model', 'fleet.device', 'fleet.module', 'fleet.sim', 'fleet.certificate',
	'fleet.module_type', 'fleet.device_group', 'fleet.group_member', 'fleet.token', 'fleet.config', 'fleet.operation',
	'fleet.event_type', 'fleet.event_log', 'telemetry.setting', 'telemetry.replay']::regclass[]) AS target;
DROP TRIGGER audit_refused ON fleet.refused_login;
DROP FUNCTION audit.login_refused();
DROP FUNCTION audit.count_refusals(timestamptz);
DROP TABLE audit.refusal;
DROP FUNCTION audit.store_checkpoint(bigint, bytea, timestamptz, bytea, bytea);
DROP FUNCTION audit.head();
DROP FUNCTION audit.unwatch(regclass);
DROP FUNCTION audit.watch(regclass, text, text[], text[]);
DROP FUNCTION audit.watched();
DROP FUNCTION audit.record_all(jsonb);
DROP FUNCTION audit.record(text, text, text, int, jsonb, jsonb);
DROP FUNCTION audit.keep(text[], text[], text[], int[], int[], jsonb[], jsonb[], text[]);
DROP TABLE audit.pending;
DROP FUNCTION audit.chain();
DROP AGGREGATE audit.links(bytea, bytea);
DROP FUNCTION audit.link(bytea, bytea, bytea);
DROP TABLE audit.checkpoint, audit.head, audit.entry;
DROP SCHEMA audit;

COMMIT;
