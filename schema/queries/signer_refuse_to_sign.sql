-- Ends commands that are not what was approved.
--   $1 command ids  $2 their generations  $3 reasons
-- Rows: command_id, refused (false: given back, ended or taken again since)
SELECT command_id, refused FROM command.refuse_to_sign($1::uuid[], $2::int[], $3::text[])
