-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name; of active shipments nothing is known again.
BEGIN;

CREATE OR REPLACE FUNCTION command.active_shipment(device_id int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NULL::text WHERE device_id IS NOT NULL
$$;
DROP FUNCTION api.excursion_get(bigint);
DROP FUNCTION api.excursions(int, text, text, text, text, text, int, timestamptz, timestamptz);
DROP FUNCTION api.json_excursion(coldchain.excursion);
DROP FUNCTION api.assignment_change(int, int, jsonb, text);
DROP FUNCTION api.assignment_create(int, jsonb);
DROP FUNCTION api.assignment_get(int, int);
DROP FUNCTION api.assignment_answer(int, int);
DROP FUNCTION api.assignment_lot(int, jsonb);
DROP FUNCTION api.assignment_profile(jsonb, timestamptz);
DROP FUNCTION api.assignment_during(jsonb, tstzrange);
DROP FUNCTION api.shipment_decide(int, jsonb);
DROP FUNCTION api.shipment_step(int, jsonb, text);
DROP FUNCTION api.shipment_change(int, jsonb, text);
DROP FUNCTION api.shipment_create(jsonb);
DROP FUNCTION api.put_lot(int, jsonb);
DROP FUNCTION api.put_lane(jsonb);
DROP FUNCTION api.shipments(int, text, text, text, text, text, text);
DROP FUNCTION api.shipment_get(int);
DROP FUNCTION api.shipment_answer(int, int);
DROP FUNCTION api.shipment_find(int, boolean);
DROP FUNCTION api.shipment_whole(coldchain.shipment);
DROP FUNCTION api.json_assignment(coldchain.assignment);
DROP FUNCTION api.shipment_fields(coldchain.shipment);
DROP FUNCTION api.check_moment(text, timestamptz);
DROP FUNCTION api.profile_put(text, jsonb, text);
DROP FUNCTION api.profile_history(text, int, text);
DROP FUNCTION api.profile_get(text, int);
DROP FUNCTION api.profile_answer(text, int, int);
DROP FUNCTION api.profiles(int, text);
DROP FUNCTION api.json_profile(coldchain.profile, coldchain.profile_version);
DROP FUNCTION api.json_bands(int);
DROP FUNCTION api.product_create(jsonb);
DROP FUNCTION api.products(int, text);
DROP FUNCTION api.json_product(coldchain.product);
DROP FUNCTION api.must_see_all(text);
DROP FUNCTION api.json_page(text, text, text);
DROP FUNCTION api.json_at(timestamptz);

COMMIT;
