-- A page of devices with their latest state, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 sort; filters, each may be NULL: $4 state, $5 model, $6 firmware, $7 tag,
-- $8 group, $9 q, $10 silent_for, $11 battery_below, $12 bbox, $13 in_excursion, $14 incomplete
SELECT api.devices($1::int, $2::text, $3::text, jsonb_strip_nulls(jsonb_build_object('state', $4::text,
	'model', $5::text, 'firmware', $6::text, 'tag', $7::text, 'group', $8::text, 'q', $9::text, 'silent_for',
	$10::text, 'battery_below', $11::text, 'bbox', $12::text,
	'in_excursion', $13::text, 'incomplete', $14::text))) AS body
