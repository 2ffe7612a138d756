-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions, tables and the schema, by name.
BEGIN;

DELETE FROM fleet.event_type WHERE type = 'command';
DROP TABLE command.transition_rule, command.idle_reply, command.reply, command.history, command.message, command.command, command.device, command.approval,
	command.target, command.request, command.operation, command.setting;
DROP SEQUENCE command.counter;
DROP FUNCTION command.keep();
DROP FUNCTION command.four_eyes();
DROP FUNCTION command.one_hand(text, text);
DROP FUNCTION command.begun();
DROP FUNCTION command.transit();
DROP FUNCTION command.program();
DROP FUNCTION command.decided(uuid, text);
DROP FUNCTION command.argument_error(text, jsonb, jsonb);
DROP FUNCTION command.active_shipment(int);
DROP FUNCTION command.new_id();
DROP FUNCTION command.canonical(text, int, jsonb, timestamptz, timestamptz, text[], text);
DROP SCHEMA command;

COMMIT;
