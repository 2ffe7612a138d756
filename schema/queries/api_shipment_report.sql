-- The report of a shipment, as JSON text. Unknown: SQLSTATE CF404.
-- $1 number, $2 format
SELECT api.shipment_report($1::int)::text AS body WHERE $2::text IS DISTINCT FROM 'html'
