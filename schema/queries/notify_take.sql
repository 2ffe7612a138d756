-- Takes deliveries that are due: they count as sent for $3 seconds, and only when this is committed are they sent.
--   $1 most of them  $2 most of one webhook  $3 seconds until they may be taken again  $4 source of the CloudEvents
-- Rows: delivery_id, url, secret bytea, credentials or NULL, format, id, body or NULL: there is nothing to send any more.
SELECT delivery_id, url, secret, credentials, format, id, body
FROM coldchain.deliveries_take($1::int, $2::int, $3::double precision, $4::text)
