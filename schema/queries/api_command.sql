-- A command, its history, and what its device replied.
-- $1 id
SELECT * FROM api.command_get($1::text)
