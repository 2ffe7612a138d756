-- What a device measured as a transfer of cce-interop, JSON text. Unknown serial, or nothing then: SQLSTATE CF404.
-- $1 serial, $2 from or NULL, $3 to or NULL, $4 how many records at most
SELECT api.cce_export($1::text, $2::timestamptz, $3::timestamptz, $4::int) AS body
