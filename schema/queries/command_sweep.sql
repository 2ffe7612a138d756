-- What time alone changes.
-- One row: next, milliseconds until the next call is due, NULL: nothing is open.
SELECT greatest(0, ceil(extract(epoch FROM command.sweep() - now()) * 1000))::bigint AS next
