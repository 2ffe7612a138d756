-- A page of the versions of a profile, as JSON text. Unknown: SQLSTATE CF404.
-- $1 name, $2 how many at most, $3 cursor or NULL
SELECT api.profile_history($1::text, $2::int, $3::text) AS body
