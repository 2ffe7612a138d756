-- A message that could not be stored as readings, with its payload, as JSON text. Unknown: SQLSTATE CF404.
-- $1 id
SELECT api.quarantined($1::bigint) AS body
