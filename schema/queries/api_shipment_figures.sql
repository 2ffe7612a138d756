-- Figures of a shipment's assignments and lots, as JSON text. Unknown: SQLSTATE CF404.
-- $1 number, $2 serial, $3 lot, $4 from, $5 to, each of the last four or NULL
SELECT api.shipment_figures($1::int, $2::text, $3::text, $4::timestamptz, $5::timestamptz) AS body
