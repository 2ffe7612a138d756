-- Gives claimed commands back that surely reached nobody; those claimed again meanwhile stay as they are.
--   $1 command_ids  $2 generations of the claims, in the same order
SELECT command.unreachable($1::uuid[], $2::int[])
