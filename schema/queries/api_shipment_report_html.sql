-- The report of a shipment as HTML, in one chunk. Columns: body, next (NULL).
-- $1 number, $2 format, $3 key of the chunk or NULL
SELECT body, next FROM api.shipment_report_html($1::int) WHERE coalesce($2::text, 'html') = 'html' AND $3::text IS NULL
