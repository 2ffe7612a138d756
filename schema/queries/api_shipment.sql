-- One shipment. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.shipment_get($1::int)
