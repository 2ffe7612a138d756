-- A page of the excursions of a shipment, as JSON text. Unknown: SQLSTATE CF404.
-- $1 number, $2 how many at most, $3 cursor or NULL, $4 state
SELECT api.excursions($2::int, $3::text, $4::text, NULL, NULL, NULL, $1::int, NULL, NULL) AS body
