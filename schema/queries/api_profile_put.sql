-- Makes the next version of a profile. Not as If-Match says: SQLSTATE CF412.
-- $1 name, $2 body, $3 If-Match
SELECT * FROM api.profile_put($1::text, $2::jsonb, $3::text)
