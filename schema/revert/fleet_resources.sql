-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP TABLE fleet.summary, fleet.operation_row, fleet.operation;
DROP TRIGGER keep_first ON fleet.device;
DROP TRIGGER keep_first ON fleet.module;
DROP TRIGGER keep_first ON fleet.sim;
DROP TRIGGER keep_first ON fleet.group_member;
DROP TRIGGER keep_first ON fleet.device_group;
DROP TRIGGER keep_history ON fleet.device;
DROP TRIGGER keep_history ON fleet.module;
DROP TRIGGER keep_history ON fleet.sim;
DROP TRIGGER keep_history ON fleet.model;
DROP TRIGGER device_tagged ON fleet.device;
DROP TRIGGER device_retagged ON fleet.device;
DROP TRIGGER keep_history ON fleet.group_member;
DROP TRIGGER keep_history ON fleet.device_group;
DROP TABLE fleet.history, fleet.config_report, fleet.config, fleet.module_type, fleet.device_tag;
ALTER TABLE fleet.device_group DROP COLUMN revision, DROP COLUMN created_at, DROP COLUMN filter, DROP COLUMN description,
	ALTER COLUMN name TYPE text COLLATE "default";
COMMENT ON TABLE fleet.device_group IS 'Groups of devices, one row a group.';
DROP FUNCTION fleet.unchangeable();
DROP FUNCTION fleet.keep_history();
DROP FUNCTION fleet.keep_first();
DROP FUNCTION fleet.setting(text);
DROP FUNCTION fleet.device_retagged();
DROP FUNCTION fleet.device_tagged();
ALTER TABLE fleet.device DROP COLUMN tags, DROP COLUMN firmware;
DROP FUNCTION fleet.tags_valid(text[]);
ALTER TABLE fleet.sim ALTER COLUMN iccid TYPE text COLLATE "default";
ALTER TABLE fleet.module ALTER COLUMN imei TYPE text COLLATE "default";
ALTER TABLE fleet.device ALTER COLUMN serial TYPE text COLLATE "default";

COMMIT;
