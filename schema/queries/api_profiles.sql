-- A page of profiles, as JSON text.
-- $1 how many at most, $2 cursor or NULL
SELECT api.profiles($1::int, $2::text) AS body
