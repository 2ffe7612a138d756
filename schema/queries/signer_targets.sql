-- The devices of a command's request, for the signer's own look at them.
--   $1 command id
-- One row: serials, in the order of their bytes, a line feed between two
SELECT coalesce(string_agg(d.serial, E'\n' ORDER BY d.serial COLLATE "C"), '') AS serials
FROM command.target AS t JOIN fleet.device AS d USING (device_id)
WHERE t.request_id = (SELECT c.request_id FROM command.command AS c WHERE c.command_id = $1::uuid)
