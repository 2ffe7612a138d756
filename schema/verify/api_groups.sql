-- SPDX-License-Identifier: Apache-2.0
-- A group is made, joined and deleted; a configuration is wanted. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	made api.answer;
	id int;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'admin'), 'UTF8')), 'admin');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	made := api.group_create('{"name": "verify.api"}');
	id := (made.body::json ->> 'id')::int;
	PERFORM api.group_member_set(id, 'verify.api', true, NULL);
	ASSERT (api.groups(1000, NULL)::jsonb @? '$.items[*] ? (@.name == "verify.api" && @.members == 1)'), 'a group has no member';
	made := api.group_patch(id, '{"description": "x"}', format('"%s"', made.etag));
	ASSERT (api.group_delete(id, NULL)).status = 204, 'a group is not deleted';
	made := api.config_put('verify.api', '{"config": {"interval_s": 300}}', '"0"');
	ASSERT made.etag = '1', 'a configuration has no version';
	PERFORM api.config_history('verify.api', 1, NULL), api.device_history('verify.api', 1, NULL);
	PERFORM api.tags_put('verify.api', '{"tags": ["b", "a"]}', '*');
END
$$;

ROLLBACK;
