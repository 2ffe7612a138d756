-- A page of geofences, as JSON text.
-- $1 how many at most, $2 cursor or NULL
SELECT api.geofences($1::int, $2::text) AS body
