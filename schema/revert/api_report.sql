-- SPDX-License-Identifier: Apache-2.0
-- Drops its functions by name.
BEGIN;

DROP FUNCTION api.shipment_epcis(int);
DROP FUNCTION api.epcis_sensors(jsonb);
DROP FUNCTION api.epcis_event(int, int, timestamptz, text, text, text, jsonb);
DROP FUNCTION api.uuid_of(text);
DROP FUNCTION api.epcis_lots(int, int);
DROP FUNCTION api.epcis_place(text);
DROP FUNCTION api.uri_part(text);
DROP FUNCTION api.shipment_report_html(int);
DROP FUNCTION api.report_html(jsonb);
DROP FUNCTION api.report_banner(text, text, text);
DROP FUNCTION api.report_watch(coldchain.assignment, jsonb);
DROP FUNCTION api.report_calibration(jsonb);
DROP FUNCTION api.report_table(text[], xml);
DROP FUNCTION api.report_style();
DROP FUNCTION api.report_chart(coldchain.assignment);
DROP FUNCTION api.report_pairs(text[]);
DROP FUNCTION api.report_row(text[], boolean);
DROP FUNCTION api.report_number(double precision, int);
DROP FUNCTION api.report_span(double precision);
DROP FUNCTION api.report_time(timestamptz);
DROP FUNCTION api.shipment_report(int);
DROP FUNCTION api.shipment_figures(int, text, text, timestamptz, timestamptz);
DROP FUNCTION api.json_budget(int[]);
DROP FUNCTION api.json_figures(int[], timestamptz, timestamptz);
DROP FUNCTION api.shipment_watch(int, text, text);

COMMIT;
