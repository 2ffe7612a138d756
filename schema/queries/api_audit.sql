-- A page of the audit trail, the latest first, as JSON text.
-- $1 how many at most, $2 cursor or NULL; filters, each may be NULL: $3 actor, $4 action, $5 kind, $6 id, $7 device, $8 since, $9 until
SELECT api.audit(jsonb_strip_nulls(jsonb_build_object('actor', $3::text, 'action', $4::text, 'kind', $5::text, 'id', $6::text,
	'device', $7::text, 'since', $8::timestamptz, 'until', $9::timestamptz)), $1::int, $2::text) AS body
