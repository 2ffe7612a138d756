-- Corrects an assignment. Not as If-Match says: SQLSTATE CF412.
-- $1 number of the shipment, $2 number, $3 body, $4 If-Match
SELECT * FROM api.assignment_change($1::int, $2::int, $3::jsonb, $4::text)
