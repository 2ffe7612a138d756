-- A page of what has become of notices for a webhook, as JSON text.
-- $1 number, $2 how many at most, $3 cursor or NULL, $4 state or NULL
SELECT api.deliveries($1::int, $2::int, $3::text, $4::text) AS body
