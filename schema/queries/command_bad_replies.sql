-- Keeps replies that could not be decoded.
--   $1 serial  $2 the reply byte for byte  $3 why  $4 received at
-- One row, one empty column.
SELECT command.bad_replies($1::text[], $2::bytea[], $3::text[], $4::timestamptz[])
