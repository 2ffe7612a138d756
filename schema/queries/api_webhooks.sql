-- A page of webhooks, as JSON text.
-- $1 how many at most, $2 cursor or NULL
SELECT api.webhooks($1::int, $2::text) AS body
