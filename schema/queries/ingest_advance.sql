-- After the readings of a batch are stored, in the same transaction: brings latest state up to date, accounts for the
-- sample numbers, returns receipts. Any array from $4 on may be NULL as a whole.
-- One element a device of the batch, each device once, sorted by device_id (the order of locking):
--   $1 device_id  $2 received_at (newest)  $3 reading_ts (newest; NULL: no reading stored)
-- the newest value of each channel with the time it was measured (both NULL: not in the batch; of two values with the
-- same time the greater one, of two positions the one whose latitude, longitude, altitude, accuracy sort higher):
--   $4 temperature_c $5 its ts  $6 humidity_pct $7 its ts (both of probe 0)  $8 battery_pct $9 its ts
--   $10 rsrp_dbm $11 its ts  $12 latitude $13 longitude $14 altitude_m $15 accuracy_m $16 their ts
--   $17 door_open $18 its ts  $19 tampered $20 its ts  $21 mains_power $22 its ts
--   $23 clock_offset_s $24 received_at of the newest pack that carried it
-- Sample numbers accounted for, ranges in any order, 0 <= first <= last <= 2147483646, of devices in $1. Fastest when
-- there is one a device and $25 equals $1, so join adjacent ranges:
--   $25 device_id  $26 epoch (0 or more)  $27 first  $28 last  $29 true: the device declared them lost (NULL: none are)
-- Receipts asked for, of devices in $1; fastest when $30 equals $1:
--   $30 device_id  $31 epoch, NULL: the device's latest one (its pack carried no seq); -2: none is asked for, so that
--   $30 can equal $1
-- What readings are to be evaluated by, one element a device as in $1:
--   $32 lowest and $33 highest temperature of all probes, faults left out (NULL: none)  $34 ts of the oldest reading
-- Rows: device_id int4, epoch int2, through int4 (-1: no number is accounted for), missing int4[] flat from, to, from,
-- to... at most 32 pairs; for what was asked and, unasked, for each device and epoch with a newly opened hole.
SELECT receipt_device AS device_id, receipt_epoch AS epoch, through, missing
FROM telemetry.advance($1::int4[], $2::timestamptz[], $3::timestamptz[],
	$4::float4[], $5::timestamptz[], $6::float4[], $7::timestamptz[], $8::float4[], $9::timestamptz[],
	$10::float4[], $11::timestamptz[],
	$12::float8[], $13::float8[], $14::float4[], $15::float4[], $16::timestamptz[],
	$17::bool[], $18::timestamptz[], $19::bool[], $20::timestamptz[], $21::bool[], $22::timestamptz[],
	$23::float4[], $24::timestamptz[],
	$25::int4[], $26::int2[], $27::int4[], $28::int4[], $29::bool[],
	$30::int4[], $31::int2[], $32::float4[], $33::float4[], $34::timestamptz[])
