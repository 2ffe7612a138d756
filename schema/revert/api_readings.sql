-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions; what devices said stays as it is.
BEGIN;

GRANT EXECUTE ON FUNCTION api.readings(text, timestamptz, timestamptz, int, text) TO coldfleet_api;
DROP FUNCTION api.quarantined(bigint);
DROP FUNCTION api.quarantine(int, text, text, text);
DROP FUNCTION api.json_quarantined(telemetry.quarantine, text);
DROP FUNCTION api.device_gaps(text, int, text, text);
DROP FUNCTION api.json_ranges(int4multirange);
DROP FUNCTION api.device_state(text);
DROP FUNCTION api.readings_chunk(text, timestamptz, timestamptz, int, text, interval, text, text);
DROP FUNCTION api.readings_page(text, timestamptz, timestamptz, int, text, interval);
DROP FUNCTION api.check_span(timestamptz, timestamptz);
DROP FUNCTION api.csv_bucket(api.bucket);
DROP FUNCTION api.json_bucket(api.bucket);
DROP FUNCTION api.bucket_window(int, timestamptz, timestamptz, interval, int);
DROP FUNCTION api.reading_after(int, timestamptz, timestamptz, int);
DROP FUNCTION api.buckets(int, timestamptz, timestamptz, interval);
DROP TYPE api.bucket;
DROP FUNCTION api.csv_reading_head();
DROP FUNCTION api.csv_reading(telemetry.reading);
DROP FUNCTION api.csv_time(timestamptz);
DROP FUNCTION api.from_micros(text);
DROP FUNCTION api.micros(timestamptz);

COMMIT;
