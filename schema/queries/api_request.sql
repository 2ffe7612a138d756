-- A request, the decisions on it, and its progress.
-- $1 id
SELECT * FROM api.request_get($1::text)
