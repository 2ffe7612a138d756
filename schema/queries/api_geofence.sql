-- A geofence, its ETag. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.geofence_get($1::int)
