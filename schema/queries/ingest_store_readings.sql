-- Stores a batch of readings; a key that is stored already is left as it is.
-- One array a column, one element a row, rows sorted by the key (device_id, ts, probe, epoch, seq) so that sessions lock in
-- the same order. $7 to $21 may each be NULL as a whole: nobody in the batch has that channel.
--   $1 device_id  $2 ts  $3 received_at  $4 seq  $5 epoch
--   $6 probe, less 32768 in another sample of the same device and moment as the row before
--   $7 temperature_c  $8 humidity_pct  $9 light_lux  $10 shock_ms2  $11 battery_pct  $12 rsrp_dbm
--   $13 latitude  $14 longitude  $15 altitude_m  $16 accuracy_m
--   $17 door_open  $18 tampered  $19 mains_power  $20 flags (NULL: none set)  $21 extra (JSON text)
--   $22 fresh: none of the moments is expected to be there; that only saves time
-- Rows: one: stored int4, how many were new; taken bool, fresh was true and a moment was there.
SELECT stored, taken FROM telemetry.store_readings(
	$1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int4[], $5::int2[], $6::int2[],
	$7::float4[], $8::float4[], $9::float4[], $10::float4[], $11::float4[], $12::float4[],
	$13::float8[], $14::float8[], $15::float4[], $16::float4[],
	$17::bool[], $18::bool[], $19::bool[], $20::int2[], $21::text[], $22::bool)
