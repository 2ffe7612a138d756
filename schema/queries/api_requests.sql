-- A page of requests, the latest first.
-- $1 how many at most, $2 cursor or NULL, $3 state or NULL
SELECT api.requests($1::int, $2::text, $3::text) AS body
