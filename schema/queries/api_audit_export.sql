-- A chunk of the audit trail from its beginning on, a JSON object a line. Columns: body, next (key of the next chunk or NULL).
-- $1 number of the entry after which to begin, $2 key of the chunk or NULL
SELECT body, next FROM api.audit_export($1::bigint, $2::text)
