-- Makes a geofence. There is one of that place: SQLSTATE CF409.
-- $1 body
SELECT r.* FROM api.geofence_create($1::jsonb) AS f, api.remember(f) AS r
