-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.fleet_summary();
DROP FUNCTION api.refresh_summary();
DROP FUNCTION api.count_fleet();
DROP FUNCTION api.devices_export(text, jsonb, text);
DROP FUNCTION api.csv(text);
DROP FUNCTION api.devices(int, text, text, jsonb);
DROP FUNCTION api.device_ids(jsonb, text, text, int);
DROP FUNCTION api.few_devices(jsonb, int);
DROP FUNCTION api.device_sort(text);
DROP FUNCTION api.device_filter(jsonb);
DROP FUNCTION api.one_of(text, text, text);
DROP FUNCTION api.prefix_filter(text);
DROP FUNCTION api.box_filter(text);
DROP FUNCTION api.duration(text, text);
DROP FUNCTION api.filter_error(text, text, text);

COMMIT;
