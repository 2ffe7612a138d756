-- A page of excursions, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 state, $4 kind, $5 serial, $6 lot, $7 shipment, $8 since, $9 until, each of the last six or NULL
SELECT api.excursions($1::int, $2::text, $3::text, $4::text, $5::text, $6::text, $7::int, $8::timestamptz, $9::timestamptz) AS body
