# SPDX-License-Identifier: Apache-2.0
"""Calibration records over REST: recorded, superseded and voided; what a shipment's report says of what was measured outside them, as JSON and as
HTML; who sees and does what; and what no certificate says."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from datetime import date, datetime, timedelta, timezone

import pytest
from stack import BIN, wait_for

TODAY = datetime.now(timezone.utc).date()
POINTS = [{"reference_c": 2, "indicated_c": 2.1, "uncertainty_c": 0.12}, {"reference_c": 8, "indicated_c": 7.8, "uncertainty_c": 0.12, "coverage_factor": 2.1}]


def certificate(number, calibrated, until, **more):
    return {"certificate": number, "laboratory": "Metas & Co <Bern>", "calibrated_on": str(calibrated), "valid_until": str(until), "points": POINTS, **more}


@pytest.fixture
def serial(stack, request):
    name = f"calibrated-{abs(hash(request.node.name)) % 10**8}"
    stack.sql("SELECT fleet.register_device(%s, 'Acme', 'CT', 'B')", [name])
    return name


def record(stack, serial, body, token="OPERATOR", **fields):
    return stack.rest(f"/v1/devices/{serial}/calibrations", token, "POST", body, fields)


def states(stack, serial, query=""):
    return [(c["certificate"], c["state"]) for c in stack.rest(f"/v1/devices/{serial}/calibrations{query}", "VIEWER").json["items"]]


def test_a_newer_record_supersedes_and_a_void_one_gives_way(stack, serial):
    assert states(stack, serial) == []
    first = record(stack, serial, certificate("A/1", TODAY - timedelta(days=300), TODAY + timedelta(days=64)))
    assert first.status == 201 and first.headers["location"] == f"/v1/calibrations/{first.json['id']}" and first.json["state"] == "valid"
    again = record(stack, serial, certificate("A/1", TODAY - timedelta(days=300), TODAY + timedelta(days=64)))
    assert again.status == 200 and again.json == first.json
    other = record(stack, serial, certificate("A/1", TODAY - timedelta(days=300), TODAY + timedelta(days=65)))
    assert other.status == 409 and f"number {first.json['id']}" in other.json["detail"]
    second = record(stack, serial, certificate("A/2", TODAY - timedelta(days=10), TODAY + timedelta(days=355)))
    assert states(stack, serial) == [("A/2", "valid"), ("A/1", "superseded")]
    assert stack.rest(first.headers["location"], "VIEWER").json["valid_to"] == second.json["valid_from"]

    void = f"{second.headers['location']}:void"
    assert stack.rest(void, "OPERATOR", "POST", {"reason": "x"}).status == 403
    assert stack.rest(void, "APPROVER", "POST", {"reason": " "}).status == 422
    done = stack.rest(void, "APPROVER", "POST", {"reason": "of another probe"})
    assert done.status == 200 and done.json["state"] == "void" and done.json["voided"]["reason"] == "of another probe" and done.json["valid_from"] is None
    assert stack.rest(void, "APPROVER", "POST", {"reason": "of another probe"}).status == 409
    assert states(stack, serial) == [("A/2", "void"), ("A/1", "valid")] and states(stack, serial, "?probe=1") == []
    trail = stack.rest(f"/v1/audit?device={serial}&kind=calibration", "AUDITOR").json["items"]
    assert [(e["action"], e["id"]) for e in trail] == [("changed", str(second.json["id"])), ("created", str(second.json["id"])), ("created", str(first.json["id"]))]
    assert trail[0]["reason"] == "of another probe"


def test_what_is_due_is_listed_over_the_fleet(stack, serial):
    record(stack, serial, certificate("due-1", TODAY - timedelta(days=360), TODAY - timedelta(days=1)))
    record(stack, serial, certificate("due-2", TODAY - timedelta(days=300), TODAY + timedelta(days=20), probe=1))
    record(stack, serial, certificate("due-3", TODAY - timedelta(days=300), TODAY + timedelta(days=40), probe=2))

    def due(days, limit):
        before, found, cursor = (datetime.now(timezone.utc) + timedelta(days=days)).isoformat().replace("+00:00", "Z"), [], ""
        while cursor is not None:
            page = stack.rest(f"/v1/calibrations?due_before={before}&limit={limit}{cursor and '&cursor='}{cursor}", "VIEWER").json
            found, cursor = found + page["items"], page["next"]
        return [c["certificate"] for c in found if c["serial"] == serial]

    assert due(30, 1) == ["due-1", "due-2"] and due(30, 100) == ["due-1", "due-2"] and due(0, 2) == ["due-1"] and due(60, 1) == ["due-1", "due-2", "due-3"]


def test_what_is_due_soon_alarms_until_the_next_record(stack, serial):
    def alarms():
        return [(a["state"], a["body"]["certificate"], a["probe"]) for a in stack.rest(f"/v1/alarms?kind=calibration&device={serial}", "VIEWER").json["items"]]

    record(stack, serial, certificate("alarm-1", TODAY - timedelta(days=340), TODAY + timedelta(days=25), probe=1))
    record(stack, serial, certificate("alarm-2", TODAY - timedelta(days=300), TODAY + timedelta(days=65)))
    stack.restart("notify")  # which looks as it starts
    wait_for(alarms, 20, "the alarm")
    assert alarms() == [("raised", "alarm-1", 1)]
    record(stack, serial, certificate("alarm-3", TODAY, TODAY + timedelta(days=364), probe=1))
    assert alarms() == [("cleared", "alarm-1", 1)]


def test_a_token_with_a_scope_sees_and_records_its_own_alone(stack, serial):
    made = record(stack, serial, certificate("S/1", TODAY - timedelta(days=3), TODAY))
    group = stack.rest("/v1/groups", "ADMIN", "POST", {"name": f"of-{serial}"}).json["id"]
    stack.env["COLDFLEET_TOKEN_SCOPED"] = stack.rest("/v1/tokens", "ADMIN", "POST", {"name": "scoped", "role": "admin", "groups": [group]}).json["token"]
    for seen in (False, True):
        want = 200 if seen else 404
        assert stack.rest(f"/v1/devices/{serial}/calibrations", "SCOPED").status == want
        assert stack.rest(made.headers["location"], "SCOPED").status == want
        assert record(stack, serial, certificate("S/1", TODAY - timedelta(days=3), TODAY), "SCOPED").status == want
        assert ("S/1" in [c["certificate"] for c in stack.rest("/v1/calibrations", "SCOPED").json["items"]]) == seen
        assert stack.rest(f"{made.headers['location']}:void", "SCOPED", "POST", {"reason": "wrong"}).status == want
        stack.rest(f"/v1/groups/{group}/members/{serial}", "ADMIN", "PUT")


def test_the_report_tells_what_was_measured_outside_calibration(stack, serial):
    def call(path, body=None, method="POST"):
        answer = stack.rest(path, "ADMIN", method, body)
        assert answer.status < 300, answer
        return answer.json

    # From noon three days ago for a day, a sample each ten minutes, an hour of it at 9 degrees; calibrated until midnight, from 2 to 8 degrees.
    began = datetime.combine(TODAY - timedelta(days=3), datetime.min.time(), timezone.utc) + timedelta(hours=12)
    celsius = [9.0 if 6 <= n < 12 else 5.0 for n in range(144)]
    device = stack.value("SELECT device_id FROM fleet.device WHERE serial = %s", [serial])
    path = f"/v1/shipments/{call('/v1/shipments', {'reference': serial, 'ignore_s': 0, 'lots': [{'product': 'Hepatitis B vaccine', 'number': serial}]})['id']}"
    call(f"{path}/assignments", {"serial": serial, "profile": "hepatitis-b", "from": began.isoformat()})
    call(f"{path}:depart", {"at": began.isoformat()})
    stack.sql("SELECT telemetry.ensure_partition(%s), telemetry.ensure_partition(%s + interval '1 day')", [began, began])
    stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) "
              "SELECT %s + (n - 1) * interval '10 minutes', now(), %s, n, 0, 0, c FROM unnest(%s::real[]) WITH ORDINALITY AS s (c, n)",
              [began, device, celsius])
    call(f"{path}:arrive", {"at": (began + timedelta(days=1)).isoformat()})

    def told():
        figures = call(f"{path}/report", method="GET")["figures"][0]
        assert call(f"{path}/figures", method="GET")["assignments"][0] == figures
        page = ElementTree.fromstring(stack.rest(f"{path}/report?format=html", "VIEWER").body.decode().removeprefix("<!doctype html>"))
        rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
        banner = [e.find("p").text for e in page.iter("div") if e.find("strong") is not None and e.find("strong").text == "Measured outside calibration"]
        return figures, rows[[r[0] for r in rows].index("Calibration") + 1:][:len(figures["calibration"]["records"] + figures["calibration"]["lacks"])], banner

    figures, rows, banner = told()
    assert (figures["calibration"]["outside_s"], figures["calibration"]["outside_samples"]) == (86400, 144) and figures["calibration"]["records"] == []
    assert [x["lack"] for x in figures["calibration"]["lacks"]] == ["never"]
    assert rows[0][0] == "none: never calibrated" and banner == [f"tracker {serial}, probe 0: 24 h 00 min, 144 samples"]

    until = (began + timedelta(hours=1)).date()
    made = record(stack, serial, certificate("R/1", until - timedelta(days=364), until, accreditation="SCS 0038"))
    figures, rows, banner = told()
    assert (figures["min_c"], figures["max_c"]) == (5, 9), "nothing is corrected"
    (known,), (lack,) = figures["calibration"]["records"], figures["calibration"]["lacks"]
    assert (known["samples"], known["beyond_samples"], known["beyond_s"]) == (72, 6, 3600) and (lack["lack"], lack["samples"]) == ("expired", 72)
    assert known["nearest"] == {"status": "as-left", "reference_c": 8, "indicated_c": 7.8, "error_c": -0.2, "correction_c": 0.2, "uncertainty_c": 0.12,
                                "coverage_factor": 2.1}
    assert rows == [["R/1", "Metas & Co <Bern>, SCS 0038", str(until - timedelta(days=364)), str(until), "2.0 to 8.0 °C", "8.0 °C",
                     "−0.20 °C ± 0.12 °C (k = 2.1)", "12 h 00 min, 72 samples", "1 h 00 min, 6 samples"],
                    ["none: expired", *["–"] * 6, "12 h 00 min, 72 samples", "all"]]
    assert banner == [f"tracker {serial}, probe 0: 13 h 00 min, 78 samples"]

    record(stack, serial, certificate("R/2", began.date(), TODAY, lower_c=-30, upper_c=30))
    figures, rows, banner = told()
    assert [c["certificate"] for c in figures["calibration"]["records"]] == ["R/2"] and figures["calibration"]["outside_samples"] == 0 and banner == []
    assert rows[0][-1] == "none"
    stack.rest(f"{made.headers['location']}:void", "APPROVER", "POST", {"reason": "x"})
    assert told()[0]["calibration"]["outside_samples"] == 0


def test_coldfleetctl_records_a_file_of_certificates_lists_and_voids(stack, serial, tmp_path):
    def ctl(*words, token="OPERATOR", status=0):
        env = {**os.environ, **{k: stack.env[k] for k in ("COLDFLEET_API", "COLDFLEET_CA") if k in stack.env}, "COLDFLEET_TOKEN": stack.env[f"COLDFLEET_TOKEN_{token}"]}
        done = subprocess.run([BIN / "coldfleetctl", "calibrations", *map(str, words)], env=env, capture_output=True, text=True)
        assert done.returncode == status, done
        return done

    records = [{"serial": serial, **certificate(f"F/{n}", TODAY - timedelta(days=400 - 100 * n), TODAY + timedelta(days=100 * n - 150), **more)}
               for n, more in ((0, {}), (1, {"probe": 1}), (2, {"points": []}))]
    file = tmp_path / "certificates.json"
    file.write_text("\n".join((json.dumps(records[0]), json.dumps(records[1], indent=1), "", json.dumps(records[2]), json.dumps({**records[0], "serial": "nobody"}),
                               json.dumps({**records[0], "serial": 7}))))
    line = file.read_text().splitlines().index(json.dumps(records[2])) + 1
    done = ctl("put", file, status=1)
    assert "2 recorded, 0 unchanged, 3 refused" in done.stderr and f"{file}:{line}: " in done.stderr and "points" in done.stderr
    assert "nobody" in done.stderr and f"{file}:{line + 2}: serial: expected" in done.stderr
    assert "0 recorded, 2 unchanged, 3 refused" in ctl("put", file, status=1).stderr
    for bad in ("[]", '{"serial": ', '{"a": 1, "a": 2}'):
        file.write_text("\n\n" + bad)
        assert f"{file}:3: " in ctl("put", file, status=1).stderr
    assert "F/1" in ctl("list", serial, "--probe", 1).stdout and "F/0" not in ctl("list", serial, "--probe", 1).stdout
    due = ctl("due", "--before", "+1d", "--all").stdout
    assert "F/0" in due and "F/1" in due
    number = stack.rest(f"/v1/devices/{serial}/calibrations?probe=1", "VIEWER").json["items"][0]["id"]
    assert "as-left" in ctl("show", number).stdout
    assert "reason" in ctl("void", number, token="APPROVER", status=1).stderr
    ctl("void", number, "--reason", "typing error", token="APPROVER")
    assert "void" in ctl("list", serial).stdout


@pytest.mark.parametrize("wrong, field", [
    ({"points": []}, "points"), ({"points": [{}]}, "points"), ({"points": POINTS * 51}, "points"), ({"points": "x"}, "points"),
    ({"points": [{**POINTS[0], "reference_c": -274}]}, "reference_c"), ({"points": [{**POINTS[0], "indicated_c": 1e300}]}, "indicated_c"),
    ({"points": [{**POINTS[0], "uncertainty_c": 1e-300}]}, "uncertainty_c"), ({"points": [{**POINTS[0], "status": "fine"}]}, "status"),
    ({"points": [POINTS[0], POINTS[0]]}, "reference_c"), ({"points": [{**POINTS[0], "error_c": 1}]}, "error_c"),
    ({"points": [{**POINTS[0], "status": "as-found"}]}, "points"), ({"certificate": ""}, "certificate"), ({"certificate": "x" * 101}, "certificate"),
    ({"certificate": "a\u0001b"}, "certificate"), ({"laboratory": None}, "laboratory"), ({"laboratory": " \u00a0"}, "laboratory"), ({"certificate": "\t"}, "certificate"),
    ({"probe": 32768}, "probe"), ({"probe": -1}, "probe"),
    ({"calibrated_on": "2026-02-30"}, "calibrated_on"), ({"calibrated_on": "9999-12-31"}, "calibrated_on"), ({"calibrated_on": "1999-12-31"}, "calibrated_on"),
    ({"valid_until": "9999-12-31"}, "valid_until"), ({"valid_until": str(date(2000, 1, 1))}, "valid_until"), ({"valid_until": None}, "valid_until"),
    ({"interval_months": 12}, "interval_months"), ({"fitted_on": "2001-01-01"}, "fitted_on"), ({"lower_c": 3}, "reference_c"), ({"lower_c": 9, "upper_c": 8}, "lower_c"),
    ({"latest": True}, "latest"), ({"created_by": "somebody"}, "created_by")])
def test_what_no_certificate_says_is_refused_by_name(stack, serial, wrong, field):
    answer = record(stack, serial, {**certificate("X", TODAY - timedelta(days=3), TODAY + timedelta(days=300)), **wrong})
    assert answer.status in (400, 422) and field in answer.json["detail"] and "expected" in answer.json["detail"], answer
    assert states(stack, serial) == []
