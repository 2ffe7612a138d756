-- A new version of the desired configuration. Not as If-Match says: SQLSTATE CF412.
-- $1 serial, $2 body, $3 If-Match
SELECT * FROM api.config_put($1::text, $2::jsonb, $3::text)
