-- Notes an access token of an identity provider that did not hold.
-- $1 why, one word; $2 in words; $3 address of the client or NULL; $4 id of the request.
SELECT api.refused_login($1::text, $2::text, $3::inet, $4::text)
