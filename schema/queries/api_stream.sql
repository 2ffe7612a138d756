-- Admits a reader of the live stream, and proves anew that one may go on.
-- $1 serial or NULL, $2 name of a group or NULL, $3 types with commas between or NULL, $4 id of the last event or NULL.
-- Row: scope, xid and id (its place), since (a transaction), reset (JSON of an event or NULL). Refusals: CF400, CF404, CF422.
SELECT scope, xid, id, since, reset FROM api.stream_open($1::text, $2::text, $3::text, $4::text)
