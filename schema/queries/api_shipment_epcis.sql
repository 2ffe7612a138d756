-- A shipment as an EPCIS document, in one chunk. Columns: body, next (NULL). Unknown: SQLSTATE CF404.
-- $1 number, $2 key of the chunk or NULL
SELECT body, next FROM api.shipment_epcis($1::int) WHERE $2::text IS NULL
