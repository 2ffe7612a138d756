-- Revokes a token. Unknown: SQLSTATE CF404.
-- $1 number, $2 reason or NULL
SELECT * FROM api.token_revoke($1::int, $2::text)
