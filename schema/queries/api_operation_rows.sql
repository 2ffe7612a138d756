-- A page of the rows of an operation, as JSON text. Unknown: SQLSTATE CF404.
-- $1 id, $2 result or NULL, $3 how many at most, $4 cursor or NULL
SELECT api.operation_rows($1::text, $2::text, $3::int, $4::text) AS body
