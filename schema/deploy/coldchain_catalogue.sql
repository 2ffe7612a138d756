-- SPDX-License-Identifier: Apache-2.0
-- The catalogue that ships with coldfleet: limits of some vaccines and of the World Health Organization's equipment, as a start.
-- None has been compared with its label or document by the authors (verified is false): whoever relies on one makes a version of
-- his own that names what he has read. Labels differ by region and change often.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE FUNCTION coldchain.put_profile(code text, body jsonb) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_profile int;
	its_product CONSTANT int := (SELECT p.product_id FROM coldchain.product AS p WHERE p.name = body ->> 'product');
	starts CONSTANT date := coalesce((body ->> 'effective_from')::date, (now() AT TIME ZONE 'UTC')::date);
	made int;
BEGIN
	IF body ? 'product' AND its_product IS NULL THEN
		RAISE EXCEPTION 'product %: there is none of this name', body ->> 'product' USING ERRCODE = 'no_data_found';
	END IF;
	INSERT INTO coldchain.profile AS p (code, product_id, title, region)
	VALUES (put_profile.code, its_product, coalesce(body ->> 'title', put_profile.code), coalesce(body ->> 'region', ''))
	ON CONFLICT ON CONSTRAINT profile_code_key DO UPDATE SET product_id = coalesce(excluded.product_id, p.product_id),
		title = coalesce(body ->> 'title', p.title), region = coalesce(body ->> 'region', p.region)
	RETURNING profile_id INTO its_profile; -- and held until the end, so versions are counted in turn
	UPDATE coldchain.profile_version AS v SET effective_to = starts
	WHERE v.profile_id = its_profile AND v.effective_to IS NULL AND v.effective_from < starts;
	INSERT INTO coldchain.profile_version (profile_id, version, storage_lower_c, storage_upper_c, effective_from, effective_to, source,
		verified, note)
	SELECT its_profile, 1 + coalesce((SELECT max(v.version) FROM coldchain.profile_version AS v WHERE v.profile_id = its_profile), 0),
		(body ->> 'storage_lower_c')::real, (body ->> 'storage_upper_c')::real, starts, (body ->> 'effective_to')::date,
		body ->> 'source', coalesce((body ->> 'verified')::boolean, false), coalesce(body ->> 'note', '')
	RETURNING profile_version_id INTO made;
	INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, lower_inclusive, upper_c, upper_inclusive, counting, allowed_s,
		irreversible)
	SELECT made, b ->> 'code', coalesce(b ->> 'title', b ->> 'code'), (b ->> 'lower_c')::real, coalesce((b ->> 'lower_inclusive')::boolean, false),
		(b ->> 'upper_c')::real, coalesce((b ->> 'upper_inclusive')::boolean, false), coalesce(b ->> 'counting', 'single'),
		(b ->> 'allowed_s')::int, coalesce((b ->> 'irreversible')::boolean, false)
	FROM jsonb_array_elements(coalesce(body -> 'bands', '[]')) WITH ORDINALITY AS e (b, place) ORDER BY place;
	RETURN made;
END
$$;
COMMENT ON FUNCTION coldchain.put_profile(text, jsonb) IS
	'Makes the next version of a profile, and the profile when it is new; returns the version''s number. The object has product (name), title, '
	'region, storage_lower_c, storage_upper_c, effective_from (default: today), effective_to, source, verified, note and bands, an array of '
	'objects with the columns of coldchain.band. The version in force ends on the day on which the new one begins.';

CREATE FUNCTION coldchain.profile_version_at(code text, at timestamptz) RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	SELECT v.profile_version_id FROM coldchain.profile AS p JOIN coldchain.profile_version AS v USING (profile_id)
	WHERE p.code = profile_version_at.code AND v.effective_from <= at::date AND (v.effective_to IS NULL OR v.effective_to > at::date)
	ORDER BY v.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION coldchain.profile_version_at(text, timestamptz) IS
	'The version of a profile in force on a day (UTC), of several the newest; NULL: none.';

INSERT INTO coldchain.product (name, manufacturer, frozen) VALUES
	('Comirnaty', 'Pfizer-BioNTech', true), ('Spikevax', 'Moderna', true), ('Janssen COVID-19 vaccine', 'Janssen', true),
	('Hepatitis B vaccine', '', false);

DO $body$
BEGIN
	PERFORM coldchain.put_profile(body ->> 'code', body - 'code' || jsonb_build_object('effective_from', '2000-01-01', 'note', concat_ws(' ',
	body ->> 'note', 'The day from which on it holds is not known to this catalogue.')))
FROM jsonb_array_elements($$[
{"code": "comirnaty-us", "product": "Comirnaty", "title": "Comirnaty, vials", "region": "US",
 "storage_lower_c": -90, "storage_upper_c": -60, "source": "US label, vials; as the catalogue of coldfleet lists it, not compared with the label",
 "note": "No refreezing once thawed. The list sets no limit for temperatures passed through while it thaws.",
 "bands": [
  {"code": "below-storage", "title": "below -90", "upper_c": -90, "counting": "single", "allowed_s": 0},
  {"code": "freezer", "title": "-25 to -15, not allowed", "lower_c": -25, "lower_inclusive": true, "upper_c": -15, "upper_inclusive": true, "counting": "single", "allowed_s": 0},
  {"code": "refrigerated", "title": "2 to 8, up to 10 weeks", "lower_c": 2, "lower_inclusive": true, "upper_c": 8, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 6048000, "irreversible": true},
  {"code": "warm", "title": "above 8", "lower_c": 8, "counting": "single", "allowed_s": 0, "irreversible": true}]},
{"code": "comirnaty-purple", "product": "Comirnaty", "title": "Comirnaty, purple cap, older label",
 "storage_lower_c": -90, "storage_upper_c": -60, "source": "older label, purple cap; as the catalogue of coldfleet lists it, not compared with the label",
 "note": "One return to ultra-cold from the freezer. Of the month at 2 to 8, transport takes 12 hours at most: neither is a band. A month is counted as 30 days.",
 "bands": [
  {"code": "below-storage", "title": "below -90", "upper_c": -90, "counting": "single", "allowed_s": 0},
  {"code": "freezer", "title": "-25 to -15, up to 2 weeks", "lower_c": -25, "lower_inclusive": true, "upper_c": -15, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 1209600},
  {"code": "refrigerated", "title": "2 to 8, up to a month", "lower_c": 2, "lower_inclusive": true, "upper_c": 8, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 2592000, "irreversible": true},
  {"code": "warm", "title": "above 8", "lower_c": 8, "counting": "single", "allowed_s": 0, "irreversible": true}]},
{"code": "spikevax", "product": "Spikevax", "title": "Spikevax",
 "storage_lower_c": -50, "storage_upper_c": -15, "source": "label; as the catalogue of coldfleet lists it, not compared with the label",
 "note": "No refreezing once thawed.",
 "bands": [
  {"code": "below-storage", "title": "below -50", "upper_c": -50, "counting": "single", "allowed_s": 0},
  {"code": "refrigerated", "title": "2 to 8, up to 60 days", "lower_c": 2, "lower_inclusive": true, "upper_c": 8, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 5184000, "irreversible": true},
  {"code": "room", "title": "8 to 25, up to 12 hours", "lower_c": 8, "upper_c": 25, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 43200, "irreversible": true},
  {"code": "warm", "title": "above 25", "lower_c": 25, "counting": "single", "allowed_s": 0, "irreversible": true}]},
{"code": "janssen", "product": "Janssen COVID-19 vaccine", "title": "Janssen",
 "storage_lower_c": -25, "storage_upper_c": -15, "source": "label; as the catalogue of coldfleet lists it, not compared with the label",
 "note": "Stock at -25 to -15 keeps 24 months: no band, the expiry date of the lot says so. 11 months are counted as 330 days. 9 to 25: unpunctured vials.",
 "bands": [
  {"code": "below-storage", "title": "below -25", "upper_c": -25, "counting": "single", "allowed_s": 0},
  {"code": "refrigerated", "title": "2 to 8, up to 11 months", "lower_c": 2, "lower_inclusive": true, "upper_c": 8, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 28512000, "irreversible": true},
  {"code": "room", "title": "9 to 25, up to 12 hours", "lower_c": 9, "lower_inclusive": true, "upper_c": 25, "upper_inclusive": true, "counting": "cumulative", "allowed_s": 43200, "irreversible": true},
  {"code": "warm", "title": "above 25", "lower_c": 25, "counting": "single", "allowed_s": 0, "irreversible": true}]},
{"code": "who-refrigerator", "title": "WHO refrigerator and 30-day recorder alarm",
 "storage_lower_c": -0.5, "storage_upper_c": 8, "source": "WHO PQS; as the catalogue of coldfleet lists it, not compared with the document",
 "bands": [
  {"code": "hot", "title": "above 8.0 for 10 hours", "lower_c": 8, "counting": "single", "allowed_s": 36000},
  {"code": "freeze", "title": "-0.5 or colder for an hour", "upper_c": -0.5, "upper_inclusive": true, "counting": "single", "allowed_s": 3600, "irreversible": true}]},
{"code": "who-indicator-1", "title": "WHO shipping indicator, type 1",
 "storage_lower_c": -0.5, "storage_upper_c": 30, "source": "WHO PQS; as the catalogue of coldfleet lists it, not compared with the document",
 "bands": [
  {"code": "hot-45", "title": "45 or warmer for an hour", "lower_c": 45, "lower_inclusive": true, "counting": "single", "allowed_s": 3600},
  {"code": "hot-30", "title": "30 or warmer, 10 hours in all", "lower_c": 30, "lower_inclusive": true, "counting": "cumulative", "allowed_s": 36000},
  {"code": "freeze", "title": "-0.5 or colder for an hour", "upper_c": -0.5, "upper_inclusive": true, "counting": "single", "allowed_s": 3600, "irreversible": true}]},
{"code": "who-indicator-2", "title": "WHO shipping indicator, type 2",
 "storage_lower_c": null, "storage_upper_c": 10, "source": "WHO PQS; as the catalogue of coldfleet lists it, not compared with the document",
 "bands": [
  {"code": "hot-45", "title": "45 or warmer for an hour", "lower_c": 45, "lower_inclusive": true, "counting": "single", "allowed_s": 3600},
  {"code": "hot-30", "title": "30 or warmer, 10 hours in all", "lower_c": 30, "lower_inclusive": true, "counting": "cumulative", "allowed_s": 36000},
  {"code": "hot-10", "title": "10 or warmer, 20 hours in all", "lower_c": 10, "lower_inclusive": true, "counting": "cumulative", "allowed_s": 72000}]},
{"code": "hepatitis-b", "product": "Hepatitis B vaccine", "title": "Freeze-sensitive vaccine (hepatitis B)",
 "storage_lower_c": -0.5, "storage_upper_c": 8, "source": "WHO PQS alarm and the rule of thumb that it may freeze after an hour at -0.5; as the catalogue of coldfleet lists it, not compared with a document",
 "bands": [
  {"code": "hot", "title": "above 8.0 for 10 hours", "lower_c": 8, "counting": "single", "allowed_s": 36000},
  {"code": "freeze", "title": "-0.5 or colder for an hour", "upper_c": -0.5, "upper_inclusive": true, "counting": "single", "allowed_s": 3600, "irreversible": true}]}
]$$::jsonb) AS e (body);
END
$body$;

REVOKE ALL ON FUNCTION coldchain.put_profile(text, jsonb), coldchain.profile_version_at(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coldchain.put_profile(text, jsonb), coldchain.profile_version_at(text, timestamptz) TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION coldchain.profile_version_at(text, timestamptz) TO coldfleet_analyst;

COMMIT;
