-- A chunk of the devices that meet the filters, as csv. Columns: body, next (key of the next chunk or NULL).
-- $1 format, which chose this statement; filters, each may be NULL: $2 state, $3 model, $4 firmware, $5 tag, $6 group,
-- $7 q, $8 silent_for, $9 battery_below, $10 bbox, $11 in_excursion, $12 incomplete; $13 key of the chunk or NULL
SELECT body, next FROM api.devices_export(coalesce($1::text, 'csv'),
	jsonb_strip_nulls(jsonb_build_object('state', $2::text, 'model', $3::text, 'firmware', $4::text, 'tag',
	$5::text, 'group', $6::text, 'q', $7::text, 'silent_for', $8::text, 'battery_below', $9::text, 'bbox',
	$10::text, 'in_excursion', $11::text, 'incomplete', $12::text)), $13::text)
