-- Edits a geofence. Not as If-Match says: SQLSTATE CF412.
-- $1 number, $2 body, $3 If-Match
SELECT * FROM api.geofence_patch($1::int, $2::jsonb, $3::text)
