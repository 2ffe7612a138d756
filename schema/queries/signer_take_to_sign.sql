-- Takes the next commands for signing, at most one a device.
--   $1 how many at most
-- Rows: command_id, generation, serial, epoch, counter, class, operation, arguments (JSON), issued_at, not_before, expires_at (Unix
-- seconds), requested_by, canonical, request_sha256, approver, approved_sha256, approved_at (Unix seconds); the last three NULL where no
-- approval is needed.
SELECT command_id, generation, serial, epoch, counter, class, operation, arguments::text AS arguments,
	extract(epoch FROM issued_at)::bigint AS issued_at, extract(epoch FROM not_before)::bigint AS not_before,
	extract(epoch FROM expires_at)::bigint AS expires_at, requested_by, canonical, request_sha256, approver, approved_sha256,
	floor(extract(epoch FROM approved_at))::bigint AS approved_at
FROM command.take_to_sign($1::int)
