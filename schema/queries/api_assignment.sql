-- One assignment and its versions. Unknown: SQLSTATE CF404.
-- $1 number of the shipment, $2 number
SELECT * FROM api.assignment_get($1::int, $2::int)
