-- Puts a device into a static group.
-- $1 number, $2 serial, $3 reason or NULL
SELECT * FROM api.group_member_set($1::int, $2::text, true, $3::text)
