-- Takes a geofence away. Unknown: SQLSTATE CF404.
-- $1 number, $2 reason or NULL
SELECT * FROM api.geofence_delete($1::int, $2::text)
