-- Takes a device out of a static group.
-- $1 number, $2 serial, $3 reason or NULL
SELECT * FROM api.group_member_set($1::int, $2::text, false, $3::text)
