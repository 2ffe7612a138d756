-- A page of shipments, as JSON text.
-- $1 how many at most, $2 cursor, $3 state, $4 decision, $5 serial, $6 lot, $7 reference, each or NULL
SELECT api.shipments($1::int, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text) AS body
