-- Keeps replies and applies them; each array has an element a reply, NULL where it says nothing.
--   $1 serial  $2 command id  $3 counter  $4 status  $5 reason  $6 result (JSON)  $7 device time  $8 boot count  $9 generation
--   $10 the reply byte for byte  $11 received at
-- One row, one empty column.
SELECT command.record_replies($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[], $8::bigint[],
	$9::bigint[], $10::bytea[], $11::timestamptz[])
