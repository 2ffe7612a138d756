-- Takes notices that are to be published on MQTT, for $2 seconds.
--   $1 most of them  $2 seconds until they may be taken again  $3 source of the CloudEvents
-- Rows: notice_id, kind, serial, event.
SELECT notice_id, kind, serial, event FROM coldchain.notices_publish($1::int, $2::double precision, $3::text)
