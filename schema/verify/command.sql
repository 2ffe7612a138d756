-- SPDX-License-Identifier: Apache-2.0
-- Its tables are there, and history is only added to. Rolled back.
BEGIN;

SELECT request_id, operation, class, arguments, not_before, expires_at, target, device_count, requested_at, requested_by, token_id, reason,
	shipment_override, rate, canonical, request_sha256, state, open, releasing, tokens, filled_at, revision FROM command.request WHERE false;
SELECT request_id, device_id FROM command.target WHERE false;
SELECT approval_id, request_id, requester, approver, decision, request_sha256, at, reason FROM command.approval WHERE false;
SELECT command_id, request_id, requested_at, expires_at, retry_at, since, taken_at, sent_at, ended_at, counter, switched, device_id, generation,
	sends, class, urgency, late, state, place, operation, detail FROM command.command WHERE false;
SELECT command_id, counter, signed_at, kid, message FROM command.message WHERE false;
SELECT history_id, command_id, device_id, at, from_state, to_state, generation, who, detail FROM command.history WHERE false;
SELECT reply_id, received_at, serial, device_id, command_id, counter, generation, boot_count, device_time, status, verdict, reason, result, raw
	FROM command.reply WHERE false;
SELECT serial, hour, many FROM command.idle_reply WHERE false;
DO $$
BEGIN
	ASSERT (SELECT count(*) FROM command.setting) = 1, 'there is not one row of settings';
	ASSERT (SELECT count(*) FROM command.operation) >= 11, 'operations are missing';
	ASSERT NOT EXISTS (SELECT FROM command.transition_rule WHERE from_state = 'succeeded'), 'a success is not the end';
	BEGIN
		DELETE FROM command.history;
		RAISE EXCEPTION 'history was deleted from';
	EXCEPTION WHEN integrity_constraint_violation THEN
		NULL;
	END;
END
$$;

ROLLBACK;
