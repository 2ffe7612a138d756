-- Records what devices say about commands, in this order, and lets each command become what its device says it is.
--   $1 serials  $2 command_ids  $3 counters  $4 statuses  $5 reasons  $6 results (JSON text)  $7 device_times
--   $8 boot_counts  $9 generations  $10 raw bytes  $11 received_at
SELECT command.record_replies($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[]::jsonb[],
	$7::timestamptz[], $8::bigint[], $9::bigint[], $10::bytea[], $11::timestamptz[])
