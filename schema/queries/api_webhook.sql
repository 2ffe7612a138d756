-- A webhook. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.webhook_get($1::int)
