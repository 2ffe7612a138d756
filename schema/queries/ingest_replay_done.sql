-- Says what became of messages that were taken.
--   $1 ids as text of an int8[]  $2 outcomes as text of a text[]: stored, or the reason for which it stays
SELECT telemetry.replay_done($1::text::int8[], $2::text::text[])
