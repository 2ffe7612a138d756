-- A version of a profile. Unknown: SQLSTATE CF404.
-- $1 name, $2 version or NULL for the latest
SELECT * FROM api.profile_get($1::text, $2::int)
