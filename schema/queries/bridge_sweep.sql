-- Does what time alone makes due: expiry, beginnings, rates.
-- Rows: one, next int8: milliseconds until there is something again; NULL: nothing is under way.
SELECT greatest(0, ceil(extract(epoch FROM command.sweep() - now()) * 1000))::bigint AS next
