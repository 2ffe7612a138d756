-- Which rows of a batch are stored with other values than they came with (receipt times do not count). To be run when
-- ingest_store_readings stored fewer rows than it was given; the parameters are its first 21.
-- Rows: ordinal int4, place in the arrays from 1.
SELECT n.ordinal::int4
FROM unnest(
	$1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int4[], $5::int2[], $6::int2[],
	$7::float4[], $8::float4[], $9::float4[], $10::float4[], $11::float4[], $12::float4[],
	$13::float8[], $14::float8[], $15::float4[], $16::float4[],
	$17::bool[], $18::bool[], $19::bool[], $20::int2[], $21::text[]) WITH ORDINALITY AS n (device_id, ts, received_at, seq, epoch, probe,
	temperature_c, humidity_pct, light_lux, shock_ms2, battery_pct, rsrp_dbm,
	latitude, longitude, altitude_m, accuracy_m, door_open, tampered, mains_power, flags, extra, ordinal)
JOIN telemetry.reading AS r ON r.device_id = n.device_id AND r.ts = n.ts AND r.probe = n.probe & 32767 AND r.epoch = n.epoch
	AND r.seq = n.seq
WHERE (r.temperature_c, r.humidity_pct, r.light_lux, r.shock_ms2, r.battery_pct, r.rsrp_dbm, r.latitude, r.longitude,
	r.altitude_m, r.accuracy_m, r.door_open, r.tampered, r.mains_power, r.flags, r.extra)
	IS DISTINCT FROM (n.temperature_c, n.humidity_pct, n.light_lux, n.shock_ms2, n.battery_pct, n.rsrp_dbm, n.latitude,
	n.longitude, n.altitude_m, n.accuracy_m, n.door_open, n.tampered, n.mains_power, n.flags, n.extra::jsonb)
ORDER BY 1
