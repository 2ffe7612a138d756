-- Proves a bearer token and its role; the first statement of every call.
-- $1 SHA-256 of the token, $2 the least role that may call the route. Refusals: SQLSTATE CF401, CF403.
SELECT api.begin($1::bytea, $2::text)
