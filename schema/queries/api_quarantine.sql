-- A page of messages that could not be stored as readings, the latest first, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 reason or NULL, $4 serial or NULL
SELECT api.quarantine($1::int, $2::text, $3::text, $4::text) AS body
