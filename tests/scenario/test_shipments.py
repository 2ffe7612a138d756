# SPDX-License-Identifier: Apache-2.0
"""A shipment from end to end over REST: a scripted series is stored, its excursions are found, somebody decides, and the report says
what the script did, as JSON and as HTML that nothing in it can turn into markup."""

import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest
from stack import wait_for

# Would be markup, an attribute or a script if anything forgot to escape it.
EVIL = "<script>alert(1)</script> \" ' & ]]> <!-- &amp; onload=x"
ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "strong", "span", "figure", "table", "thead", "tbody", "tr",
            "th", "td", "svg", "defs", "pattern", "rect", "line", "polyline", "g", "text"}


def test_the_report_of_a_shipment_says_what_the_script_did(stack):
    def call(path, body=None, method="POST"):
        answer = stack.rest(path, "ADMIN", method, body)
        assert answer.status < 300, answer
        return answer.json

    began = (datetime.now(timezone.utc) - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    # A sample each ten minutes for a day: 100 minutes of frost from the 30th on, and none from the 60th to the 71st.
    celsius = [None if 60 <= n < 72 else -1.0 if 30 <= n < 40 else 5.0 for n in range(144)]
    device = stack.value("SELECT fleet.register_device('report-1', %s, 'CT', 'B')", [EVIL])
    shipment = call("/v1/shipments", {"reference": EVIL, "note": EVIL, "ignore_s": 0, "lane": {"origin": EVIL, "destination": EVIL, "carrier": EVIL},
                                      "lots": [{"product": "Hepatitis B vaccine", "number": EVIL[:60]}],
                                      "legs": [{"origin": EVIL, "destination": EVIL}]})["id"]
    path = f"/v1/shipments/{shipment}"
    call(f"{path}/assignments", {"serial": "report-1", "profile": "hepatitis-b", "from": began.isoformat()})
    call(f"{path}:depart", {"at": began.isoformat()})
    for at in (began, began + timedelta(days=1)):
        stack.sql("SELECT telemetry.ensure_partition(%s)", [at])
    stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) "
              "SELECT %s + (n - 1) * interval '10 minutes', now(), %s, n, 0, 0, c FROM unnest(%s::real[]) WITH ORDINALITY AS s (c, n) "
              "WHERE c IS NOT NULL", [began, device, celsius])
    call(f"{path}:arrive", {"at": (began + timedelta(days=1)).isoformat()})
    wait_for(lambda: stack.sql("SELECT coldchain.evaluate(1000)") and call(f"{path}/excursions", method="GET")["items"], 20, "the excursion")
    call(f"{path}:decide", {"decision": "rejected", "reason": EVIL})

    report = call(f"{path}/report", method="GET")
    (excursion,), (figures,) = report["excursions"], report["figures"]
    assert excursion["kind"] == "freeze" and excursion["state"] == "ended" and excursion["out_s"] == 6000
    assert datetime.fromisoformat(excursion["started_at"].replace("Z", "+00:00")) == began + timedelta(minutes=300)
    assert datetime.fromisoformat(excursion["alarm_at"].replace("Z", "+00:00")) == began + timedelta(minutes=360)
    assert figures["unobserved_s"] == 12 * 600 and figures["gaps"] == 1 and figures["min_c"] == -1 and figures["max_c"] == 5
    assert {b["kind"]: b["out_s"] for b in figures["bands"]} == {"hot": 0, "freeze": 6000}
    assert report["complete"] and report["shipment"]["decision"]["decision"] == "rejected"
    assert call(f"{path}/figures?device=report-1", method="GET")["assignments"][0]["bands"] == figures["bands"]

    for way, fields in ((f"{path}/report?format=html", {}), (f"{path}/report", {"Accept": "text/html"})):
        answer = stack.rest(way, "VIEWER", "GET", None, fields)
        assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline';")
        tree = ElementTree.fromstring(answer.body.decode().removeprefix("<!doctype html>"))
        assert {e.tag.rpartition("}")[2] for e in tree.iter()} <= ELEMENTS
        assert not [name for e in tree.iter() for name in e.attrib if name.startswith("on") or name in ("href", "src", "style")]
        assert tree.find(".//h1").text == f"Shipment {EVIL}" and "".join(tree.itertext()).count(EVIL) >= 8
        shades = [e.get("class") for e in tree.iter() if e.tag.endswith("rect")]
        assert (shades.count("storage"), shades.count("excursion"), shades.count("gap")) == (1, 1, 1)
        assert len([e for e in tree.iter() if e.tag.endswith("polyline")]) == 2


URI = {"type": "string", "pattern": r"^[a-z]+:[!-~]+$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}


def exactly(required, **optional):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": {**required, **optional}}


PLACE = exactly({"id": URI})
NUMBER = {"type": "number"}
# Of EPCIS-JSON-Schema 2.0 what we tell, and nothing else; words are those of CBV 2.0.
EPCIS = exactly({
    "@context": {"const": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"coldfleet": "urn:coldfleet:"}]},
    "type": {"const": "EPCISDocument"}, "schemaVersion": {"const": "2.0"}, "creationDate": TIME, "coldfleet:complete": {"type": "boolean"},
    "epcisBody": exactly({"eventList": {"type": "array", "items": exactly(
        {"type": {"const": "ObjectEvent"}, "eventID": {"type": "string", "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
         "action": {"const": "OBSERVE"}, "eventTime": TIME, "eventTimeZoneOffset": {"const": "+00:00"},
         "bizStep": {"enum": ["shipping", "departing", "transporting", "arriving", "receiving", "inspecting", "void_shipping"]},
         "quantityList": {"type": "array", "minItems": 1, "items": exactly({"epcClass": URI}, quantity=NUMBER)},
         "bizTransactionList": {"type": "array", "items": exactly({"bizTransaction": URI})}},
        disposition={"enum": ["in_transit", "in_progress", "conformant", "non_conformant", "unavailable"]}, readPoint=PLACE, bizLocation=PLACE,
        sensorElementList={"type": "array", "minItems": 1, "items": exactly({
            "sensorMetadata": exactly({"startTime": TIME, "endTime": TIME, "deviceID": URI, "bizRules": URI, "dataProcessingMethod": URI}),
            "sensorReport": {"type": "array", "minItems": 1, "maxItems": 1, "items": exactly(
                {"type": {"const": "Temperature"}, "uom": {"const": "CEL"}, "minValue": NUMBER, "maxValue": NUMBER}, meanValue=NUMBER,
                exception={"const": "ALARM_CONDITION"})}})})}})})


def epcis(stack, shipment, token="VIEWER"):
    answer = stack.rest(f"/v1/shipments/{shipment}/epcis", token)
    assert answer.status == 200 and answer.headers["content-type"] == "application/ld+json", answer
    document = json.loads(answer.body)
    jsonschema.validate(document, EPCIS)
    return document["epcisBody"]["eventList"]


@pytest.mark.parametrize("number, place, lot_uri, place_uri", [
    ("A/7+b", "4012345000016", "https://id.gs1.org/01/09506000134352/10/A%2F7%2Bb", "https://id.gs1.org/414/4012345000016"),
    ("\u00e9", "urn:epc:id:sgln:4012345.00001.0", None, "urn:epc:id:sgln:4012345.00001.0"),
    ("B" * 21, '4012345000017', None, None),
    ("C", 'urn:epc:id:sgln:4012345.00001.0", "x": "', "https://id.gs1.org/01/09506000134352/10/C", None)])
def test_a_partner_gets_what_happened_to_a_shipment_as_epcis(stack, number, place, lot_uri, place_uri):
    def call(path, body=None, method="POST", fields=None):
        answer = stack.rest(path, "ADMIN", method, body, fields or {})
        assert answer.status < 300, answer
        return answer.json

    if not stack.value("SELECT count(*) FROM coldchain.product WHERE gtin = '09506000134352'"):
        call("/v1/products", {"name": "epcis", "gtin": "09506000134352"})
    began = (datetime.now(timezone.utc) - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    celsius = [-1.0 if 30 <= n < 40 else 5.0 for n in range(60)]
    serial = f"epcis-{ord(number[0])}"
    device = stack.value("SELECT fleet.register_device(%s, 'Acme', 'CT', 'B')", [serial])
    made = call("/v1/shipments", {"reference": serial, "ignore_s": 0, "lane": {"origin": place, "destination": "Nairobi"},
                                  "lots": [{"product": "epcis", "number": number, "quantity": 120}]})
    shipment, path = made["id"], f"/v1/shipments/{made['id']}"
    assert epcis(stack, shipment) == [], "nothing has happened"
    call(f"{path}/assignments", {"serial": serial, "profile": "hepatitis-b", "from": began.isoformat()})
    call(f"{path}:depart", {"at": began.isoformat()})
    stack.sql("SELECT telemetry.ensure_partition(%s), telemetry.ensure_partition(%s + interval '10 hours')", [began, began])
    stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) "
              "SELECT %s + (n - 1) * interval '10 minutes', now(), %s, n, 0, 0, c FROM unnest(%s::real[]) WITH ORDINALITY AS s (c, n)",
              [began, device, celsius])
    call(f"{path}:arrive", {"at": (began + timedelta(hours=10)).isoformat()})
    wait_for(lambda: stack.sql("SELECT coldchain.evaluate(1000)") and call(f"{path}/excursions", method="GET")["items"], 20, "the excursion")
    call(f"{path}:decide", {"decision": "rejected", "reason": "frozen"})

    shipping, transporting, receiving, inspecting = epcis(stack, shipment)
    assert [(e["bizStep"], e["disposition"]) for e in (shipping, transporting, receiving, inspecting)] == [
        ("shipping", "in_transit"), ("transporting", "in_transit"), ("receiving", "in_progress"), ("inspecting", "non_conformant")]
    lot = lot_uri or f"urn:coldfleet:lot:{made['lots'][0]['id']}"
    assert all(e["quantityList"] == [{"epcClass": lot, "quantity": 120}] for e in (shipping, transporting, receiving, inspecting))
    assert all(e["bizTransactionList"] == [{"bizTransaction": f"urn:coldfleet:shipment:{shipment}"}] for e in (shipping, inspecting))
    assert shipping.get("readPoint") == ({"id": place_uri} if place_uri else None) and "readPoint" not in receiving
    assert datetime.fromisoformat(shipping["eventTime"].replace("Z", "+00:00")) == began
    whole, excursion = transporting["sensorElementList"]
    assert whole["sensorReport"][0] == {"type": "Temperature", "uom": "CEL", "minValue": -1, "maxValue": 5, "meanValue": 4}
    assert whole["sensorMetadata"]["deviceID"] == f"urn:coldfleet:device:{serial}:0"
    assert excursion["sensorReport"][0] == {"type": "Temperature", "uom": "CEL", "minValue": -1, "maxValue": -1, "exception": "ALARM_CONDITION"}
    assert datetime.fromisoformat(excursion["sensorMetadata"]["startTime"].replace("Z", "+00:00")) == began + timedelta(minutes=300)
    assert stack.rest("/v1/shipments/987654321/epcis", "VIEWER").status == 404

    ids = [e["eventID"] for e in (shipping, transporting, receiving, inspecting)]
    assert len(set(ids)) == 4 and [e["eventID"] for e in epcis(stack, shipment)] == ids, "told again they are the same events"
    call(path, {"delivered_at": (began + timedelta(hours=10, minutes=1)).isoformat()}, "PATCH", {"If-Match": "*"})
    again = [e["eventID"] for e in epcis(stack, shipment)]
    assert (again[0], again[3]) == (ids[0], ids[3]) and again[2] not in ids, "what was corrected is another event"


def test_a_lot_that_used_up_a_cumulative_band_is_red_in_the_report(stack):
    def call(path, body=None, method="POST", fields=None):
        answer = stack.rest(path, "ADMIN", method, body, fields or {})
        assert answer.status < 300, answer
        return answer.json

    def banners():
        """But for the one that nobody calibrated the probe."""
        page = stack.rest(f"{path}/report?format=html", "VIEWER").body.decode().removeprefix("<!doctype html>")
        found = [(e.get("class"), "".join(e.itertext())) for e in ElementTree.fromstring(page).iter() if (e.get("class") or "").startswith("banner")]
        return [(tone, said) for tone, said in found if not said.startswith("Measured outside calibration")]

    call("/v1/profiles/report-cumulative", {"title": "cumulative", "source": "test", "effective_from": "2026-01-01", "storage_lower_c": 2, "storage_upper_c": 8, "bands": [
        {"code": "warm", "title": "warm", "lower_c": 8, "counting": "cumulative", "allowed_s": 3600}]}, "PUT", {"If-Match": '"0"'})
    began = (datetime.now(timezone.utc) - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    device = stack.value("SELECT fleet.register_device('report-cumulative', 'Acme', 'CT', 'B')")
    shipment = call("/v1/shipments", {"reference": "report-cumulative", "ignore_s": 0,
                                      "lots": [{"product": "Hepatitis B vaccine", "number": "cumulative"}]})["id"]
    path = f"/v1/shipments/{shipment}"
    call(f"{path}/assignments", {"serial": "report-cumulative", "profile": "report-cumulative", "from": began.isoformat()})
    call(f"{path}:depart", {"at": began.isoformat()})
    stack.sql("SELECT telemetry.ensure_partition(%s), telemetry.ensure_partition(%s + interval '10 hours')", [began, began])

    def measured(first, celsius):
        stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) SELECT %s + (%s + n - 1) * interval "
                  "'10 minutes', now(), %s, %s + n, 0, 0, c FROM unnest(%s::real[]) WITH ORDINALITY AS s (c, n)", [began, first, device, first, celsius])
        stack.sql("SELECT coldchain.mark(ARRAY[%s]::int[], ARRAY[%s]::timestamptz[])", [device, began])
        stack.sql("SELECT coldchain.evaluate(1000)")

    measured(0, [5, 9, 9, 9, 9, 5])  # 40 minutes in one stay
    wait_for(lambda: len(call(f"{path}/excursions", method="GET")["items"]) == 1, 20, "the first stay")
    assert [tone for tone, _ in banners()] == ["banner open", "banner wait"], "what is allowed is not used up"
    measured(6, [9, 9, 9, 5])  # 30 more: 70 in all, neither stay an hour
    wait_for(lambda: len(call(f"{path}/excursions", method="GET")["items"]) == 2, 20, "the second stay")
    _, (tone, said), (red, used) = banners()
    assert tone == "banner wait" and said.startswith("2 excursions0 used up")
    used_up = f"{began + timedelta(minutes=80):%Y-%m-%d %H:%M}"
    assert (red, used) == ("banner bad", "Stability used upHepatitis B vaccine, lot cumulative: all that is allowed in band warm, over all shipments, "
                                         f"since {used_up} UTC")
