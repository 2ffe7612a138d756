-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.sweep();
DROP FUNCTION api.fleet_summary();
DROP FUNCTION api.refresh_summary();
DROP FUNCTION api.count_fleet();
DROP FUNCTION api.devices_export(text, jsonb, text);
DROP FUNCTION api.csv(text);
DROP FUNCTION api.devices(int, text, text, jsonb);
DROP FUNCTION api.device_ids(jsonb, text, text, int);
DROP FUNCTION api.merge_lists(api.list_place[], text, int);
DROP TYPE api.list_place;
DROP FUNCTION api.list_page(int, api.device_terms, int[], text, text, int);
DROP FUNCTION api.key_values(text);
DROP FUNCTION api.few_listed(text);
DROP FUNCTION api.next_fence(int, text, text, text);
DROP FUNCTION api.few_devices(text[], int);
DROP FUNCTION api.device_sort(text);
DROP FUNCTION api.device_filter(jsonb);
DROP FUNCTION api.filter_terms(text, text);
DROP FUNCTION api.silent_terms(text);
DROP FUNCTION api.model_terms(text[]);
DROP FUNCTION api.word_terms(text, text[]);
DROP FUNCTION api.one_of(text, text, text);
DROP FUNCTION api.prefix_terms(text);
DROP FUNCTION api.box_terms(text);
DROP TYPE api.device_terms;
DROP FUNCTION api.duration(text, text);
DROP FUNCTION api.filter_error(text, text, text);

COMMIT;
