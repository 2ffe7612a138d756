-- Takes signed commands whose device can be reached: they count as sent when this is committed, so only then are they
-- published.
--   $1 most of them  $2 serials that were just heard
-- Rows: command_id, generation int4, serial, message bytea, expires_at.
SELECT command_id, generation, serial, message, expires_at FROM command.claim($1::int, $2::text[])
