-- Opens a call for somebody whom an identity provider has proved; instead of api_begin.
-- $1 subject, $2 role, $3 names of groups as a JSON array or NULL for all devices, $4 the least role that may call the
-- route, $5 id of the request. Refusal: SQLSTATE CF403.
SELECT api.begin_oidc($1::text, $2::text, $3::json, $4::text, $5::text)
