-- One group. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.group_get($1::int)
