-- A page of commands, the latest first.
-- $1 how many at most, $2 cursor or NULL; each may be NULL: $3 serial, $4 states, $5 operation, $6 request, $7 since
SELECT api.commands($1::int, $2::text, $3::text, $4::text, $5::text, $6::text, $7::timestamptz) AS body
