-- Says where webhooks may be, for REST to refuse others when they are made.
--   $1 networks that are not of the public Internet, $2 those that are allowed besides it, with commas or blanks between
SELECT coldchain.webhook_guard_set($1::text, $2::text)
