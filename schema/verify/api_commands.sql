-- SPDX-License-Identifier: Apache-2.0
-- A command is asked for, approved by somebody else, and cancelled, as coldfleet-api would. Rolled back.
BEGIN;

DO $$
DECLARE
	made api.answer;
	request jsonb;
BEGIN
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	PERFORM api.enter('verify.operator', NULL, 'operator', NULL, 'operator', NULL);
	SET LOCAL ROLE coldfleet_api;
	made := api.command_make('verify.api', '{"operation": "disable", "arguments": {"mode": "halt"}}');
	ASSERT made.status = 201, 'a command is not made';
	made := api.request_get(made.body::jsonb ->> 'request_id');
	request := made.body;
	RESET ROLE;
	PERFORM api.enter('verify.approver', NULL, 'approver', NULL, 'approver', NULL);
	SET LOCAL ROLE coldfleet_api;
	made := api.request_approve(request ->> 'id', jsonb_build_object('request_sha256', request ->> 'request_sha256'));
	ASSERT made.body::jsonb -> 'progress' = '{"approved": 1}', 'a request is not approved';
	PERFORM api.commands(1, NULL, 'verify.api', NULL, NULL, NULL, NULL), api.requests(1, NULL, NULL);
	made := api.request_cancel(request ->> 'id', '{}');
	ASSERT made.body::jsonb -> 'progress' = '{"cancelled": 1}', 'a request is not cancelled';
END
$$;

ROLLBACK;
