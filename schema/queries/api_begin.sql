-- Proves a bearer token and its role, and opens the call in its scope; the first statement of every call.
-- $1 SHA-256 of the token, $2 the least role that may call the route, $3 id of the request. Refusals: SQLSTATE CF401, CF403.
SELECT api.begin($1::bytea, $2::text, $3::text)
