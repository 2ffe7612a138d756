-- An operation and how far it is, as JSON text. Unknown: SQLSTATE CF404.
-- $1 id
SELECT api.operation_get($1::text) AS body
