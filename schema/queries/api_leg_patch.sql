-- Begins, ends or corrects a leg. Not as If-Match says: SQLSTATE CF412.
-- $1 shipment, $2 leg, $3 body, $4 If-Match
SELECT * FROM api.leg_change($1::int, $2::int, $3::jsonb, $4::text)
