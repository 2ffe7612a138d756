-- SPDX-License-Identifier: Apache-2.0
-- A shipment with a name that could be markup has figures and a report. Rolled back.
BEGIN;

SET LOCAL ROLE coldfleet_owner;
DO $$
DECLARE
	id int;
	page text;
BEGIN
	PERFORM api.begin(sha256(convert_to(fleet.create_token('verify.api', 'admin'), 'UTF8')), 'admin');
	PERFORM fleet.register_device('verify.api', 'verify', 'verify', 'A');
	id := ((api.shipment_create('{"reference": "<b>&", "lots": [{"product": "Hepatitis B vaccine", "number": "verify"}]}')).body::json ->> 'id')::int;
	PERFORM api.assignment_create(id, '{"serial": "verify.api", "profile": "hepatitis-b", "from": "2026-01-01T00:00:00Z"}');
	PERFORM api.shipment_step(id, '{"at": "2026-01-01T00:00:00Z"}', 'depart');
	ASSERT jsonb_array_length(api.shipment_figures(id, 'verify.api', 'verify', NULL, NULL)::jsonb -> 'assignments') = 1, 'an assignment has no figures';
	SELECT body INTO page FROM api.shipment_report_html(id);
	ASSERT page LIKE '%&lt;b&gt;&amp;%' AND page NOT LIKE '%<b>%', 'a name is markup';
	SELECT body INTO page FROM api.shipment_epcis(id);
	ASSERT page::jsonb #>> '{epcisBody,eventList,0,bizStep}' = 'shipping', 'a shipment that left has no event';
	ASSERT api.shipment_report(id) #>> '{shipment,reference}' = '<b>&', 'a report is of something else';
END
$$;

ROLLBACK;
