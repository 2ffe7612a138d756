-- Claimed commands that surely reached nobody.
--   $1 command ids  $2 their generations
-- One row, one empty column.
SELECT command.unreachable($1::uuid[], $2::int[])
